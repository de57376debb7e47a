"""The simulated twin of `qemu`: guests are records of a machine that outlives its agents, and time is the world's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

from kilostack.core.world import World
from kilostack.drivers.guests.images import cache_key
from kilostack.drivers.guests.port import GuestFault, Observed, Stop, check_guest_id
from kilostack.wire.compute import Guest


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How a simulated guest, and its host's work for it, turn out."""

    #: how long it takes to fetch an image that no guest here has yet
    fetch_s: float = 0.2
    disk_s: float = 0.02
    look_s: float = 0.002
    start_s: float = 0.1
    #: from the start to "ready" on the console; the power button is not heard before
    boot_s: float = 3.0
    shutdown_s: float = 2.0
    hears_power_button: bool = True
    disk_fault: GuestFault | None = None
    start_fault: GuestFault | None = None
    #: how long after each start the process dies
    dies_after_s: float | None = None


@dataclass(slots=True)
class _SimulatedGuest:
    name: str
    image: str
    boot: int = 0
    stop: Stop | None = Stop.NEVER_STARTED
    dies_at: float | None = None
    #: (when it is written, line)
    console: list[tuple[float, str]] = field(default_factory=list)


class SimulatedMachine:
    """What is there whatever its agents do: guests, disks and images of one host."""

    def __init__(self, clock: Callable[[], float], behaviour: Behaviour | None = None) -> None:
        """`clock` is the machine's own: seconds that go on whatever happens to its agents."""
        self.clock = clock
        self.behaviour = behaviour or Behaviour()
        #: by guest id; others behave by `behaviour`
        self.behaviours: dict[str, Behaviour] = {}
        self.guests: dict[str, _SimulatedGuest] = {}
        self._listener: Callable[[str], None] | None = None

    def of(self, guest_id: str) -> Behaviour:
        return self.behaviours.get(guest_id, self.behaviour)

    def listen(self, listener: Callable[[str], None]) -> None:
        """Tell this listener, and no other, of guests that stop by themselves."""
        self._listener = listener

    def unlisten(self, listener: Callable[[str], None]) -> None:
        """Tell this listener nothing any more. A later one is left alone."""
        if self._listener is listener:
            self._listener = None

    def end(self, guest_id: str, why: Stop) -> None:
        """The guest stops, if it runs."""
        guest = self.guests.get(guest_id)
        if guest is not None and guest.stop is None:
            guest.stop = why
            self.tell(guest_id)

    def tell(self, guest_id: str) -> None:
        """Say that a guest has stopped."""
        if self._listener is not None:
            self._listener(guest_id)

    def restart(self) -> None:
        """The machine was switched off and on: no guest runs."""
        for guest in self.guests.values():
            if guest.stop is None:
                guest.stop = Stop.DIED

    @property
    def images(self) -> set[str]:
        return {guest.image for guest in self.guests.values()}


