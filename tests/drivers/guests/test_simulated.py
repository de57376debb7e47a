"""The simulated driver keeps the contract, on a clock that jumps."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kilostack.core.world import RealWorld
from kilostack.drivers.guests.port import GuestFault, Observed, Stop
from kilostack.drivers.guests.simulated import Behaviour, SimulatedGuests, SimulatedMachine
from kilostack.wire.compute import ImageRef
from tests.drivers.guests.contract import GuestContract, guest_of, run, stop_of


class QuickWorld(RealWorld):
    """Sleeps take no time of ours: the clock jumps over them."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = 0.0

    def monotonic(self) -> float:
        return self.clock

    async def sleep(self, seconds: float) -> None:
        until = self.clock + seconds
        await asyncio.sleep(0)
        self.clock = max(self.clock, until)


class SimulatedHost:
    def __init__(self) -> None:
        self.world = QuickWorld()
        self.machine = SimulatedMachine(self.world.monotonic)
        self._deaf: set[str] = set()

    def image(self, *, hears_power_button: bool) -> ImageRef:
        self.machine.behaviour = Behaviour(hears_power_button=hears_power_button)
        digest = hashlib.sha512(str(hears_power_button).encode()).hexdigest()
        return ImageRef(id="image", disk_format="raw", size_bytes=1, sha512=digest)

    async def open(self) -> SimulatedGuests:
        driver = SimulatedGuests(self.world, self.machine)
        await driver.open()
        return driver

    async def shut_down_inside(self, guest_id: str) -> None:
        self.machine.end(guest_id, Stop.ITSELF)

    async def kill(self, guest_id: str) -> None:
        self.machine.end(guest_id, Stop.DIED)


@pytest.fixture
async def host() -> AsyncIterator[SimulatedHost]:
    made = SimulatedHost()
    yield made
    await made.world.close()


class TestSimulatedGuests(GuestContract):
    pass


async def test_faults_are_told_as_asked_for(host: SimulatedHost) -> None:
    driver, guest = await host.open(), guest_of(host)
    host.machine.behaviours[guest.id] = Behaviour(disk_fault=GuestFault("No disk."))
    with pytest.raises(GuestFault, match="No disk"):
        await driver.ensure_disk(guest)
    assert await driver.look(guest.id) is None
    host.machine.behaviours[guest.id] = Behaviour(start_fault=GuestFault("No start."))
    await driver.ensure_disk(guest)
    with pytest.raises(GuestFault, match="No start"):
        await driver.start(guest)
    assert await driver.look(guest.id) == Observed(id=guest.id, boot=0, stop=Stop.NEVER_STARTED)


async def test_a_guest_dies_when_its_time_has_come(host: SimulatedHost) -> None:
    driver, guest = await host.open(), guest_of(host)
    host.machine.behaviours[guest.id] = Behaviour(dies_after_s=5)
    await run(driver, guest)
    begun = host.world.clock
    assert [changed async for changed in first(driver.changes())] == [guest.id]
    assert host.world.clock == begun + 5
    await stop_of(host, driver, guest, Stop.DIED)


async def test_a_restart_of_the_machine_ends_every_guest(host: SimulatedHost) -> None:
    driver, guest = await host.open(), guest_of(host)
    await run(driver, guest)
    host.machine.restart()
    assert await driver.look(guest.id) == Observed(id=guest.id, boot=1, stop=Stop.DIED)


async def first(items: AsyncIterator[Any]) -> AsyncIterator[Any]:
    yield await anext(items)
