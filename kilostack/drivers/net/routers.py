"""Routers on a host: a namespace each, with legs in tenant networks, a way out, NAT and floating IPs."""

from __future__ import annotations

import hashlib
import socket
import struct
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, ip_interface, ip_network

from kilostack.drivers.net import command, links, names
from kilostack.drivers.net.conntrack import Conntrack
from kilostack.drivers.net.firewall import METADATA_ADDRESS, TABLE, digest_chain
from kilostack.drivers.net.links import Link, SeenLink
from kilostack.wire.network import Network, Router, RouterGateway, RouterLeg

_SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv6/conf/all/forwarding": "1",
    "net/ipv6/conf/default/accept_ra": "0",
    # An address is answered for only where it stands, and the same packet may come back by another leg.
    "net/ipv4/conf/all/arp_ignore": "1",
    "net/ipv4/conf/all/arp_announce": "2",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv4/conf/all/send_redirects": "0",
    "net/ipv4/conf/default/send_redirects": "0",
}

#: Our routes are told from the kernel's by this protocol number.
_PROTOCOL = "117"


def ensure(router: Router, networks: Mapping[str, Network], namespace: str, bridges: Mapping[str, str]) -> None:
    """Bring the router's namespace to what `router` says; `bridges` tells the bridge of each of its networks."""
    if namespace not in command.namespaces():
        command.batch("ip", [f"netns add {namespace}"])
    command.set_sysctls(_SYSCTLS, namespace=namespace)
    seen, inner = links.observe(), links.observe(namespace)
    wanted = (*outer_links(router, networks, namespace, bridges),)
    command.batch("ip", [*_half_made(router, seen, inner), *links.changes(seen, wanted)])
    stale = [name for name in inner if _is_own(name) and name not in _inner_names(router)]
    command.batch("ip", [f"link del {name}" for name in stale], namespace=namespace)
    inner = links.observe(namespace)
    wanted_inner = inner_links(router, networks)
    command.batch("ip", links.changes(inner, wanted_inner), namespace=namespace)
    _ensure_routes(router, namespace)
    _ensure_nat(router, namespace)
    if router.gateway is not None:
        _announce(router.gateway, inner, wanted_inner, namespace)
        _forget_floating(router.gateway, inner, wanted_inner, namespace)


def _is_own(name: str) -> bool:
    return name.startswith((names.INNER_LEG, names.INNER_GATEWAY))


def _inner_names(router: Router) -> frozenset[str]:
    own = {names.INNER_LEG + names.short(leg.port_id) for leg in router.legs}
    if router.gateway is not None:
        own.add(_outside(router.gateway))
    return frozenset(own)


def _outside(gateway: RouterGateway) -> str:
    return names.INNER_GATEWAY + names.short(gateway.port_id)


def _half_made(router: Router, seen: Mapping[str, SeenLink], inner: Mapping[str, SeenLink]) -> Iterable[str]:
    """Host ends whose other end is not in the namespace are made anew."""
    pairs = [(names.LEG + names.short(leg.port_id), names.INNER_LEG + names.short(leg.port_id)) for leg in router.legs]
    if router.gateway is not None:
        pairs.append((names.GATEWAY + names.short(router.gateway.port_id), _outside(router.gateway)))
    for outer_name, inner_name in pairs:
        if outer_name in seen and inner_name not in inner:
            yield f"link del {outer_name}"
            seen.pop(outer_name)  # type: ignore[attr-defined]


def outer_links(
    router: Router, networks: Mapping[str, Network], namespace: str, bridges: Mapping[str, str]
) -> Iterable[Link]:
    """The host's ends of the router's links."""
    for leg in router.legs:
        mtu = networks[leg.network_id].mtu
        inner = names.INNER_LEG + names.short(leg.port_id)
        yield Link(
            name=names.LEG + names.short(leg.port_id),
            make=f"veth peer name {inner} mtu {mtu} address {leg.mac} netns {namespace}",
            master=bridges[leg.network_id],
            mtu=mtu,
            silent=True,
        )
    if (gateway := router.gateway) is not None:
        mtu = networks[gateway.network_id].mtu
        yield Link(
            name=names.GATEWAY + names.short(gateway.port_id),
            make=f"veth peer name {_outside(gateway)} mtu {mtu} address {gateway.mac} netns {namespace}",
            master=bridges[gateway.network_id],
            mtu=mtu,
            silent=True,
        )