class SimulatedGuests:
    """The guests of a simulated machine, as one of its agents sees them."""

    def __init__(self, world: World, machine: SimulatedMachine) -> None:
        self._world = world
        self._machine = machine
        self._changes: asyncio.Queue[str] = asyncio.Queue()
        self._notify = self._changes.put_nowait

    async def open(self) -> None:
        self._machine.listen(self._notify)
        for guest_id in self._machine.guests:
            self._await_death(guest_id)

    async def close(self) -> None:
        self._machine.unlisten(self._notify)

    async def accelerator(self) -> str:
        return "simulated"

    async def observe(self) -> Mapping[str, Observed]:
        return {guest_id: self._observed(guest_id, guest) for guest_id, guest in self._machine.guests.items()}

    async def look(self, guest_id: str) -> Observed | None:
        check_guest_id(guest_id)
        await self._world.sleep(self._machine.of(guest_id).look_s)
        guest = self._machine.guests.get(guest_id)
        return None if guest is None else self._observed(guest_id, guest)

    def _observed(self, guest_id: str, guest: _SimulatedGuest) -> Observed:
        if guest.stop is None and guest.dies_at is not None and guest.dies_at <= self._machine.clock():
            guest.stop = Stop.DIED
        return Observed(id=guest_id, boot=guest.boot, stop=guest.stop)

    async def ensure_disk(self, guest: Guest) -> None:
        guest_id = check_guest_id(guest.id)
        behaviour = self._machine.of(guest_id)
        if guest_id in self._machine.guests:
            return
        image = cache_key(guest.image)
        await self._world.sleep(behaviour.disk_s + (0 if image in self._machine.images else behaviour.fetch_s))
        if behaviour.disk_fault is not None:
            raise behaviour.disk_fault
        self._machine.guests[guest_id] = _SimulatedGuest(guest.name, image)

    async def start(self, guest: Guest) -> None:
        there = self._machine.guests.get(guest.id)
        if there is None:
            raise GuestFault("The guest has no disk.")
        if self._observed(guest.id, there).is_running:
            if there.boot == guest.boot:
                return
            there.stop = Stop.ASKED
        behaviour = self._machine.of(guest.id)
        await self._world.sleep(behaviour.start_s)
        if behaviour.start_fault is not None:
            raise behaviour.start_fault
        now = self._machine.clock()
        there.boot, there.stop = guest.boot, None
        there.dies_at = None if behaviour.dies_after_s is None else now + behaviour.dies_after_s
        there.console += _boot_log(guest, now, behaviour.boot_s)
        self._await_death(guest.id)

    def _await_death(self, guest_id: str) -> None:
        if self._machine.guests[guest_id].dies_at is not None:
            self._world.spawn(self._die(guest_id), f"death of guest {guest_id}")

    async def _die(self, guest_id: str) -> None:
        guest = self._machine.guests.get(guest_id)
        if guest is None or (dies_at := guest.dies_at) is None:
            return
        await self._world.sleep(max(0.0, dies_at - self._machine.clock()))
        if self._machine.guests.get(guest_id) is guest and guest.dies_at == dies_at:
            self._machine.end(guest_id, Stop.DIED)

    async def stop(self, guest_id: str, timeout_s: float) -> None:
        guest = self._machine.guests.get(guest_id)
        if guest is None:
            return
        if self._observed(guest_id, guest).is_running and timeout_s > 0:
            behaviour = self._machine.of(guest_id)
            booted = guest.console[-1][0] if guest.console else 0.0
            needed = max(0.0, booted - self._machine.clock()) + behaviour.shutdown_s
            await self._world.sleep(min(timeout_s, needed) if behaviour.hears_power_button else timeout_s)
        self._machine.end(guest_id, Stop.ASKED)
        if guest.stop is Stop.DIED:
            guest.stop = Stop.ASKED

    async def remove(self, guest_id: str) -> None:
        await self._world.sleep(self._machine.of(guest_id).disk_s)
        self._machine.end(guest_id, Stop.ASKED)
        self._machine.guests.pop(guest_id, None)

    async def console(self, guest_id: str, lines: int | None = None) -> str:
        guest = self._machine.guests.get(guest_id)
        if guest is None:
            return ""
        written = [line for at, line in guest.console if at <= self._machine.clock()]
        kept = written if lines is None or lines < 0 else written[len(written) - min(lines, len(written)) :]
        return "".join(f"{line}\n" for line in kept)

    async def changes(self) -> AsyncIterator[str]:
        while True:
            yield await self._changes.get()


def _boot_log(guest: Guest, start: float, boot_s: float) -> list[tuple[float, str]]:
    """What the image `tiny` would write, at the times at which it would."""
    hostname = guest.metadata.hostname.split(".")[0]
    lines = [
        "tiny: linux simulated",
        f"tiny: root file system: {guest.disk_gib * 1024} MiB",
        *(f"tiny: eth{number} {nic.mac} mtu {nic.mtu}" for number, nic in enumerate(guest.nics)),
        f"tiny: metadata from openstack: hostname {hostname}, {len(guest.metadata.keys)} keys",
        f"tiny: ready after {boot_s:.2f} s, hostname {hostname}",
    ]
    return [(start + boot_s * (number + 1) / len(lines), line) for number, line in enumerate(lines)]
