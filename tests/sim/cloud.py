"""A whole cloud on virtual time: the product's own control plane and agents, on files, clocks and cables that fail.

The control plane and each agent are processes with a world of their own. What outlives a crash is outside of them: the
database files, the images, the machines with their guests and networks, the journals.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from kilostack.agents.runtime.journal import FileStore
from kilostack.agents.runtime.runtime import AgentRuntime
from kilostack.assembly.agent import AgentGround, build
from kilostack.assembly.cloud import SCHEMAS, Cloud, Ground, Seed
from kilostack.assembly.simulated_hosts import simulated_facts
from kilostack.bus.hints import LocalHints
from kilostack.compute.service import KINDS
from kilostack.core import errors
from kilostack.core.secret import Secret
from kilostack.core.world import Dead
from kilostack.drivers.blobs.memory import MemoryBlobs
from kilostack.drivers.guests.port import GuestDriver, GuestFault, ImageSource
from kilostack.drivers.guests.simulated import Behaviour, SimulatedGuests, SimulatedMachine
from kilostack.drivers.net.simulated import SimulatedHostNetwork, SimulatedNetworks
from kilostack.store.sqlite import SqliteDatabase
from kilostack.wire.calls import Actor, LocalCalls, Op
from kilostack.wire.compute import Guest, HostFacts
from kilostack.wire.framing import Channel, MemoryChannel, memory_pair
from kilostack.workflow.saga import Saga
from tests.sim.client import Answer, request
from tests.sim.loop import VirtualLoop
from tests.sim.world import SimWorld

PASSWORD = "simulated"
WELL = Behaviour(fetch_s=0.0, boot_s=1.0, shutdown_s=0.5)


class Faults(msgspec.Struct):
    """How unkind the world is; probabilities per event. `calm()` ends it, so that everything can converge."""

    hint_lost: float = 0.0
    hint_doubled: float = 0.0
    call_refused: float = 0.0
    answer_lost: float = 0.0
    call_doubled: float = 0.0
    delay_s: float = 0.0

    def calm(self) -> None:
        self.hint_lost = self.hint_doubled = self.call_refused = self.answer_lost = self.call_doubled = 0.0


class UnkindHints(LocalHints):
    """Loses and repeats hints."""

    def __init__(self, world: SimWorld, faults: Faults) -> None:
        super().__init__(world)
        self._faults, self._chance = faults, world.chance

    def send(self, topic: str) -> None:
        if self._chance.random() < self._faults.hint_lost:
            return
        super().send(topic)
        if self._chance.random() < self._faults.hint_doubled:
            super().send(topic)


class UnkindCalls:
    """Calls between services that arrive late, twice, or not, and whose answers get lost."""

    def __init__(self, calls: LocalCalls, world: SimWorld, faults: Faults) -> None:
        self._calls, self._world, self._faults = calls, world, faults

    async def call(self, op: Op[Any, Any], params: Any, actor: Actor) -> Any:
        chance, faults = self._world.chance, self._faults
        if faults.delay_s:
            await self._world.sleep(chance.random() * faults.delay_s)
        if chance.random() < faults.call_refused:
            raise errors.Unavailable(f"{op.name} is away")
        if chance.random() < faults.call_doubled:
            self._world.spawn(self._again(op, params, actor), "a call made twice")
        result = await self._calls.call(op, params, actor)
        if chance.random() < faults.answer_lost:
            raise errors.Unavailable(f"the answer of {op.name} was lost")
        return result

    async def _again(self, op: Op[Any, Any], params: Any, actor: Actor) -> None:
        await self._world.sleep(self._world.chance.random() * 2.0)
        try:
            await self._calls.call(op, params, actor)
        except errors.Error:
            return


class Control:
    """One process of the control plane."""

    def __init__(self, simulation: Simulation, number: int) -> None:
        self.world = simulation.new_world(f"control-{number}")
        self.world.on_crash = self._cut
        hints = UnkindHints(self.world, simulation.faults)
        self.databases = {
            name: SqliteDatabase(simulation.folder / f"{name}.db", self.world, hints.send) for name in SCHEMAS
        }
        for name, (meta, schema) in SCHEMAS.items():
            self.databases[name].prepare(name, schema, meta)
        self.channels: dict[MemoryChannel, None] = {}
        local = self.calls = LocalCalls(self.world)
        ground = Ground(
            world=self.world,
            hints=hints,
            databases=self.databases,
            blobs=simulation.blobs,
            master_key=b"k" * 32,
            entropy=functools.partial(_entropy, self.world.chance),
            kinds=simulation.kinds,
            local_calls=local,
            calls=UnkindCalls(local, self.world, simulation.faults),
        )
        self.cloud = Cloud(ground)
        self.app: Any = None

    async def start(self, *, exclusive: bool = True) -> None:
        seed = Seed(
            admin_password=Secret(PASSWORD),
            demo_password=Secret(PASSWORD),
            public_cidr="172.24.4.0/24",
            public_gateway="172.24.4.1",
            tiny=None,
        )
        await self.cloud.start(seed, exclusive=exclusive)
        self.app = self.cloud.app()

    def _cut(self) -> None:
        for channel in self.channels:
            channel.cut()
        for database in self.databases.values():
            # as a dead process's file handles are: open transactions are gone
            database._writer.close()
            database._reader.close()


class FetchingGuests(SimulatedGuests):
    """Guests whose image comes over the agent's connection, byte by byte, as that of real ones."""

    def __init__(self, world: SimWorld, machine: SimulatedMachine, images: ImageSource, folder: Path) -> None:
        super().__init__(world, machine)
        self._images, self._folder = images, folder

    async def ensure_disk(self, guest: Guest) -> None:
        self._folder.mkdir(exist_ok=True)
        target = self._folder / guest.image.id
        if not target.exists() or target.stat().st_size < guest.image.size_bytes:
            try:
                await self._images.fetch(guest.image, target)
            except (errors.Error, OSError) as error:
                raise GuestFault("The image could not be fetched.") from error
        await super().ensure_disk(guest)


