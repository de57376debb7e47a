"""The network part of a host's agent: makes the host's networks what the control plane wants, and says what it sees."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kilostack.agents.network.metadata import FindGuest, MetadataService
from kilostack.agents.network.plan import (
    Action,
    Desired,
    Progress,
    Verb,
    filter_input,
    is_routing,
    plan,
    ready_ports,
    router_networks,
)
from kilostack.core.world import World
from kilostack.drivers.net import names
from kilostack.drivers.net.port import NetworkDriver, NetworkFailed, Observed
from kilostack.wire.network import PortReport, Router, RouterReport

Report = PortReport | RouterReport

log = logging.getLogger(__name__)

#: How often the whole is done again, to mend what others have broken.
SWEEP_S = 60.0
#: How soon to look again at a host that could not be seen, or at a tap that is not wanted but may still be open.
_LOOK_AGAIN_S = 1.0
_RETRY_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


@dataclass(slots=True)
class _Trouble:
    """An action that failed."""

    count: int
    again_at: float


@dataclass(slots=True)
class _State:
    """What one process knows; a new one starts empty and finds the rest on the host."""

    desired: Desired = field(default_factory=Desired)
    is_complete: bool = False
    done: dict[tuple[Verb, str], Any] = field(default_factory=dict)
    released: set[str] = field(default_factory=set)
    trouble: dict[tuple[Verb, str], _Trouble] = field(default_factory=dict)
    ready: frozenset[str] = frozenset()
    reported: dict[str, Report] = field(default_factory=dict)
    #: a port has left the desired state, but its guest still has the tap
    lingers: bool = False
    #: the host could not be looked at
    is_blind: bool = False

    def progress(self) -> Progress:
        return Progress(done=self.done, released=frozenset(self.released))


class NetworkPart:
    """The part of the agent that owns the host's networks.

    It is also the guests part's `PortsReady`: a guest starts once its ports are ready, and gives them back when it is
    gone, so that no tap is taken away under a running guest.
    """

    service = "network"

    def __init__(self, world: World, driver: NetworkDriver, guest: FindGuest) -> None:
        self._world = world
        self._driver = driver
        self._state = _State()
        self._wake = asyncio.Event()
        self._ready_changed = asyncio.Condition()
        self._metadata = MetadataService(world, driver, guest)

    def changed(self, desired: Mapping[str, object], complete: bool) -> None:
        """The desired state has become this. Until it is `complete` for the first time nothing on the host is touched,
        because what is not mentioned would look unwanted."""
        if not complete:
            return
        self._state.desired = Desired.of(desired)
        self._state.is_complete = True
        self._metadata.changed(self._state.desired)
        self._wake.set()

    def reports(self) -> list[Report]:
        """The present report of every port and router."""
        return list(self._state.reported.values())

    async def wait_ready(self, port_ids: Iterable[str]) -> None:
        """Return once a guest may be started on all these ports, which may become desired only later."""
        wanted = frozenset(port_ids)
        async with self._ready_changed:
            await self._ready_changed.wait_for(lambda: wanted <= self._state.ready)

    def release(self, port_ids: Iterable[str]) -> None:
        """The guest that used these ports is gone. Ports that stay desired keep their taps."""
        self._state.released |= {names.short(port_id) for port_id in port_ids}
        self._wake.set()

    async def run(self, report: Callable[[Report], None]) -> None:
        """Keep the host as desired, for ever. `report` is told of each port and router whose state has changed."""
        sweep_at = self._world.monotonic() + SWEEP_S
        try:
            while True:
                self._wake.clear()
                if self._state.is_complete:
                    if self._world.monotonic() >= sweep_at:
                        self._state.done.clear()
                        sweep_at = self._world.monotonic() + SWEEP_S
                    await self._pass(report)
                await self._rest(sweep_at)
        finally:
            await self._metadata.close()

    async def down(self) -> None:
        """Take everything from the host that this part has made there, whoever of its processes made it. Call it when
        `run` has ended and no guest is left."""
        observed = await self._driver.observe()
        for router in observed.routers:
            await self._driver.remove_router(router)
        for port in observed.ports:
            await self._driver.remove_port(port)
        for network in observed.dhcp:
            await self._driver.remove_dhcp(network)
        for network in observed.networks:
            await self._driver.remove_network(network)
        await self._driver.remove_host()
        self._state = _State()

    # One pass.

    async def _pass(self, report: Callable[[Report], None]) -> None:
        """Do what is left, in order; what fails is tried again later and does not keep the rest from being done."""
        try:
            observed = await self._driver.observe()
        except NetworkFailed as error:
            log.error("cannot look at the host's networks", extra={"error": str(error)})
            self._state.is_blind = True
            return
        desired = self._state.desired
        self._state.is_blind = False
        self._forget(observed)
        # What guests wait for is told as soon as it is so, before the routers.
        last = Verb.ENSURE_DHCP
        actions = plan(desired, observed, self._state.progress())
        going = {action.key for action in actions if action.verb is Verb.REMOVE_PORT}
        self._state.lingers = bool(observed.ports.keys() - going - {names.short(port) for port in desired.ports})
        for action in actions:
            if self._is_waiting(action):
                continue
            if action.verb is Verb.ENSURE_ROUTER and last is not action.verb:
                pending = frozenset(item.key for item in actions if item.verb is action.verb)
                await self._tell(desired, report, pending)
            last = action.verb
            await self._act(action, desired)
        await self._tell(desired, report, frozenset())
        await self._metadata.listen(self._places(desired))

    def _forget(self, observed: Observed) -> None:
        """Drop what is known about objects that are neither wanted nor there."""
        desired = self._state.desired
        alive = {"", *desired.networks, *desired.ports, *desired.routers}
        alive |= {*observed.networks, *observed.ports, *observed.dhcp, *observed.routers}
        for known in (self._state.done, self._state.trouble):
            for name in [name for name in known if name[1] not in alive]:
                known.pop(name)
        self._state.released &= observed.ports.keys() - {names.short(port) for port in desired.ports}

    def _is_waiting(self, action: Action) -> bool:
        trouble = self._state.trouble.get(action.name)
        return trouble is not None and trouble.again_at > self._world.monotonic()

    async def _act(self, action: Action, desired: Desired) -> None:
        try:
            await self._call(action, desired)
        except NetworkFailed as error:
            before = self._state.trouble.get(action.name)
            count = before.count + 1 if before else 1
            pause = _RETRY_S[min(count, len(_RETRY_S)) - 1]
            self._state.trouble[action.name] = _Trouble(count, self._world.monotonic() + pause)
            self._state.done.pop(action.name, None)
            log.warning(
                "%s failed", action.verb.value, extra={"object": action.key, "error": str(error), "retry_s": pause}
            )
            return
        self._state.trouble.pop(action.name, None)
        if action.basis is not None:
            self._state.done[action.name] = action.basis

    async def _call(self, action: Action, desired: Desired) -> None:
        driver, key = self._driver, action.key
        match action.verb:
            case Verb.ENSURE_HOST:
                await driver.ensure_host()
            case Verb.ENSURE_NETWORK:
                await driver.ensure_network(desired.networks[key], desired.tunnels)
            case Verb.ENSURE_PORT:
                port = desired.ports[key]
                await driver.ensure_port(port, desired.networks[port.network_id])
            case Verb.ENSURE_FILTER:
                await driver.ensure_filter(filter_input(desired))
            case Verb.ENSURE_DHCP:
                await driver.ensure_dhcp(desired.networks[key])
            case Verb.ENSURE_ROUTER:
                router = desired.routers[key]
                await driver.ensure_router(router, router_networks(router, desired) or {})
            case Verb.REMOVE_PORT:
                await driver.remove_port(key)
                self._state.released.discard(key)
            case Verb.REMOVE_DHCP:
                await self._metadata.leave(("dhcp", key))
                await driver.remove_dhcp(key)
            case Verb.REMOVE_NETWORK:
                await driver.remove_network(key)
            case Verb.REMOVE_ROUTER:
                await self._metadata.leave(("router", key))
                await driver.remove_router(key)

    def _places(self, desired: Desired) -> list[tuple[str, str]]:
        """Where metadata is to be answered: behind each DHCP port and each router that stands."""
        dhcp = [("dhcp", names.short(key)) for verb, key in self._state.done if verb is Verb.ENSURE_DHCP]
        routers = [("router", names.short(key)) for verb, key in self._state.done if verb is Verb.ENSURE_ROUTER]
        wanted = {names.short(key) for key in (*desired.networks, *desired.routers)}
        return [place for place in (*dhcp, *routers) if place[1] in wanted]

    # What is seen.

    async def _tell(self, desired: Desired, report: Callable[[Report], None], pending: frozenset[str]) -> None:
        """Report what has changed; of `pending` routers nothing new is known yet."""
        progress = self._state.progress()
        ready = ready_ports(desired, progress)
        fresh: dict[str, Report] = {}
        for port in desired.ports.values():
            is_up = port.id in ready and port.admin_state_up
            fresh[port.id] = PortReport(id=port.id, revision=port.revision, state="active" if is_up else "down")
        for router in desired.routers.values():
            if router.id not in pending:
                fresh[router.id] = _router_report(router, is_up=is_routing(router, desired, progress))
            elif router.id in self._state.reported:
                fresh[router.id] = self._state.reported[router.id]
        before, self._state.reported = self._state.reported, fresh
        for key, item in fresh.items():
            if before.get(key) != item:
                report(item)
        if ready != self._state.ready:
            self._state.ready = ready
            async with self._ready_changed:
                self._ready_changed.notify_all()

    async def _rest(self, sweep_at: float) -> None:
        """Until something changes, or the next retry or sweep is due."""
        if self._wake.is_set():
            return
        now = self._world.monotonic()
        due = min([sweep_at, *(trouble.again_at for trouble in self._state.trouble.values())])
        if self._state.lingers or self._state.is_blind:
            due = min(due, now + _LOOK_AGAIN_S)
        try:
            async with self._world.timeout(max(0.0, due - now)):
                await self._wake.wait()
        except TimeoutError:
            return


def _router_report(router: Router, *, is_up: bool) -> RouterReport:
    floating = tuple(item.floating_ip for item in router.floating_ips) if is_up else ()
    return RouterReport(
        id=router.id, revision=router.revision, floating_ips=floating, state="active" if is_up else "down"
    )
