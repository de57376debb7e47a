"""Tenant networks on a host: a bridge and a VXLAN device each, with forwarding entries for what lives elsewhere.

Nothing is flooded into a tunnel and nothing is learned from it. A frame leaves the host only for a MAC that the control
plane has placed on another host, and questions for a neighbour there are answered here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kilostack.drivers.net import command, links, names
from kilostack.drivers.net.firewall import link_local
from kilostack.drivers.net.links import Link, SeenLink
from kilostack.wire.network import Entry, Network, Port, tap_name

VXLAN_PORT = 4789

#: The frames of such a bridge pass through connection tracking.
_TRACKED = "nf_call_iptables 1 nf_call_ip6tables 1"
_QUIET = (("learning", "off"), ("flood", "off"), ("mcast_flood", "off"), ("bcast_flood", "off"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Underlay:
    """How this host takes part in the tunnels."""

    host: str
    address: str
    external_bridge: str | None


def bridge_of(network: Network, underlay: Underlay) -> str:
    """The bridge into which ports of `network` are plugged. Raises `CommandFailed` where there is none."""
    if not network.external:
        return names.bridge(network.id)
    if underlay.external_bridge is None:
        raise command.CommandFailed("this host has no way to an external network")
    return underlay.external_bridge


def segment_links(network: Network, underlay: Underlay) -> tuple[Link, ...]:
    """The links of a tenant network."""
    if network.vni is None:
        return ()
    bridge = names.bridge(network.id)
    return (
        Link(
            name=bridge,
            make=f"bridge mcast_snooping 0 {_TRACKED}",
            # Fixed: left alone it follows the ports, and each change of it empties the neighbour table.
            mac=_mac_of(network.id),
            mtu=network.mtu,
            silent=True,
        ),
        Link(
            name=names.vxlan(network.vni),
            make=f"vxlan id {network.vni} local {underlay.address} dstport {VXLAN_PORT} nolearning ttl 64",
            master=bridge,
            mtu=network.mtu,
            port_options=(*_QUIET, ("neigh_suppress", "on")),
            silent=True,
        ),
    )


def _mac_of(network_id: str) -> str:
    octets = hashlib.sha256(network_id.encode()).digest()[:5]
    return ":".join(["02", *(f"{octet:02x}" for octet in octets)])


def ensure_network(network: Network, underlay: Underlay, tunnels: Mapping[str, str]) -> None:
    """Bring segment and forwarding entries to what `network` says."""
    if network.vni is None:
        return
    seen = links.observe()
    bridge, vxlan = names.bridge(network.id), names.vxlan(network.vni)
    stale = vxlan in seen and seen[vxlan].info.get("local") != underlay.address
    if stale:
        seen.pop(vxlan)
    lines = links.changes(seen, segment_links(network, underlay))
    command.batch("ip", [*([f"link del {vxlan}"] if stale else []), *lines])
    if bridge not in seen:
        command.set_sysctls({f"net/ipv6/conf/{bridge}/accept_ra": "0"})
    _ensure_forwarding(network, underlay, tunnels)


def _ensure_forwarding(network: Network, underlay: Underlay, tunnels: Mapping[str, str]) -> None:
    assert network.vni is not None
    bridge, vxlan = names.bridge(network.id), names.vxlan(network.vni)
    away = elsewhere(network, underlay.host, tunnels)
    forwarding = command.ask(("bridge", "-j", "fdb", "show", "dev", vxlan))
    command.batch("bridge", forwarding_changes(forwarding, vxlan, away, tunnels))
    neighbours = command.ask(("ip", "-j", "neigh", "show", "dev", bridge, "nud", "permanent"))
    with_six = any(subnet.ip_version == 6 for subnet in network.subnets)
    command.batch("ip", neighbour_changes(neighbours, bridge, away, with_six))


def elsewhere(network: Network, host: str, tunnels: Mapping[str, str]) -> tuple[Entry, ...]:
    """The ports of `network` that live on another host that can be reached. The DHCP port lives on each."""
    here = {host, ""}
    return tuple(
        entry
        for entry in network.entries
        if entry.host not in here
        and entry.host in tunnels
        and (network.dhcp is None or entry.port_id != network.dhcp.port_id)
    )


def forwarding_changes(
    seen: Iterable[Mapping[str, object]], vxlan: str, away: Iterable[Entry], tunnels: Mapping[str, str]
) -> list[str]:
    """Lines for `bridge -batch`. Each MAC has two entries: the bridge's (which port) and the tunnel's (which host)."""
    wanted = {entry.mac.lower(): tunnels[entry.host] for entry in away}
    tunnel: dict[str, str] = {}
    ports: set[str] = set()
    for item in seen:
        mac = str(item["mac"])
        if "dst" in item:
            tunnel[mac] = str(item["dst"])
        elif item.get("state") == "static":
            ports.add(mac)
    lines = [f"fdb del {mac} dev {vxlan} dst {tunnel[mac]} self" for mac in sorted(tunnel.keys() - wanted.keys())]
    lines += [f"fdb del {mac} dev {vxlan} master" for mac in sorted(ports - wanted.keys())]
    for mac, address in sorted(wanted.items()):
        if tunnel.get(mac) != address:
            lines.append(f"fdb replace {mac} dev {vxlan} dst {address} self static")
        if mac not in ports:
            lines.append(f"fdb replace {mac} dev {vxlan} master static")
    return lines


def neighbour_changes(
    seen: Iterable[Mapping[str, object]], bridge: str, away: Iterable[Entry], with_six: bool
) -> list[str]:
    """Lines for `ip -batch`: from these entries the bridge answers ARP and neighbour discovery."""
    wanted: dict[str, str] = {}
    for entry in away:
        mac = entry.mac.lower()
        wanted.update({address: mac for _, address in entry.fixed_ips})
        if with_six:
            wanted[link_local(mac)] = mac
    have = {str(item["dst"]): str(item.get("lladdr")) for item in seen}
    lines = [f"neigh del {address} dev {bridge}" for address in sorted(have.keys() - wanted.keys())]
    lines += [
        f"neigh replace {address} lladdr {mac} dev {bridge} nud permanent"
        for address, mac in sorted(wanted.items())
        if have.get(address) != mac
    ]
    return lines


def ensure_tap(port: Port, network: Network, underlay: Underlay) -> None:
    """The port's tap in its bridge."""
    bridge, tap = bridge_of(network, underlay), tap_name(port.id)
    seen = links.observe()
    if bridge not in seen:
        raise command.CommandFailed(f"bridge {bridge} is not there")
    lines = [] if tap in seen else [f"tuntap add dev {tap} mode tap"]
    if network.external:
        lines += _track(seen[bridge])
    wanted = Link(name=tap, master=bridge, mtu=network.mtu, silent=True, up=port.admin_state_up)
    command.batch("ip", [*lines, *links.changes(seen, (wanted,))])


def _track(bridge: SeenLink) -> Iterable[str]:
    """The external bridge may not be ours; its frames are tracked only from when a guest is plugged in."""
    if bridge.info.get("nf_call_iptables") != 1:
        yield f"link set {bridge.name} type bridge {_TRACKED}"


def remove_network(short: str) -> None:
    """Take bridge and tunnel away."""
    bridge = names.BRIDGE + short
    seen = links.observe()
    own = [link.name for link in seen.values() if link.master == bridge and link.kind == "vxlan"]
    command.batch("ip", [f"link del {name}" for name in (*own, *([bridge] if bridge in seen else []))])


def remove_tap(short: str) -> None:
    """Take the tap of a port away."""
    tap = names.TAP + short
    if tap in links.observe():
        command.batch("ip", [f"link del {tap}"])
