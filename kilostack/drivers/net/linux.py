"""Networks of this host by bridges, VXLAN, nftables, dnsmasq and network namespaces."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from kilostack.core.world import World
from kilostack.drivers.net import command, conntrack, dhcp, dnsmasq, firewall, flows, links, names, routers, switch
from kilostack.drivers.net.firewall import METADATA_ADDRESS, RELAY_ADDRESS, Policy, Segment
from kilostack.drivers.net.links import Link
from kilostack.drivers.net.port import FilterInput, NetworkFailed, Observed
from kilostack.wire.network import Network, Port, Router

T = TypeVar("T")

_METADATA_BACKLOG = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class HostNetwork:
    """What the driver is told about its host. The process already runs in the host's network namespace."""

    #: as `Entry.host` names it
    host: str
    #: begins the names of all namespaces that are made for this host
    prefix: str
    #: where tunnels to this host end
    address: str
    external_bridge: str | None = None
    #: the name server that answers this host; None: those of /etc/resolv.conf
    resolver: str | None = None
    run_dir: Path = dnsmasq.RUN_DIR

    @property
    def directory(self) -> Path:
        """Files of the name service and DHCP processes."""
        return self.run_dir / self.prefix


class LinuxNetworks:
    """The real `NetworkDriver`. Blocking work runs in the world's threads, one verb at a time."""

    def __init__(self, world: World, settings: HostNetwork) -> None:
        self._world = world
        self._settings = settings
        self._turn = asyncio.Lock()
        self._underlay = switch.Underlay(
            host=settings.host, address=settings.address, external_bridge=settings.external_bridge
        )
        self._policy: Policy | None = None
        #: connections may be marked as cut; true until a look has shown that none is
        self._has_cut = True

    async def _do(self, call: Callable[..., T], *args: Any) -> T:
        async with self._turn:
            try:
                return await self._world.in_thread(call, *args)
            except (command.CommandFailed, OSError, LookupError, ValueError) as error:
                # The last two are what an object that makes no sense ends in: its own trouble, not that of the host.
                raise NetworkFailed(str(error)) from error

    async def observe(self) -> Observed:
        return await self._do(self._observe)

    def _observe(self) -> Observed:
        seen = links.observe()
        spaces = command.namespaces()
        prefix = self._settings.prefix
        return Observed(
            networks=names.shorts_after(names.BRIDGE, frozenset(seen)),
            dhcp=names.shorts_after(names.dhcp_namespace(prefix, ""), spaces),
            routers=names.shorts_after(names.router_namespace(prefix, ""), spaces),
            ports={short: seen[names.TAP + short].carrier for short in names.shorts_after(names.TAP, frozenset(seen))},
        )

    async def ensure_host(self) -> None:
        await self._do(self._ensure_host)

    def _ensure_host(self) -> None:
        _check_tracking()
        relay = Link(name="lo", mtu=65536, up=True)
        seen = links.observe()
        lines = links.changes(seen, (relay,))
        if f"{RELAY_ADDRESS}/32" not in seen["lo"].addresses:
            lines.append(f"addr add {RELAY_ADDRESS}/32 dev lo")
        command.batch("ip", lines)
        directory = self._settings.directory / "relay"
        dnsmasq.make_directory(directory)
        resolver = self._settings.resolver
        upstream = ("--no-resolv", f"--server={resolver}") if resolver else ("--resolv-file=/etc/resolv.conf",)
        dnsmasq.ensure(directory, (f"--listen-address={RELAY_ADDRESS}", *upstream))

    async def ensure_network(self, network: Network, tunnels: Mapping[str, str]) -> None:
        await self._do(lambda: switch.ensure_network(network, self._underlay, tunnels))

    async def ensure_port(self, port: Port, network: Network) -> None:
        await self._do(lambda: switch.ensure_tap(port, network, self._underlay))

    async def ensure_dhcp(self, network: Network) -> None:
        await self._do(self._ensure_dhcp, network)

    def _ensure_dhcp(self, network: Network) -> None:
        bridge = switch.bridge_of(network, self._underlay)
        dhcp.ensure(network, bridge, self._dhcp_namespace(network.id), self._dhcp_directory(network.id))

    def _dhcp_namespace(self, network: str) -> str:
        return names.dhcp_namespace(self._settings.prefix, network)

    def _dhcp_directory(self, network: str) -> Path:
        return self._settings.directory / f"dhcp-{names.short(network)}"

    async def ensure_router(self, router: Router, networks: Mapping[str, Network]) -> None:
        await self._do(self._ensure_router, router, networks)

    def _ensure_router(self, router: Router, networks: Mapping[str, Network]) -> None:
        used = [leg.network_id for leg in router.legs] + ([router.gateway.network_id] if router.gateway else [])
        bridges = {network: switch.bridge_of(networks[network], self._underlay) for network in used}
        routers.ensure(router, networks, names.router_namespace(self._settings.prefix, router.id), bridges)

    # The filter.

    async def ensure_filter(self, policy: FilterInput) -> None:
        await self._do(self._ensure_filter, policy)

    def _ensure_filter(self, wanted: FilterInput) -> None:
        segments = {
            port.id: Segment(bridge=switch.bridge_of(network, self._underlay), zone=firewall.zone_of(network.vni))
            for port in wanted.ports.values()
            if (network := wanted.networks.get(port.network_id)) is not None
        }
        ports = {key: port for key, port in wanted.ports.items() if port.id in segments}
        policy = Policy(ports=ports, segments=segments, groups=wanted.groups)
        rules = firewall.render(policy)
        chain = firewall.digest_chain(rules.digest)
        if command.is_true(("nft", "list", "chain", "bridge", firewall.TABLE, chain)):
            self._policy = policy
            return
        command.nft(rules.text)
        before = self._policy
        if before is not None:
            _forget(policy, before)
        if before is None or self._has_cut or flows.is_narrower(policy, before):
            self._has_cut = _cut(policy)
        self._policy = policy

    # Taking away.

    async def remove_port(self, port: str) -> None:
        await self._do(switch.remove_tap, port)

    async def remove_dhcp(self, network: str) -> None:
        await self._do(dhcp.remove, network, self._dhcp_namespace(network), self._dhcp_directory(network))

    async def remove_network(self, network: str) -> None:
        await self._do(switch.remove_network, network)

    async def remove_router(self, router: str) -> None:
        await self._do(routers.remove, names.router_namespace(self._settings.prefix, router))

    async def remove_host(self) -> None:
        await self._do(self._remove_host)

    def _remove_host(self) -> None:
        dnsmasq.stop(self._settings.directory / "relay")
        if self._settings.directory.is_dir():
            self._settings.directory.rmdir()
        self._policy = None
        command.nft(firewall.removal())
        if f"{RELAY_ADDRESS}/32" in links.observe()["lo"].addresses:
            command.batch("ip", [f"addr del {RELAY_ADDRESS}/32 dev lo"])

    # Metadata.

    async def dhcp_listener(self, network: str) -> socket.socket | None:
        return await self._do(_listen, self._dhcp_namespace(network))

    async def router_listener(self, router: str) -> socket.socket | None:
        return await self._do(_listen, names.router_namespace(self._settings.prefix, router))


