"""The simulated twin of the host's networks: the same verbs over a host that is a record in memory.

Frames do not exist here, but who may talk to whom does: `connects` answers it from what has been ensured, by the same
rules that the real filter is made from.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from kilostack.core.world import World
from kilostack.drivers.net import firewall, flows, names
from kilostack.drivers.net.flows import Flow
from kilostack.drivers.net.port import FilterInput, NetworkFailed, Observed
from kilostack.wire.network import Network, Port, Router

T = TypeVar("T")

#: How long a verb that changes something takes.
_VERB_S = 0.01


@dataclass(slots=True)
class SimulatedHostNetwork:
    """What survives the agent, as a kernel does. Keys are the short ids that real names carry."""

    networks: dict[str, Network] = field(default_factory=dict)
    tunnels: dict[str, str] = field(default_factory=dict)
    ports: dict[str, Port] = field(default_factory=dict)
    dhcp: dict[str, Network] = field(default_factory=dict)
    routers: dict[str, Router] = field(default_factory=dict)
    policy: FilterInput | None = None
    #: ports whose tap a guest has open
    in_use: set[str] = field(default_factory=set)
    #: verb -> how many of its next calls fail
    failures: Counter[str] = field(default_factory=Counter)
    #: how many verbs changed something
    changes: int = 0

    def connects(self, flow: Flow, network_id: str) -> bool:
        """Whether the first packet of `flow` would pass the ports of this host in that network."""
        if self.policy is None:
            return False
        segments = {
            port.id: firewall.Segment(bridge="", zone=firewall.zone_of(self.policy.networks[port.network_id].vni))
            for port in self.policy.ports.values()
            if port.network_id == network_id
        }
        ports = {key: port for key, port in self.policy.ports.items() if key in segments}
        policy = firewall.Policy(ports=ports, segments=segments, groups=self.policy.groups)
        zones = {segment.zone for segment in segments.values()}
        return all(flows.is_allowed(policy, zone, flow) for zone in zones)


class SimulatedNetworks:
    """A `NetworkDriver` over a `SimulatedHostNetwork`."""

    def __init__(self, world: World, host: SimulatedHostNetwork) -> None:
        self._world = world
        self._host = host

    async def _begin(self, verb: str) -> None:
        await self._world.sleep(_VERB_S)
        if self._host.failures[verb] > 0:
            self._host.failures[verb] -= 1
            raise NetworkFailed(f"{verb} was told to fail")

    def _put(self, place: dict[str, T], key: str, value: T) -> None:
        if place.get(key) != value:
            place[key] = value
            self._host.changes += 1

    def _drop(self, place: dict[str, T], key: str) -> None:
        if place.pop(key, None) is not None:
            self._host.changes += 1

    async def observe(self) -> Observed:
        host = self._host
        return Observed(
            networks=frozenset(host.networks),
            dhcp=frozenset(host.dhcp),
            routers=frozenset(host.routers),
            ports={key: key in host.in_use for key in host.ports},
        )

    async def ensure_host(self) -> None:
        await self._begin("ensure_host")

    async def ensure_network(self, network: Network, tunnels: Mapping[str, str]) -> None:
        await self._begin("ensure_network")
        if not network.external:
            self._put(self._host.networks, names.short(network.id), network)
        for host, address in tunnels.items():
            self._put(self._host.tunnels, host, address)

    async def ensure_port(self, port: Port, network: Network) -> None:
        await self._begin("ensure_port")
        if not network.external and names.short(network.id) not in self._host.networks:
            raise NetworkFailed(f"bridge {names.bridge(network.id)} is not there")
        self._put(self._host.ports, names.short(port.id), port)

    async def ensure_filter(self, policy: FilterInput) -> None:
        await self._begin("ensure_filter")
        if self._host.policy != policy:
            self._host.policy = policy
            self._host.changes += 1

    async def ensure_dhcp(self, network: Network) -> None:
        await self._begin("ensure_dhcp")
        self._put(self._host.dhcp, names.short(network.id), network)

    async def ensure_router(self, router: Router, networks: Mapping[str, Network]) -> None:
        await self._begin("ensure_router")
        for leg in router.legs:
            if names.short(leg.network_id) not in self._host.networks:
                raise NetworkFailed(f"bridge {names.bridge(networks[leg.network_id].id)} is not there")
        self._put(self._host.routers, names.short(router.id), router)

    async def remove_port(self, port: str) -> None:
        await self._begin("remove_port")
        self._drop(self._host.ports, port)
        self._host.in_use.discard(port)

    async def remove_dhcp(self, network: str) -> None:
        await self._begin("remove_dhcp")
        self._drop(self._host.dhcp, network)

    async def remove_network(self, network: str) -> None:
        await self._begin("remove_network")
        self._drop(self._host.networks, network)

    async def remove_router(self, router: str) -> None:
        await self._begin("remove_router")
        self._drop(self._host.routers, router)

    async def remove_host(self) -> None:
        await self._begin("remove_host")
        self._host.policy = None
        self._host.tunnels.clear()

    async def dhcp_listener(self, network: str) -> socket.socket | None:
        return None

    async def router_listener(self, router: str) -> socket.socket | None:
        return None