def inner_links(router: Router, networks: Mapping[str, Network]) -> tuple[Link, ...]:
    """The namespace's ends, with all addresses that the router answers for."""
    wanted = [Link(name="lo", mtu=65536, addresses=(f"{METADATA_ADDRESS}/32",))]
    for leg in router.legs:
        wanted.append(_inner(names.INNER_LEG + names.short(leg.port_id), leg, networks, ()))
    if (gateway := router.gateway) is not None:
        floating = tuple(f"{item.floating_ip}/32" for item in router.floating_ips)
        wanted.append(_inner(_outside(gateway), gateway, networks, floating))
    return tuple(wanted)


def _inner(name: str, end: RouterLeg | RouterGateway, networks: Mapping[str, Network], more: tuple[str, ...]) -> Link:
    return Link(name=name, mtu=networks[end.network_id].mtu, mac=end.mac, addresses=(*end.addresses, *more))


def remove(namespace: str) -> None:
    """Take the router away: its links lie in its namespace, and a pair goes with either end."""
    if namespace not in command.namespaces():
        return
    inner = links.observe(namespace)
    # By hand, because the kernel clears a namespace some time later, and a name must be free at once.
    command.batch("ip", [f"link del {name}" for name in inner if _is_own(name)], namespace=namespace)
    command.batch("ip", [f"netns del {namespace}"])


# Routes.


def _ensure_routes(router: Router, namespace: str) -> None:
    wanted = routes(router)
    have = [
        (str(item["dst"]), str(item.get("gateway", "")))
        for family in ("-4", "-6")
        for item in command.ask(("ip", family, "-j", "route", "show", "proto", _PROTOCOL), namespace=namespace)
    ]
    lines = [f"route del {_to(to, via)} via {via} proto {_PROTOCOL}" for to, via in have if (to, via) not in wanted]
    lines += [
        f"route replace {_to(to, via)} via {via} proto {_PROTOCOL}{_onlink(router, to)}"
        for to, via in sorted(wanted)
        if (to, via) not in have
    ]
    # A next hop that cannot be reached yet is the user's affair and must not keep the other routes away.
    try:
        command.batch("ip", lines, namespace=namespace, go_on=True)
    except command.CommandFailed:
        if router.gateway is not None and router.gateway.via and not router.routes:
            raise


def routes(router: Router) -> frozenset[tuple[str, str]]:
    """(destination, next hop) in the form in which `ip` shows them."""
    wanted = {(_destination(to), via) for to, via in router.routes}
    if router.gateway is not None and router.gateway.via:
        wanted = {(to, via) for to, via in wanted if to != "default"} | {("default", router.gateway.via)}
    return frozenset(wanted)


def _destination(cidr: str) -> str:
    network = ip_network(cidr, strict=False)
    if network.prefixlen == 0:
        return "default"
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def _to(destination: str, via: str) -> str:
    """As `ip` has to be told it: its word `default` means IPv4 only."""
    return "::/0" if destination == "default" and ":" in via else destination


def _onlink(router: Router, to: str) -> str:
    gateway = router.gateway
    if to != "default" or gateway is None or not gateway.via:
        return ""
    near = any(IPv4Address(gateway.via) in ip_interface(address).network for address in gateway.addresses)
    return "" if near else f" dev {_outside(gateway)} onlink"


# NAT.


