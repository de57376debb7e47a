"""Gateways, agents and services on virtual time; each process and connection may be lost at any time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import msgspec

from kilostack.agents.runtime.runtime import AgentRuntime, RuntimeParts
from kilostack.agents.runtime.streams import GUEST_TYPES, NETWORK_TYPES, Attached
from kilostack.bus.hints import LocalHints
from kilostack.core.errors import Unavailable
from kilostack.drivers.guests.port import GuestFault
from kilostack.gateway.gateway import Gateway, GatewayParts
from kilostack.wire.calls import Actor, Answers, Op
from kilostack.wire.compute import HostFacts
from kilostack.wire.framing import Channel, MemoryChannel, memory_pair
from tests.gateway.stand_ins import HostPart, MemoryStore, StandIn
from tests.sim.loop import VirtualLoop
from tests.sim.world import SimWorld

SERVICES = ("compute", "network")


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
        self.refuses_connections = self.image_is_gone = self.hold_frames = False
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
        mine, its = memory_pair(self.wire, self._delay)
        self.taken.append(its)
        self.world.spawn(self.gateway.accept(its), "accept")
        return mine

    def _delay(self) -> float:
        return 3600.0 if self.hold_frames else self.chance.uniform(0, self.wire_s)

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
