"""One seed's story: clients make, power and delete servers while processes die, cables are cut and messages are lost;
then the world becomes kind, and everything must come to rest as it should be."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from kilostack.compute.service import KINDS
from kilostack.core.context import internal
from kilostack.core.errors import Error
from kilostack.core.world import Dead
from kilostack.drivers.guests.port import GuestFault, Stop
from kilostack.wire.calls import Actor
from kilostack.wire.hosts import ChangesAsked
from kilostack.wire.network_calls import BIND_PORTS, BindPorts, WantedNic
from kilostack.wire.placement_calls import CLAIM, PROVIDERS, Claim
from kilostack.workflow.saga import Saga
from tests.sim import invariants
from tests.sim.cloud import Control, Faults, Machine, Simulation
from tests.sim.loop import VirtualLoop

_VERBS: tuple[dict[str, Any], ...] = (
    {"os-stop": None},
    {"os-start": None},
    {"reboot": {"type": "SOFT"}},
    {"reboot": {"type": "HARD"}},
)
#: a flavor that fits no host
_HUGE = "huge"
_STORY_S = 60.0
#: every so many seeds nothing happens for longer than the slowest sweep waits
_PATIENT, _QUIET_S, _ORPHANED_S = 100, 800.0, 2000.0
_REST_S = 200.0


class Story:
    """What the clients did, and what they expect to find in the end."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._chance = simulation.chance
        self.alive: set[str] = set()
        #: `narrow` has no address left for a server
        self._network = self._narrow = self._image = ""
        self._names = 0

    async def prepare(self) -> None:
        ask = self._simulation.ask
        networks = (await ask("GET", "/network/v2.0/networks?name=private")).json()["networks"]
        images = (await ask("GET", "/image/v2/images?name=tiny")).json()["images"]
        self._network, self._image = networks[0]["id"], images[0]["id"]
        admin = self._simulation.admin_token
        made = await ask("POST", "/network/v2.0/networks", {"network": {"name": "narrow"}})
        self._narrow = made.json()["network"]["id"]
        subnet = {"network_id": self._narrow, "ip_version": 4, "cidr": "10.9.9.0/30"}
        await ask("POST", "/network/v2.0/subnets", {"subnet": subnet})
        huge = {"id": _HUGE, "name": _HUGE, "ram": 128, "vcpus": 1, "disk": 100_000}
        await ask("POST", "/compute/v2.1/flavors", {"flavor": huge}, admin)

    async def client(self) -> None:
        """One user: does something, looks, does something else."""
        for _ in range(self._chance.randrange(3, 7)):
            await self._simulation.here.sleep(self._chance.random() * 3)
            if not self.alive or self._chance.random() < 0.45:
                made = await self._create()
                if made is not None and self._chance.random() < 0.4:
                    # somebody who changes their mind while the server is being made
                    await self._simulation.here.sleep(self._chance.random() * 0.6)
                    await self._delete(made)
            elif self._chance.random() < 0.4:
                await self._delete(self._chance.choice(sorted(self.alive)))
            elif self._chance.random() < 0.3:
                await self._read_console(self._chance.choice(sorted(self.alive)))
            else:
                await self._power(self._chance.choice(sorted(self.alive)))

    async def _create(self) -> str | None:
        """Ask for a server; its id if the answer came."""
        self._names += 1
        name = f"server-{self._names}"
        body = {
            "server": {
                "name": name,
                "imageRef": self._image,
                "flavorRef": self._chance.choice(("1", "2", "3", "1", "2", "3", _HUGE)),
                "networks": [{"uuid": self._chance.choice((*[self._network] * 5, self._narrow))}],
            }
        }
        try:
            answer = await self._simulation.send("POST", "/compute/v2.1/servers", body)
        except ConnectionError:
            # the answer is lost; whether the request was taken, the list will tell
            await self._find(name)
            return None
        if answer.status == 202:
            made: str = answer.json()["server"]["id"]
            self.alive.add(made)
            return made
        assert answer.status in (403, 409, 503), answer.body
        await self._find(name)
        return None

    async def _find(self, name: str) -> None:
        listed = await self._simulation.ask("GET", f"/compute/v2.1/servers?name=^{name}$")
        self.alive |= {server["id"] for server in listed.json()["servers"]}

    async def _delete(self, server_id: str) -> None:
        answer = await self._simulation.ask("DELETE", f"/compute/v2.1/servers/{server_id}")
        assert answer.status in (204, 404), answer.body
        self.alive.discard(server_id)

    async def _read_console(self, server_id: str) -> None:
        body = {"os-getConsoleOutput": {"length": 5}}
        try:
            answer = await self._simulation.send("POST", f"/compute/v2.1/servers/{server_id}/action", body)
        except ConnectionError:
            return
        assert answer.status in (200, 404, 409, 503), answer.body

    async def _power(self, server_id: str) -> None:
        verb = self._chance.choice(_VERBS)
        answer = await self._simulation.ask("POST", f"/compute/v2.1/servers/{server_id}/action", verb)
        assert answer.status in (202, 404, 409), answer.body


