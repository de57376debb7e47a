"""DHCP and name service of a network on a host: a namespace with one dnsmasq.

The same MAC and addresses stand on each host of the network, and the frames never cross a tunnel, so each guest is
answered by its own host. Leases are static, made from the control plane's entries. Names of the network's ports are
answered here; other questions go over a link of its own to the host's relay, so that a network without any router
resolves names too. That link carries name service only (see `firewall`), and nothing is routed in the namespace.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from kilostack.drivers.net import command, dnsmasq, links, names
from kilostack.drivers.net.firewall import METADATA_ADDRESS, RELAY_ADDRESS
from kilostack.drivers.net.links import Link, SeenLink
from kilostack.wire.network import Entry, Network, Subnet

DEFAULT_DOMAIN = "openstacklocal"

_LEASE_S = 86400
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
#: From this range the namespaces' ends of the links to the relay take their addresses.
_LINK_RANGE = IPv4Network("169.254.192.0/19")
_GONE = "# gone "


def ensure(network: Network, bridge: str, namespace: str, directory: Path) -> None:
    """Namespace, links, files and process of `network`, which has a DHCP port."""
    dhcp = network.dhcp
    assert dhcp is not None
    if namespace not in command.namespaces():
        command.batch("ip", [f"netns add {namespace}"])
    command.set_sysctls(
        {"net/ipv4/ip_forward": "0", "net/ipv6/conf/all/forwarding": "0", "net/ipv6/conf/default/accept_ra": "0"},
        namespace=namespace,
    )
    seen, inner = links.observe(), links.observe(namespace)
    outer_name, inner_name = names.DHCP + names.short(network.id), names.INNER_DHCP + names.short(dhcp.port_id)
    lines: list[str] = []
    if outer_name in seen and inner_name not in inner:
        lines.append(f"link del {outer_name}")
        seen.pop(outer_name)
    address = link_address(seen, names.NAMES + names.short(network.id))
    command.batch("ip", [*lines, *links.changes(seen, outer_links(network, bridge, namespace, address))])
    command.batch("ip", links.changes(links.observe(namespace), inner_links(network, address)), namespace=namespace)
    _ensure_process(network, namespace, directory)


def outer_links(network: Network, bridge: str, namespace: str, address: str) -> tuple[Link, ...]:
    """The host's ends."""
    assert network.dhcp is not None
    inner = names.INNER_DHCP + names.short(network.dhcp.port_id)
    return (
        Link(
            name=names.DHCP + names.short(network.id),
            make=f"veth peer name {inner} mtu {network.mtu} address {network.dhcp.mac} netns {namespace}",
            master=bridge,
            mtu=network.mtu,
            silent=True,
        ),
        Link(
            name=names.NAMES + names.short(network.id),
            make=f"veth peer name {names.INNER_NAMES} netns {namespace}",
            addresses=(f"{RELAY_ADDRESS} peer {address}/32",),
            silent=True,
        ),
    )


def inner_links(network: Network, address: str) -> tuple[Link, ...]:
    """The namespace's ends, with the addresses under which guests know the DHCP port."""
    assert network.dhcp is not None
    prefixes = {subnet.id: subnet.cidr.partition("/")[2] for subnet in network.subnets}
    own = tuple(f"{ip}/{prefixes[subnet]}" for subnet, ip in network.dhcp.fixed_ips if subnet in prefixes)
    return (
        Link(name="lo", mtu=65536),
        Link(
            name=names.INNER_DHCP + names.short(network.dhcp.port_id),
            mtu=network.mtu,
            mac=network.dhcp.mac,
            addresses=(*own, f"{METADATA_ADDRESS}/32"),
        ),
        Link(
            name=names.INNER_NAMES,
            addresses=(f"{address} peer {RELAY_ADDRESS}/32",),
            silent=True,
        ),
    )


def link_address(seen: Mapping[str, SeenLink], name: str) -> str:
    """The address of the namespace's end of link `name`: the one that it has, else the lowest that is free."""
    taken = {
        other: address.split()[2].partition("/")[0]
        for other, link in seen.items()
        if other.startswith(names.NAMES)
        for address in link.addresses
        if " peer " in address
    }
    if name in taken:
        return taken[name]
    used = frozenset(taken.values())
    return next(str(address) for address in _LINK_RANGE.hosts() if str(address) not in used)


def _ensure_process(network: Network, namespace: str, directory: Path) -> None:
    if not any(True for _ in _served(network)):
        dnsmasq.stop(directory)
        return
    dnsmasq.make_directory(directory)
    hosts_file = directory / "hosts"
    before = hosts_file.read_text(encoding="utf-8") if hosts_file.exists() else ""
    text, conflict = hosts(network, before)
    changed = [
        dnsmasq.write_if_changed(hosts_file, text),
        dnsmasq.write_if_changed(directory / "options", options(network)),
        dnsmasq.write_if_changed(directory / "names", name_table(network)),
    ]
    started = dnsmasq.ensure(directory, arguments(network, directory), namespace=namespace, restart=conflict)
    if started:
        dnsmasq.write_if_changed(hosts_file, _without_gone(text))
    elif any(changed):
        dnsmasq.reload(directory)


