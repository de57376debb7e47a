"""What to do next on a host's networks: desired, observed and what this process has seen done, in; actions, out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from kilostack.drivers.net import names
from kilostack.drivers.net.port import FilterInput, Observed
from kilostack.wire.network import Fabric, Group, Network, Port, Router


class Verb(Enum):
    """The driver's verbs, in the order in which a pass calls them."""

    ENSURE_HOST = "ensure_host"
    REMOVE_ROUTER = "remove_router"
    REMOVE_PORT = "remove_port"
    REMOVE_DHCP = "remove_dhcp"
    REMOVE_NETWORK = "remove_network"
    ENSURE_NETWORK = "ensure_network"
    ENSURE_PORT = "ensure_port"
    ENSURE_FILTER = "ensure_filter"
    ENSURE_DHCP = "ensure_dhcp"
    ENSURE_ROUTER = "ensure_router"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One call of the driver."""

    verb: Verb
    #: the object's id; its short id where it is removed
    key: str = ""
    #: all that the result depends on: an equal one that has been done need not be done again
    basis: Any = None

    @property
    def name(self) -> tuple[Verb, str]:
        return self.verb, self.key


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """The network stream of this host, by kind."""

    networks: Mapping[str, Network] = field(default_factory=dict)
    ports: Mapping[str, Port] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    routers: Mapping[str, Router] = field(default_factory=dict)
    #: host -> where tunnels to it end
    tunnels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, objects: Mapping[str, object]) -> Desired:
        """Sort the objects of the stream by their kind."""
        found = objects.values()
        fabric = next((item for item in found if isinstance(item, Fabric)), None)
        return cls(
            networks={item.id: item for item in found if isinstance(item, Network)},
            ports={item.id: item for item in found if isinstance(item, Port)},
            groups={item.id: item for item in found if isinstance(item, Group)},
            routers={item.id: item for item in found if isinstance(item, Router)},
            tunnels=dict(fabric.tunnels) if fabric else {},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What this process knows of its own doing. A new process knows nothing and does all of it again, once."""

    #: action name -> basis that was done
    done: Mapping[tuple[Verb, str], Any] = field(default_factory=dict)
    #: short ids of ports that their guests have given back
    released: frozenset[str] = frozenset()


def plan(desired: Desired, observed: Observed, progress: Progress) -> list[Action]:
    """The actions that are left, in order. An object whose network has not arrived yet waits for it."""
    wanted = [
        *_host(),
        *_networks(desired),
        *_ports(desired),
        *_filter(desired),
        *_dhcp(desired),
        *_routers(desired),
    ]
    left = [
        action
        for action in wanted
        if progress.done.get(action.name, _NEVER) != action.basis or not _is_there(action, observed)
    ]
    removals = _removals(desired, observed, progress.released)
    order = list(Verb)
    return sorted([*removals, *left], key=lambda action: order.index(action.verb))


_NEVER = object()


def ready_ports(desired: Desired, progress: Progress) -> frozenset[str]:
    """The ports on which a guest may be started: plugged, filtered, and their network answers DHCP."""

    def done(actions: Iterable[Action]) -> set[str]:
        return {action.key for action in actions if progress.done.get(action.name, _NEVER) == action.basis}

    if not done(_filter(desired)):
        return frozenset()
    plugged, answered = done(_ports(desired)), done(_dhcp(desired))
    return frozenset(
        key
        for key in plugged
        if (network := desired.networks[desired.ports[key].network_id]).dhcp is None or network.id in answered
    )


def is_routing(router: Router, desired: Desired, progress: Progress) -> bool:
    """Whether the router does all that it should."""
    return any(
        action.key == router.id and progress.done.get(action.name, _NEVER) == action.basis
        for action in _routers(desired)
    )


def filter_input(desired: Desired) -> FilterInput:
    """What the packet filter is made from: ports whose network is known."""
    ports = {key: port for key, port in desired.ports.items() if port.network_id in desired.networks}
    return FilterInput(ports=ports, networks=desired.networks, groups=desired.groups)


def router_networks(router: Router, desired: Desired) -> dict[str, Network] | None:
    """The networks that a router touches; None while one of them has not arrived."""
    used = [leg.network_id for leg in router.legs] + ([router.gateway.network_id] if router.gateway else [])
    if any(network not in desired.networks for network in used):
        return None
    return {network: desired.networks[network] for network in used}


def _host() -> Iterable[Action]:
    yield Action(verb=Verb.ENSURE_HOST, basis=True)


def _networks(desired: Desired) -> Iterable[Action]:
    for network in desired.networks.values():
        if not network.external:
            hosts = {entry.host for entry in network.entries}
            tunnels = {host: address for host, address in desired.tunnels.items() if host in hosts}
            yield Action(verb=Verb.ENSURE_NETWORK, key=network.id, basis=(network, tunnels))


def _ports(desired: Desired) -> Iterable[Action]:
    for port in desired.ports.values():
        if (network := desired.networks.get(port.network_id)) is not None:
            yield Action(verb=Verb.ENSURE_PORT, key=port.id, basis=(port.admin_state_up, network.mtu))


def _filter(desired: Desired) -> Iterable[Action]:
    policy = filter_input(desired)
    segments = {port.network_id: policy.networks[port.network_id].vni for port in policy.ports.values()}
    yield Action(verb=Verb.ENSURE_FILTER, basis=(policy.ports, segments, policy.groups))


def _dhcp(desired: Desired) -> Iterable[Action]:
    for network in desired.networks.values():
        if network.dhcp is not None:
            yield Action(verb=Verb.ENSURE_DHCP, key=network.id, basis=network)


def _routers(desired: Desired) -> Iterable[Action]:
    for router in desired.routers.values():
        if router.admin_state_up and (networks := router_networks(router, desired)) is not None:
            mtus = {key: network.mtu for key, network in networks.items()}
            yield Action(verb=Verb.ENSURE_ROUTER, key=router.id, basis=(router, mtus))


def _is_there(action: Action, observed: Observed) -> bool:
    short = names.short(action.key)
    match action.verb:
        case Verb.ENSURE_NETWORK:
            return short in observed.networks
        case Verb.ENSURE_PORT:
            return short in observed.ports
        case Verb.ENSURE_DHCP:
            return short in observed.dhcp
        case Verb.ENSURE_ROUTER:
            return short in observed.routers
        case _:
            return True


def _removals(desired: Desired, observed: Observed, released: frozenset[str]) -> Iterable[Action]:
    networks = {names.short(item.id) for item in desired.networks.values()}
    dhcp = {names.short(item.id) for item in desired.networks.values() if item.dhcp is not None}
    ports = {names.short(item.id) for item in desired.ports.values()}
    routers = {names.short(item.id) for item in desired.routers.values() if item.admin_state_up}
    for short in sorted(observed.routers - routers):
        yield Action(verb=Verb.REMOVE_ROUTER, key=short)
    for short, in_use in sorted(observed.ports.items()):
        if short not in ports and (short in released or not in_use):
            yield Action(verb=Verb.REMOVE_PORT, key=short)
    for short in sorted(observed.dhcp - dhcp):
        yield Action(verb=Verb.REMOVE_DHCP, key=short)
    for short in sorted(observed.networks - networks):
        yield Action(verb=Verb.REMOVE_NETWORK, key=short)