class Machine:
    """One host: what stays, and the agent that comes and goes."""

    def __init__(self, simulation: Simulation, name: str) -> None:
        self._simulation, self.name = simulation, name
        self.guests = SimulatedMachine(simulation.loop.time, WELL)
        self.network = SimulatedHostNetwork()
        self.journal = FileStore(simulation.folder / f"{name}.journal")
        self.world: SimWorld | None = None
        self.runtime: AgentRuntime | None = None
        self.channels: dict[MemoryChannel, None] = {}
        self._starts = 0

    def start(self) -> None:
        """Start the agent (again)."""
        self._starts += 1
        world = self.world = self._simulation.new_world(f"{self.name}-{self._starts}")
        world.on_crash = self.cut

        def guests(images: ImageSource) -> GuestDriver:
            return FetchingGuests(world, self.guests, images, self._simulation.folder / self.name)

        async def facts(driver: GuestDriver) -> HostFacts:
            return simulated_facts(self.name)

        ground = AgentGround(
            world=world,
            host=self.name,
            dials=(self._dial,),
            journal=self.journal,
            guests=guests,
            networks=SimulatedNetworks(world, self.network),
            facts=facts,
        )
        self.runtime = build(ground)
        world.spawn(self.runtime.run(), "agent")

    def recover(self) -> None:
        """Healthy again, with an agent that runs."""
        self.guests.behaviour = WELL
        if self.world is not None and self.runtime is None:
            # it was being drained when trouble ended
            self.world.crash()
        if self.world is None or self.world.dead:
            self.start()

    async def _dial(self) -> Channel:
        control = self._simulation.control
        if control is None or control.world.dead or control.app is None:
            raise ConnectionRefusedError("nobody listens")
        assert self.world is not None
        chance = self._simulation.chance
        ours, theirs = memory_pair(self.world, lambda: chance.random() * self._simulation.faults.delay_s)
        self.channels[ours] = None
        control.channels[theirs] = None
        control.world.spawn(control.cloud.gateway.accept(theirs), f"connection of {self.name}")
        return ours

    def cut(self) -> None:
        """Cut every connection of the agent."""
        for channel in self.channels:
            channel.cut()
        self.channels.clear()