def remove(short: str, namespace: str, directory: Path) -> None:
    """End the process, remove the namespace and the links."""
    dnsmasq.stop(directory)
    seen = links.observe()
    own = [name for name in (names.DHCP + short, names.NAMES + short) if name in seen]
    command.batch("ip", [f"link del {name}" for name in own])
    if namespace in command.namespaces():
        command.batch("ip", [f"netns del {namespace}"])


# What dnsmasq is told.


def _served(network: Network) -> Iterable[tuple[Subnet, str]]:
    """The subnets that are served, each with the server's address in it."""
    assert network.dhcp is not None
    own = dict(network.dhcp.fixed_ips)
    for subnet in network.subnets:
        if subnet.ip_version == 4 and subnet.enable_dhcp and subnet.id in own:
            yield subnet, own[subnet.id]


def domain(network: Network) -> str:
    return network.dns_domain.rstrip(".") or DEFAULT_DOMAIN


def arguments(network: Network, directory: Path) -> tuple[str, ...]:
    """What only a new start can change: ranges, the domain, where to listen."""
    assert network.dhcp is not None
    name = domain(network)
    ranges = []
    for subnet, _ in _served(network):
        net = IPv4Network(subnet.cidr)
        ranges.append(f"--dhcp-range=set:{_tag(subnet)},{net.network_address},static,{net.netmask},{_LEASE_S}s")
    return (
        f"--interface={names.INNER_DHCP}{names.short(network.dhcp.port_id)}",
        "--except-interface=lo",
        "--no-resolv",
        f"--server={RELAY_ADDRESS}",
        f"--domain={name}",
        f"--local=/{name}/",
        f"--addn-hosts={directory / 'names'}",
        f"--dhcp-hostsfile={directory / 'hosts'}",
        f"--dhcp-optsfile={directory / 'options'}",
        # Leases follow from the entries; a file of them could only disagree.
        "--leasefile-ro",
        "--dhcp-lease-max=65536",
        "--dhcp-authoritative",
        "--no-ping",
        "--quiet-dhcp",
        *ranges,
    )


def _tag(subnet: Subnet) -> str:
    return f"subnet-{subnet.id}"


def hosts(network: Network, before: str) -> tuple[str, bool]:
    """The text of the hosts file, and whether a running dnsmasq has to start anew to believe it.

    A running dnsmasq keeps the lease of an entry that has gone, and would refuse its address to the next owner. Gone
    ones are therefore kept as comments until their address comes back with another MAC.
    """
    served = {subnet.id for subnet, _ in _served(network)}
    lines: dict[str, str] = {}
    for entry in _leased(network):
        for subnet, address in entry.fixed_ips:
            if subnet in served:
                lines.setdefault(address, f"{entry.mac.lower()},id:*,{address},{host_name(entry, address)}")
    given = {address: line.partition(",")[0] for address, line in lines.items()}
    old = _given(before)
    conflict = any(given.get(address, mac) != mac for address, mac in old.items())
    gone = {address: mac for address, mac in old.items() if address not in given}
    body = [lines[address] for address in sorted(lines, key=IPv4Address)]
    body += [f"{_GONE}{mac} {address}" for address, mac in sorted(gone.items())]
    return "".join(f"{line}\n" for line in body), conflict


def _given(text: str) -> dict[str, str]:
    """Address -> MAC of an earlier hosts file, its gone ones included."""
    found = {}
    for line in text.splitlines():
        if line.startswith(_GONE):
            mac, address = line.removeprefix(_GONE).split()
        else:
            mac, _, address, _ = line.split(",")
        found[address] = mac
    return found


def _without_gone(text: str) -> str:
    return "".join(f"{line}\n" for line in text.splitlines() if not line.startswith(_GONE))


def _leased(network: Network) -> Iterable[Entry]:
    own = network.dhcp.port_id if network.dhcp else ""
    return (entry for entry in network.entries if entry.port_id != own)


def options(network: Network) -> str:
    """The text of the options file."""
    lines = []
    for subnet, address in _served(network):
        tag = f"tag:{_tag(subnet)}"
        routes = [(f"{METADATA_ADDRESS}/32", address), *subnet.host_routes]
        if subnet.gateway_ip:
            routes.append(("0.0.0.0/0", subnet.gateway_ip))
        servers = [server for server in subnet.dns_nameservers if ":" not in server] or [address]
        lines += [
            f"{tag},option:router{',' + subnet.gateway_ip if subnet.gateway_ip else ''}",
            f"{tag},option:mtu,{network.mtu}",
            f"{tag},option:dns-server,{','.join(servers)}",
            f"{tag},option:classless-static-route,{','.join(f'{to},{via}' for to, via in routes)}",
        ]
    return "".join(f"{line}\n" for line in lines)


def host_name(entry: Entry, address: str) -> str:
    """The first label of the entry's name, or one made from its address."""
    label = entry.hostname.partition(".")[0]
    return label if _LABEL.fullmatch(label) else "host-" + re.sub(r"[.:]+", "-", address)


def name_table(network: Network) -> str:
    """Names of the network's ports, in the form of /etc/hosts."""
    name = domain(network)
    lines = []
    for entry in _leased(network):
        for _, address in entry.fixed_ips:
            label = host_name(entry, address)
            lines.append(f"{address} {label}.{name} {label}")
    return "".join(f"{line}\n" for line in sorted(lines))
