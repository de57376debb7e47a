"""Gateways, agents and stand-ins for services on virtual time; each process and connection may be lost at any time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec

from kilostack.agents.runtime.runtime import AgentRuntime, RuntimeParts
from kilostack.agents.runtime.streams import GUEST_TYPES, NETWORK_TYPES, Attached
from kilostack.bus.hints import LocalHints
from kilostack.core.errors import Refused, Unavailable
from kilostack.drivers.guests.port import GuestFault
from kilostack.gateway.gateway import Gateway, GatewayParts
from kilostack.wire.calls import Actor, Answers, Nothing, Op
from kilostack.wire.compute import Guest, GuestReport, HostFacts, ImageRef, Metadata
from kilostack.wire.framing import Channel, Closed, MemoryChannel, memory_pair
from kilostack.wire.hosts import (
    Beat,
    ChangesAsked,
    ChangesSeen,
    Connect,
    Connected,
    Disconnect,
    HostOps,
    HostState,
    HostStateAsked,
    Reported,
)
from kilostack.wire.network import Port, PortReport
from tests.sim.loop import VirtualLoop
from tests.sim.world import SimWorld

SERVICES = ("compute", "network")


def guest(name: str, revision: int, image: str = "image-1") -> Guest:
    metadata = Metadata(hostname=name, name=name, project_id="p", user_id="u", availability_zone="nova")
    ref = ImageRef(id=image, disk_format="raw", size_bytes=10, sha512="")
    return Guest(
        id=name,
        generation=revision,
        name=name,
        vcpus=1,
        memory_mib=64,
        disk_gib=1,
        image=ref,
        nics=(),
        power="on",
        boot=1,
        metadata=metadata,
    )


def port(name: str, revision: int) -> Port:
    return Port(
        id=name,
        revision=revision,
        network_id="n",
        mac="fa:16:3e:00:00:01",
        fixed_ips=(),
        device_id="",
        security_groups=(),
    )


class StandIn:
    """A service with desired state on hosts: what it was told, and what it was asked."""

    def __init__(self, name: str) -> None:
        self.name, self.ops = name, HostOps(name)
        self.prefix = "guest" if name == "compute" else "port"
        #: host -> key -> revision
        self.desired: dict[str, dict[str, int]] = {}
        self.removed: set[str] = set()
        self.feed: list[tuple[str, ...]] = []
        self.epochs: dict[str, int] = {}
        self.connected: dict[str, str] = {}
        self.seen: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.beats: dict[str, int] = {}
        self.refuse: Callable[[dict[str, Any]], None] = lambda report: None
        self.changed: Callable[[], None] = lambda: None
        self.answers = Answers()
        for op, handler in (
            (self.ops.connect, self._connect),
            (self.ops.disconnect, self._disconnect),
            (self.ops.state, self._state),
            (self.ops.changes, self._changes),
            (self.ops.report, self._report),
            (self.ops.beat, self._beat),
        ):
            self.answers.add(op, handler)  # type: ignore[arg-type]

    def want(self, host: str, name: str, revision: int | None) -> None:
        """Desire an object on a host, or no more. A change of one that the host knows does not name the host."""
        key = f"{self.prefix}/{name}"
        mine = self.desired.setdefault(host, {})
        self.feed.append((key,) if key in mine and revision is not None else (key, f"host/{host}"))
        if revision is None:
            mine.pop(key, None)
            self.removed.add(name)
        else:
            mine[key] = revision
        self.changed()

    def settled(self, host: str) -> bool:
        """Whether the host has said of everything that it is as desired."""
        seen = self.seen.get(host, {})
        for key, revision in self.desired.get(host, {}).items():
            report = seen.get(key.partition("/")[2])
            if report is None or report.get("generation", report.get("revision")) != revision:
                return False
        if self.name != "compute":
            return True
        wanted = {key.partition("/")[2] for key in self.desired.get(host, {})}
        return all(report["state"] == "absent" for name, report in seen.items() if name not in wanted)

    async def _connect(self, asked: Connect, actor: Actor) -> Connected:
        self.epochs[asked.host] = self.epochs.get(asked.host, 0) + 1
        self.connected[asked.host] = asked.gateway
        return Connected(self.epochs[asked.host])

    async def _disconnect(self, asked: Disconnect, actor: Actor) -> Nothing:
        if self.epochs.get(asked.host) == asked.epoch:
            self.connected.pop(asked.host, None)
        return Nothing()

    async def _state(self, asked: HostStateAsked, actor: Actor) -> HostState:
        self.asked.append(asked.host)
        mine = self.desired.get(asked.host, {})
        changed: dict[str, msgspec.Raw] = {}
        for key, revision in mine.items():
            if asked.known.get(key) != revision:
                name = key.partition("/")[2]
                thing = guest(name, revision) if self.name == "compute" else port(name, revision)
                changed[key] = msgspec.Raw(msgspec.json.encode(thing))
        gone = [key for key in asked.known if key not in mine]
        unheard = [
            f"{self.prefix}/{name}"
            for name in sorted(self.removed)
            if self.name == "compute" and self.seen.get(asked.host, {}).get(name, {"state": ""})["state"] != "absent"
        ]
        removed = tuple(dict.fromkeys([*gone, *(key for key in unheard if key not in mine)]))
        return HostState(changed=changed, revisions={key: mine[key] for key in changed}, removed=removed)

    async def _changes(self, asked: ChangesAsked, actor: Actor) -> ChangesSeen:
        keys = dict.fromkeys(key for entry in self.feed[asked.after :] for key in entry)
        return ChangesSeen(len(self.feed), tuple(keys))

    async def _report(self, reported: Reported, actor: Actor) -> Nothing:
        if self.epochs.get(reported.host) != reported.epoch:
            raise Refused("an old epoch")
        decoded = [msgspec.json.decode(raw) for raw in reported.reports]
        for report in decoded:
            self.refuse(report)
        for report in decoded:
            self.seen.setdefault(reported.host, {})[report["id"]] = report
        return Nothing()

    async def _beat(self, asked: Beat, actor: Actor) -> Nothing:
        assert asked.beat == 0 or asked.beat >= self.beats.get(asked.gateway, 0)
        self.beats[asked.gateway] = asked.beat
        return Nothing()


class WeakCalls:
    """Calls that take time, and that fail before or after they have had their effect."""

    def __init__(self, world: SimWorld, table: Mapping[str, Any], rack: Rack) -> None:
        self._world, self._table, self._rack = world, table, rack

    async def call(self, op: Op[Any, Any], params: Any, actor: Actor) -> Any:
        chance = self._rack.chance
        await self._world.sleep(chance.uniform(0, self._rack.call_s))
        self._fail(op)
        declared, handler = self._table[op.name]
        result = await handler(declared.decode_params(msgspec.json.encode(params)), actor)
        await self._world.sleep(chance.uniform(0, self._rack.call_s))
        self._fail(op)
        return op.decode_result(msgspec.json.encode(result))

    def _fail(self, op: Op[Any, Any]) -> None:
        if op.name.partition(".")[0] in self._rack.away or self._rack.chance.random() < self._rack.failing:
            raise Unavailable(f"{op.name} is away")


class MemoryStore:
    """A journal that outlives agents."""

    def __init__(self) -> None:
        self.content: bytes | None = None

    def read(self) -> bytes | None:
        return self.content

    def write(self, content: bytes) -> None:
        self.content = content


class HostPart:
    """A part whose host is a dictionary that outlives agents: name -> revision."""

    def __init__(self, world: SimWorld, service: StandIn, disk: dict[str, int]) -> None:
        self.service = service.name
        self._world, self._service, self._disk = world, service, disk
        self._desired: dict[str, int] = {}
        self._complete = False
        self._wake = asyncio.Event()
        self._absent: dict[str, Any] = {}
        self.calls = 0
        self.is_running = False

    def changed(self, desired: Mapping[str, Any], complete: bool) -> None:
        self.calls += 1
        self._desired = {item.id: getattr(item, "generation", 0) or item.revision for item in desired.values()}
        self._complete = complete
        self._wake.set()

    def is_gone(self, name: str) -> None:
        if name not in self._disk:
            self._absent[name] = self._report_of(name, 0, "absent")
            self._tell(self._absent[name])

    def reports(self) -> list[Any]:
        made = [self._report_of(name, revision, self._good()) for name, revision in self._disk.items()]
        return [*made, *self._absent.values()]

    async def run(self, report: Callable[[Any], None]) -> None:
        self._tell = report
        self.is_running = True
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._pass(report)
        finally:
            self.is_running = False

    async def _pass(self, report: Callable[[Any], None]) -> None:
        for name, revision in dict(self._desired).items():
            if self._disk.get(name) != revision:
                await self._world.sleep(0.05)
                if self._desired.get(name) == revision:
                    self._disk[name] = revision
                    report(self._report_of(name, revision, self._good()))
        for name in [name for name in self._disk if name not in self._desired] if self._complete else []:
            assert name in self._service.removed, f"{name} is wanted, but is about to be removed"
            await self._world.sleep(0.05)
            if name in self._desired:
                continue
            del self._disk[name]
            self._absent[name] = self._report_of(name, 0, "absent")
            if self.service == "compute":
                report(self._absent[name])

    @staticmethod
    def _tell(report: Any) -> None:
        """Before the part runs nobody listens."""

    def _good(self) -> Any:
        return "running" if self.service == "compute" else "active"

    def _report_of(self, name: str, revision: int, state: Any) -> Any:
        if self.service == "compute":
            return GuestReport(id=name, generation=revision, state=state)
        return PortReport(id=name, revision=revision, state="active")


class Host:
    """A machine: what outlives its agents, and the present agent."""

    def __init__(self, rack: Rack, name: str) -> None:
        self.rack, self.name = rack, name
        self.journal = MemoryStore()
        self.disks: dict[str, dict[str, int]] = {service: {} for service in SERVICES}
        self.consoles: dict[str, str] = {}
        #: (step of a drain, whether the parts were running)
        self.drained: list[tuple[str, bool]] = []
        self.count = 0
        self.start()

    def start(self) -> None:
        """Start an agent."""
        self.count += 1
        self.world = SimWorld(self.rack.loop, f"{self.name}-{self.count}", self.rack.seed)
        channels: list[MemoryChannel] = []
        self.channels = channels
        self.world.on_crash = lambda: [channel.cut() for channel in channels]  # type: ignore[assignment,return-value]

        async def dial() -> Channel:
            channel = self.rack.dial()
            channels.append(channel)
            return channel

        async def facts() -> HostFacts:
            return HostFacts(hostname=self.name, vcpus=1, memory_mib=1, disk_gib=1, accelerator="simulated")

        self.runtime = AgentRuntime(
            RuntimeParts(
                world=self.world,
                host=self.name,
                release="1",
                dials=(dial,),
                journal=self.journal,
                facts=facts,
                console=self._console,
            )
        )
        self.parts: dict[str, HostPart] = {}
        for service in SERVICES:
            part = self.parts[service] = HostPart(self.world, self.rack.services[service], self.disks[service])
            types = GUEST_TYPES if service == "compute" else NETWORK_TYPES
            by_id = service == "compute"
            self.runtime.attach(
                Attached(
                    part=part,
                    types=types,
                    by_id=by_id,
                    is_gone=part.is_gone,
                    stop=self._step(f"stop {service}"),
                    clear=self._step(f"clear {service}"),
                )
            )
        self.world.spawn(self.runtime.run(), "agent")

    def _step(self, name: str) -> Callable[[], Coroutine[Any, Any, None]]:
        async def step() -> None:
            running = [part.is_running for part in self.parts.values()]
            self.drained.append((name, all(running)))

        return step

    async def _console(self, name: str, lines: int | None) -> str:
        if name not in self.consoles:
            raise GuestFault("The guest has not written anything yet.")
        kept = self.consoles[name].splitlines(keepends=True)
        return "".join(kept if lines is None else kept[-lines:])

    def crash(self) -> None:
        """Kill the agent and start another one."""
        self.world.crash()
        self.rack.worlds.append(self.world)
        self.start()

    def is_settled(self) -> bool:
        """Host, services and agent agree."""
        for service in self.rack.services.values():
            wanted = {key.partition("/")[2]: revision for key, revision in service.desired.get(self.name, {}).items()}
            if self.disks[service.name] != wanted or not service.settled(self.name):
                return False
        return self.runtime.is_connected


class Rack:
    """A gateway, the services behind it and the hosts in front of it."""

    def __init__(self, loop: VirtualLoop, seed: int) -> None:
        self.loop, self.seed, self.chance = loop, seed, random.Random(f"rack/{seed}")
        self.services = {name: StandIn(name) for name in SERVICES}
        self.extra = Answers()
        self.wire = SimWorld(loop, "wire", seed)
        self.worlds: list[SimWorld] = [self.wire]
        self.away: set[str] = set()
        self.failing, self.call_s, self.wire_s = 0.0, 0.001, 0.001
        self.hosts: dict[str, Host] = {}
        self.gateways = 0
        self.refuses_connections = False
        self.start_gateway()

    def start_gateway(self) -> None:
        self.gateways += 1
        self.world = SimWorld(self.loop, f"gateway-{self.gateways}", self.seed)
        self.taken: list[MemoryChannel] = []
        taken = self.taken
        self.world.on_crash = lambda: [channel.cut() for channel in taken]  # type: ignore[assignment,return-value]
        self.hints = LocalHints(self.world)
        for service in self.services.values():
            service.changed = self._hint(service.name)
        table = dict(self.extra.table)
        for service in self.services.values():
            table |= service.answers.table
        calls = WeakCalls(self.world, table, self)
        ops = [service.ops for service in self.services.values()]
        self.gateway = Gateway(GatewayParts(world=self.world, calls=calls, hints=self.hints, services=ops))
        self.world.spawn(self.gateway.start(), "start")

    def _hint(self, name: str) -> Callable[[], None]:
        return lambda: self.hints.send(f"{name}.feed")

    def crash_gateway(self) -> None:
        self.world.crash()
        self.worlds.append(self.world)
        self.start_gateway()

    def add_host(self, name: str) -> Host:
        self.hosts[name] = Host(self, name)
        return self.hosts[name]

    def dial(self) -> MemoryChannel:
        """Connect to the present gateway."""
        if self.world.dead or self.refuses_connections:
            raise ConnectionRefusedError("no gateway listens")
        mine, its = memory_pair(self.wire, lambda: self.chance.uniform(0, self.wire_s))
        self.taken.append(its)
        self.world.spawn(self.gateway.accept(its), "accept")
        return mine

    def cut_any(self) -> None:
        """Lose one connection."""
        if self.taken:
            self.chance.choice(self.taken).cut()

    async def until(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        """Wait for a state; fails when it does not come in time."""
        deadline = self.loop.time() + seconds
        while not condition():
            assert self.loop.time() < deadline, "it did not come to that"
            await asyncio.sleep(0.02)

    def is_settled(self) -> bool:
        return all(host.is_settled() for host in self.hosts.values())

    async def end(self) -> None:
        """End every process; fails when one had failed."""
        worlds = [*self.worlds, self.world, *(host.world for host in self.hosts.values())]
        for world in worlds:
            if not world.dead:
                await world.close()
        failures = [failure for world in worlds for failure in world.failures]
        assert not failures, failures


def simulate(seed: int, scene: Callable[[Rack], Coroutine[Any, Any, None]]) -> None:
    """Play a scene on virtual time."""

    async def play() -> None:
        rack = Rack(loop, seed)
        try:
            await scene(rack)
        finally:
            await rack.end()

    loop = VirtualLoop(seed)
    try:
        loop.run_until_complete(play())
    finally:
        loop.run_until_complete(_cancel_the_rest())
        loop.close()


async def _cancel_the_rest() -> None:
    """Processes that died left tasks behind."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


__all__ = ["Closed", "Host", "HostPart", "Rack", "StandIn", "guest", "port", "simulate"]