def _listen(namespace: str) -> socket.socket:
    """A socket belongs for ever to the namespace in which it was opened, whoever reads from it."""
    with command.entered(namespace):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((METADATA_ADDRESS, 80))
        listener.listen(_METADATA_BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _check_tracking() -> None:
    """Raises `CommandFailed` where the kernel cannot track the connections of bridged frames."""
    switch_file = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    if not switch_file.exists():
        command.is_true(("modprobe", "br_netfilter"))
    if not switch_file.exists():
        raise command.CommandFailed("this kernel has no br_netfilter: security groups cannot be made")


def _forget(policy: Policy, before: Policy) -> None:
    """Drop the tracked connections of ports that have gone: their addresses may soon be another guest's."""
    gone = {
        (before.segments[key].zone, address)
        for key, port in before.ports.items()
        if key not in policy.ports
        for _, address in port.fixed_ips
    }
    if not gone:
        return
    with conntrack.Conntrack() as table:
        for entry in table.entries():
            if (entry.zone, entry.flow.source) in gone or (entry.zone, entry.flow.target) in gone:
                table.delete(entry)


def _cut(policy: Policy) -> bool:
    """Mark tracked connections that no rule allows any more, and take the mark from those that one allows again. True
    when some are marked now.

    Marked rather than dropped: an entry that is dropped comes back with the next packet of the guest itself, whose
    replies would then pass again.
    """
    zones = {segment.zone for segment in policy.segments.values()}
    marked = False
    with conntrack.Conntrack() as table:
        for entry in table.entries():
            if entry.zone not in zones:
                continue
            mark = 0 if flows.is_allowed(policy, entry.zone, entry.flow) else firewall.CUT
            marked = marked or mark != 0
            if mark != entry.mark:
                table.mark(entry, mark)
    return marked