class Simulation:
    """One seed's cloud. `control` is the process that answers; None while there is none."""

    def __init__(
        self, loop: VirtualLoop, folder: Path, seed: int, hosts: int = 3, kinds: Sequence[Saga] = KINDS
    ) -> None:
        self.loop, self.folder, self.seed, self.kinds = loop, folder, seed, kinds
        self.chance = random.Random(f"{seed}/simulation")
        self.faults = Faults()
        self.blobs = MemoryBlobs()
        self.worlds: list[SimWorld] = []
        self.control: Control | None = None
        self.machines = [Machine(self, f"host-{number}") for number in range(1, hosts + 1)]
        self.here = SimWorld(loop, "test", seed)
        self.token = ""
        self.admin_token = ""
        self._controls = 0

    def new_world(self, name: str) -> SimWorld:
        world = SimWorld(self.loop, name, self.seed, skew_s=self.chance.uniform(-2, 2))
        self.worlds.append(world)
        return world

    async def start(self) -> None:
        """A new cloud with all hosts connected, and tokens for its users."""
        await self.start_control()
        for machine in self.machines:
            machine.start()
        self.token = await self._login("demo")
        self.admin_token = await self._login("admin")
        await self.until("hosts are connected", self._hosts_connected)
        await self.until("image", self._image_active)

    async def start_control(self) -> Control:
        """Start the control plane (again), after a crash or beside one that is paused."""
        self._controls += 1
        control = Control(self, self._controls)
        self.control = control
        try:
            await control.start()
        except (Dead, errors.Error):
            if not control.world.dead:
                raise
        return control

    async def restart_control(self) -> None:
        """Start until one has come up: a start may itself be cut off by a crash."""
        while self.control is None or self.control.world.dead or self.control.app is None:
            if self.control is not None:
                self.control.world.crash()
            await self.start_control()

    def calm(self) -> None:
        """From now on nothing goes wrong any more."""
        self.faults.calm()
        for world in self.worlds:
            world.crash_at = None

    async def _login(self, user: str) -> str:
        domain = {"name": "Default"}
        password = {"user": {"name": user, "password": PASSWORD, "domain": domain}}
        scope = {"project": {"name": user, "domain": domain}}
        body = {"auth": {"identity": {"methods": ["password"], "password": password}, "scope": scope}}
        answer = await self.send("POST", "/identity/v3/auth/tokens", body, token="")
        assert answer.status == 201, answer.body
        return answer.headers["x-subject-token"]

    async def send(self, method: str, path: str, body: Any = None, token: str | None = None) -> Answer:
        """One request. Raises `ConnectionError` when the control plane dies meanwhile or is not there."""
        control = self.control
        if control is None or control.world.dead or control.app is None:
            raise ConnectionError("nobody answers")
        sent = self.token if token is None else token
        headers = {"OpenStack-API-Version": "compute 2.96"} | ({"X-Auth-Token": sent} if sent else {})
        task = self.loop.create_task(request(control.app, method, path, body, headers))
        while not task.done():
            if control.world.dead:
                task.cancel()
                raise ConnectionError("the control plane has died")
            await self.here.sleep(0.01)
        if control.world.dead or task.cancelled():
            raise ConnectionError("the control plane has died")
        try:
            return task.result()
        except (Dead, errors.Error) as error:
            raise ConnectionError(str(error)) from error

    async def ask(self, method: str, path: str, body: Any = None, token: str | None = None) -> Answer:
        """A request, again until it is answered with something other than 503."""
        while True:
            try:
                answer = await self.send(method, path, body, token)
                if answer.status not in (500, 503):
                    return answer
                assert answer.status == 503, answer.body
            except ConnectionError:
                pass
            await self.here.sleep(0.2)

    async def until(self, what: str, holds: Callable[[], Any], within_s: float = 120.0) -> Any:
        """What the coroutine function `holds` returned once it was true; fails after `within_s` of virtual time."""
        end = self.loop.time() + within_s
        while not (found := await holds()):
            assert self.loop.time() < end, f"not within {within_s:g} s: {what}"
            await self.here.sleep(0.1)
        return found

    async def _hosts_connected(self) -> bool:
        answer = await self.ask("GET", "/compute/v2.1/os-services", token=self.admin_token)
        up = [s for s in answer.json()["services"] if s["binary"] == "nova-compute" and s["state"] == "up"]
        return len(up) == len(self.machines)

    async def _image_active(self) -> bool:
        images = (await self.ask("GET", "/image/v2/images")).json()["images"]
        return bool(images) and images[0]["status"] == "active"

    def failures(self) -> list[BaseException]:
        """Errors that ended a task of a living process."""
        return [error for world in self.worlds for error in world.failures]

    def close(self) -> None:
        for world in self.worlds:
            world.crash()


def _entropy(chance: random.Random, count: int) -> bytes:
    return chance.randbytes(count)