def nat(router: Router) -> str:
    """The body of the router's nftables table."""
    inward = ", ".join(sorted(f"{item.floating_ip} : {item.fixed_ip}" for item in router.floating_ips))
    outward = ", ".join(sorted(f"{item.fixed_ip} : {item.floating_ip}" for item in router.floating_ips))
    lines = [
        f"map inward {{ type ipv4_addr : ipv4_addr; {f'elements = {{ {inward} }};' if inward else ''} }}",
        f"map outward {{ type ipv4_addr : ipv4_addr; {f'elements = {{ {outward} }};' if outward else ''} }}",
        "chain arriving {",
        "type nat hook prerouting priority -100; policy accept;",
        "dnat to ip daddr map @inward",
        "}",
        "chain leaving {",
        "type nat hook postrouting priority 100; policy accept;",
        *_source_nat(router),
        "}",
    ]
    if router.gateway is not None:
        lines += [
            "chain own {",
            "type filter hook input priority 0; policy accept;",
            f'iifname "{_outside(router.gateway)}" ip daddr {METADATA_ADDRESS} drop',
            "}",
            *_keep_out(router.gateway),
        ]
    return "\n".join(lines)


def _keep_out(gateway: RouterGateway) -> Iterable[str]:
    """Behind source NAT nobody outside has a way in but by a floating IP. Else another project's router, which stands
    on the same external network, would only need a route with this one as its next hop."""
    if not gateway.enable_snat:
        return
    outside = f'iifname "{_outside(gateway)}"'
    yield "chain through {"
    yield "type filter hook forward priority 0; policy accept;"
    yield f"{outside} ct state established,related accept"
    yield f"{outside} ct status dnat accept"
    yield f"{outside} drop"
    yield "}"


def _source_nat(router: Router) -> Iterable[str]:
    if (gateway := router.gateway) is None:
        return
    outside = _outside(gateway)
    own = next((address.partition("/")[0] for address in gateway.addresses if ":" not in address), None)
    # From a guest to a floating IP of a guest behind the same router: the answer has to come back this way.
    inside = f'iifname != "{outside}" oifname != "{outside}" ct status dnat'
    yield f"{inside} snat to ip saddr map @outward"
    if own is not None:
        yield f"{inside} snat to {own}"
    yield f'oifname "{outside}" snat to ip saddr map @outward'
    if own is not None and gateway.enable_snat:
        yield f'oifname "{outside}" snat to {own}'


def _ensure_nat(router: Router, namespace: str) -> None:
    body = nat(router)
    chain = digest_chain(hashlib.sha256(body.encode()).hexdigest()[:32])
    if command.is_true(("nft", "list", "chain", "ip", TABLE, chain), namespace=namespace):
        return
    table = f"table ip {TABLE}"
    command.nft(f"{table}\ndelete {table}\n{table} {{\nchain {chain} {{ }}\n{body}\n}}\n", namespace=namespace)


def _new_addresses(name: str, seen: Mapping[str, SeenLink], wanted: Iterable[Link]) -> tuple[set[str], set[str]]:
    """Addresses of link `name` that have come, and those that have gone; IPv4, without prefix."""
    want = {address.partition("/")[0] for link in wanted if link.name == name for address in link.addresses or ()}
    have = {address.partition("/")[0] for address in seen[name].addresses} if name in seen else set()
    return {item for item in want - have if ":" not in item}, {item for item in have - want if ":" not in item}


def _announce(gateway: RouterGateway, seen: Mapping[str, SeenLink], wanted: Iterable[Link], namespace: str) -> None:
    """Tell the external network that new addresses are here: another router may have had them a moment ago."""
    name = _outside(gateway)
    come, _ = _new_addresses(name, seen, wanted)
    if not come:
        return
    mac = bytes.fromhex(gateway.mac.replace(":", ""))
    with (
        command.entered(namespace),
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806)) as wire,
    ):
        wire.bind((name, 0))
        for address in sorted(come):
            packed = IPv4Address(address).packed
            header = b"\xff" * 6 + mac + b"\x08\x06" + struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1)
            wire.send(header + mac + packed + b"\x00" * 6 + packed)


def _forget_floating(
    gateway: RouterGateway, seen: Mapping[str, SeenLink], wanted: Iterable[Link], namespace: str
) -> None:
    """What runs over a floating IP that was taken away stops."""
    _, gone = _new_addresses(_outside(gateway), seen, wanted)
    if not gone:
        return
    with command.entered(namespace), Conntrack() as table:
        for entry in table.entries():
            if entry.flow.target in gone or entry.reply_target in gone:
                table.delete(entry)