_KINDS = ("control", "agent", "agent", "cable", "guest", "machine", "stop", "drain", "sick", "pause")


class Trouble:
    """Kills processes, cuts cables, ends guests."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation, self._chance = simulation, simulation.chance
        self.second: Control | None = None
        self.kinds: tuple[str, ...] = _KINDS
        self.told: list[str] = []

    async def make(self) -> None:
        """Go on until cancelled."""
        while True:
            await self._simulation.here.sleep(self._chance.random() * 4)
            kind = self._chance.choice(self.kinds)
            self.told.append(f"{self._simulation.loop.time():.2f} {kind}")
            machine = self._chance.choice(self._simulation.machines)
            if kind == "control":
                await self._kill_control()
            elif kind == "agent":
                await self._kill_agent(machine)
            elif kind == "cable":
                machine.cut()
            elif kind == "guest":
                self._end_guest(machine)
            elif kind == "pause":
                await self._pause()
            elif kind == "stop":
                await self._stop_control()
            elif kind == "drain":
                await self._drain(machine)
            elif kind == "sick":
                await self._sicken(machine)
            else:
                machine.guests.restart()
                await self._kill_agent(machine)

    async def _pause(self) -> None:
        """Stop a conductor in the middle of its work, for about as long as the others wait for its beat."""
        paused = self._chance.choice((self.second, self._simulation.control))
        if paused is None:
            return
        here, loop = self._simulation.here, self._simulation.loop
        for _ in range(40):
            if paused.cloud.compute.runner.under_way:
                break
            await here.sleep(0.05)
        paused.world.paused_until = end = loop.time() + 12.0
        while loop.time() < end and not invariants.taken_over(self._simulation, paused.cloud.compute.runner.under_way):
            await here.sleep(0.05)
        # it wakes up while the one that took over is at work
        paused.world.paused_until = loop.time() + self._chance.random() * 0.3

    async def _kill_control(self) -> None:
        control = self._simulation.control
        if control is None or control.world.dead:
            return
        # at one of the next instants before or after a commit
        control.world.crash_at = control.world.crash_points + self._chance.randrange(1, 12)
        await self._simulation.here.sleep(self._chance.random() * 3)
        control.world.crash()
        await self._simulation.here.sleep(self._chance.random() * 3)
        await self._simulation.restart_control()

    async def _stop_control(self) -> None:
        """End the control plane as SIGTERM does."""
        control = self._simulation.control
        if control is None or control.world.dead or control.app is None:
            return
        # it takes no more requests; whoever looks now finds it gone
        control.app = None
        with suppress(Dead, Error):
            await control.cloud.gateway.close()
        control.world.crash()
        await self._simulation.restart_control()

    async def _drain(self, machine: Machine) -> None:
        """Take the host down in order, and up again."""
        if machine.world is None or machine.world.dead or machine.runtime is None:
            return
        draining = machine.world.spawn(machine.runtime.drain(), "drain")
        # whoever looks now finds a host without an agent
        machine.runtime = None
        await asyncio.wait([draining], timeout=60)
        machine.world.crash()
        machine.start()

    async def _sicken(self, machine: Machine) -> None:
        """Guests cannot be started on this host for a while, or die soon after."""
        well = machine.guests.behaviour
        fault = GuestFault("The host is not well.", final=self._chance.random() < 0.2)
        sick = self._chance.choice(
            (replace(well, start_fault=fault), replace(well, disk_fault=fault), replace(well, dies_after_s=0.5))
        )
        machine.guests.behaviour = sick
        await self._simulation.here.sleep(self._chance.random() * 6)
        machine.guests.behaviour = well

    async def _kill_agent(self, machine: Machine) -> None:
        if machine.world is not None:
            machine.world.crash()
        await self._simulation.here.sleep(self._chance.random() * 2)
        machine.start()

    def _end_guest(self, machine: Machine) -> None:
        running = sorted(guest_id for guest_id, guest in machine.guests.guests.items() if guest.stop is None)
        if running:
            machine.guests.end(self._chance.choice(running), self._chance.choice((Stop.DIED, Stop.ITSELF)))


async def play(loop: VirtualLoop, folder: Path, seed: int, kinds: Sequence[Saga] = KINDS) -> None:
    """One seed from beginning to end. Raises AssertionError when anything is lost, doubled or stuck."""
    simulation = Simulation(loop, folder, seed, kinds=kinds)
    chance = simulation.chance
    trouble = Trouble(simulation)
    try:
        await simulation.start()
        story = Story(simulation)
        await story.prepare()
        simulation.faults = _faults(simulation)
        second = trouble.second = await _second_conductor(simulation) if chance.random() < 0.4 else None
        if second is not None and chance.random() < 0.5:
            # a duel: slow calls, and nothing else goes wrong but that conductors stand still
            simulation.faults.calm()
            simulation.faults.delay_s = 0.4
            trouble.kinds = ("pause",)
        tasks = [loop.create_task(story.client()) for _ in range(3)]
        making = loop.create_task(trouble.make())
        watching = loop.create_task(_watch(simulation))
        try:
            clients = loop.create_task(_all(tasks))
            await asyncio.wait([clients, watching, making], timeout=_STORY_S, return_when=asyncio.FIRST_COMPLETED)
            for task in (clients, watching, making):
                if task.done():
                    task.result()
        finally:
            for task in (clients, *tasks, making):
                task.cancel()
            await asyncio.gather(clients, *tasks, making, return_exceptions=True)
        simulation.calm()
        if second is not None:
            second.world.crash()
        await simulation.restart_control()
        for machine in simulation.machines:
            machine.recover()
        await _rest(simulation, story)
        if seed % _PATIENT == 1:
            await _quiet_hours(simulation, story)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    except AssertionError as error:
        told = "; ".join(trouble.told)
        raise AssertionError(f"seed {seed} at {loop.time():.2f} s: {error}\ntroubles: {told}") from error
    finally:
        simulation.close()


async def _all(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        await task


def _faults(simulation: Simulation) -> Faults:
    chance = simulation.chance
    faults = Faults(
        hint_lost=chance.choice((0.0, 0.3, 1.0)),
        hint_doubled=chance.choice((0.0, 0.3)),
        call_refused=chance.choice((0.0, 0.05, 0.2)),
        answer_lost=chance.choice((0.0, 0.05, 0.2)),
        call_doubled=chance.choice((0.0, 0.1)),
        delay_s=chance.choice((0.0, 0.02, 0.3)),
    )
    kept = simulation.faults
    for name in Faults.__struct_fields__:
        # the same object: processes that run already hold it
        setattr(kept, name, getattr(faults, name))
    return kept


async def _second_conductor(simulation: Simulation) -> Control:
    """Another control plane over the same databases, which runs sagas and is paused now and then."""
    answering = simulation.control
    second = Control(simulation, 100)
    with suppress(Dead):
        await second.start(exclusive=False)
    simulation.control = answering
    return second


async def _watch(simulation: Simulation) -> None:
    """The invariants, all the time."""
    while True:
        await simulation.here.sleep(0.25)
        invariants.always(simulation)
        _check_tasks(simulation)


def _check_tasks(simulation: Simulation) -> None:
    if found := simulation.failures():
        raise AssertionError(f"a task ended by {found[0]!r}") from found[0]


async def _rest(simulation: Simulation, story: Story) -> None:
    end = simulation.loop.time() + _REST_S
    while left := invariants.settled(simulation, story.alive):
        _check_tasks(simulation)
        if simulation.loop.time() > end:
            raise AssertionError("not at rest: " + "; ".join(left[:6]))
        await simulation.here.sleep(1.0)
    invariants.always(simulation)


async def _quiet_hours(simulation: Simulation, story: Story) -> None:
    """Nobody does anything for so long that every slow sweep has run: it must find nothing."""
    await simulation.here.sleep(_QUIET_S)
    assert not (left := invariants.settled(simulation, story.alive)), left
    control = simulation.control
    assert control is not None
    cloud = control.cloud
    found = cloud.placement.orphans.removed + cloud.network.orphans.removed
    assert found == 0, f"{found} orphans"
    await _leave_orphans(simulation, control)
    await simulation.here.sleep(_ORPHANED_S)
    removed = cloud.placement.orphans.removed, cloud.network.orphans.removed
    assert removed == (1, 1), f"orphans removed: {removed}"
    assert not (left := invariants.settled(simulation, story.alive)), left


async def _leave_orphans(simulation: Simulation, control: Control) -> None:
    """An allocation and a port of a server that nobody knows: what a bug of compute would leave behind."""
    nobody, actor = simulation.here.new_id(), Actor(ctx=internal("req-orphans"))
    calls = control.calls
    provider = (await calls.call(PROVIDERS, ChangesAsked(0), actor)).providers[0]
    claim = Claim(consumer=nobody, provider=provider.id, resources={"VCPU": 1}, project_id="nobody", user_id="nobody")
    assert (await calls.call(CLAIM, claim, actor)).taken
    networks = (await simulation.ask("GET", "/network/v2.0/networks?name=private")).json()["networks"]
    asked = BindPorts(
        server_id=nobody,
        hostname="nobody",
        project_id=networks[0]["project_id"],
        host=simulation.machines[0].name,
        availability_zone="nova",
        nics=(WantedNic(network_id=networks[0]["id"]),),
        security_groups=(),
    )
    await calls.call(BIND_PORTS, asked, actor)
