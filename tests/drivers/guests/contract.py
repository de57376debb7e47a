"""What every driver of guests must do. A driver's tests inherit `GuestContract` and give it a `host`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import pytest

from kilostack.core.world import World
from kilostack.drivers.guests.port import GuestDriver, GuestFault, Observed, Stop
from kilostack.wire.compute import Guest, ImageRef, Metadata

DEADLINE_S = 60.0


class Host(Protocol):
    """A host under test. Its guests outlive the drivers that it opens."""

    world: World

    def image(self, *, hears_power_button: bool) -> ImageRef: ...

    async def open(self) -> GuestDriver:
        """A driver as an agent opens it when it starts; an earlier one is closed."""

    async def shut_down_inside(self, guest_id: str) -> None:
        """Somebody in the guest says `poweroff`."""

    async def kill(self, guest_id: str) -> None:
        """The guest's process is killed."""


def guest_of(host: Host, number: int = 1, *, boot: int = 1, hears_power_button: bool = True) -> Guest:
    return Guest(
        id=f"{number:08x}-1111-4222-8333-444444444444",
        generation=1,
        name=f"guest-{number}",
        vcpus=1,
        memory_mib=32,
        disk_gib=1,
        image=host.image(hears_power_button=hears_power_button),
        nics=(),
        power="on",
        boot=boot,
        metadata=Metadata(
            hostname=f"guest-{number}", name=f"guest-{number}", project_id="p", user_id="u", availability_zone="nova"
        ),
    )


async def until(host: Host, probe: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a state."""
    async with host.world.timeout(DEADLINE_S):
        while not await probe():
            await host.world.sleep(0.02)


async def run(driver: GuestDriver, guest: Guest) -> None:
    await driver.ensure_disk(guest)
    await driver.start(guest)


async def boot(host: Host, driver: GuestDriver, guest: Guest) -> None:
    """Run the guest until it says that it is ready."""
    await run(driver, guest)

    async def is_ready() -> bool:
        return "ready" in await driver.console(guest.id)

    await until(host, is_ready)


async def next_change(host: Host, driver: GuestDriver) -> str:
    async with host.world.timeout(DEADLINE_S):
        return await anext(driver.changes())


async def stop_of(host: Host, driver: GuestDriver, guest: Guest, why: Stop) -> None:
    async def is_so() -> bool:
        seen = await driver.look(guest.id)
        return seen is not None and seen.stop is why

    await until(host, is_so)


class GuestContract:
    """One test per promise of `GuestDriver`."""

    async def test_a_host_begins_empty(self, host: Host) -> None:
        driver = await host.open()
        assert await driver.observe() == {}
        assert await driver.look(guest_of(host).id) is None
        assert await driver.console(guest_of(host).id) == ""

    async def test_a_disk_makes_a_guest_that_never_ran(self, host: Host) -> None:
        driver, guest = await host.open(), guest_of(host)
        for _ in range(2):
            await driver.ensure_disk(guest)
            assert await driver.observe() == {guest.id: Observed(id=guest.id, boot=0, stop=Stop.NEVER_STARTED)}

    async def test_a_started_guest_runs_and_writes_to_its_console(self, host: Host) -> None:
        driver, guest = await host.open(), guest_of(host)
        await boot(host, driver, guest)
        await driver.start(guest)
        assert await driver.look(guest.id) == Observed(id=guest.id, boot=1, stop=None)
        whole = await driver.console(guest.id)
        assert await driver.console(guest.id, 1) == whole.splitlines(keepends=True)[-1]
        assert await driver.console(guest.id, 0) == ""

    async def test_a_guest_without_a_disk_does_not_start(self, host: Host) -> None:
        driver = await host.open()
        with pytest.raises(GuestFault):
            await driver.start(guest_of(host))

    async def test_an_id_that_is_no_uuid_is_refused(self, host: Host) -> None:
        driver = await host.open()
        with pytest.raises(GuestFault):
            await driver.look("../../etc/passwd")

    async def test_the_power_button_stops_a_guest(self, host: Host) -> None:
        driver, guest = await host.open(), guest_of(host)
        await boot(host, driver, guest)
        await driver.stop(guest.id, DEADLINE_S)
        assert await driver.look(guest.id) == Observed(id=guest.id, boot=1, stop=Stop.ASKED)
        await driver.stop(guest.id, DEADLINE_S)
        assert await driver.look(guest.id) == Observed(id=guest.id, boot=1, stop=Stop.ASKED)

    async def test_a_guest_that_does_not_hear_is_stopped_hard(self, host: Host) -> None:
        driver, guest = await host.open(), guest_of(host, hears_power_button=False)
        await boot(host, driver, guest)
        await driver.stop(guest.id, 0.3)
        assert await driver.look(guest.id) == Observed(id=guest.id, boot=1, stop=Stop.ASKED)

    async def test_a_guest_is_stopped_hard_at_once_where_no_time_is_given(self, host: Host) -> None:
        driver, guest = await host.open(), guest_of(host)
        await run(driver, guest)
        await driver.stop(guest.id, 0)
        assert await driver.look(guest.id) == Observed(id=guest.id, boot=1, stop=Stop.ASKED)

    async def test_a_guest_that_shuts_itself_down_is_told_and_remembered(self, host: Host) -> None:
        driver, guest = await host.open(), guest_of(host)
        await boot(host, driver, guest)
        await host.shut_down_inside(guest.id)
        assert await next_change(host, driver) == guest.id
        await stop_of(host, driver, guest, Stop.ITSELF)
        await driver.stop(guest.id, 1)
        driver = await host.open()
        assert await driver.look(guest.id) == Observed(id=guest.id, boot=1, stop=Stop.ITSELF)
        await driver.start(guest_of(host, boot=2))
        assert await driver.look(guest.id) == Observed(id=guest.id, boot=2, stop=None)

    async def test_a_guest_that_shuts_itself_down_while_nobody_looks_is_known_for_it(self, host: Host) -> None:
        driver, guest = await host.open(), guest_of(host)
        await boot(host, driver, guest)
        await driver.close()
        await host.shut_down_inside(guest.id)
        await stop_of(host, await host.open(), guest, Stop.ITSELF)

    async def test_a_death_is_told_and_is_no_shut_down(self, host: Host) -> None:
        driver, guest = await host.open(), guest_of(host)
        await run(driver, guest)
        await host.kill(guest.id)
        assert await next_change(host, driver) == guest.id
        assert await driver.look(guest.id) == Observed(id=guest.id, boot=1, stop=Stop.DIED)
        await driver.start(guest)
        assert await driver.look(guest.id) == Observed(id=guest.id, boot=1, stop=None)

    async def test_stopping_what_died_makes_it_stopped(self, host: Host) -> None:
        driver, guest = await host.open(), guest_of(host)
        await run(driver, guest)
        await host.kill(guest.id)
        await stop_of(host, driver, guest, Stop.DIED)
        await driver.stop(guest.id, 1)
        assert await driver.look(guest.id) == Observed(id=guest.id, boot=1, stop=Stop.ASKED)

    async def test_guests_outlive_the_driver_and_are_found_again(self, host: Host) -> None:
        driver, guest = await host.open(), guest_of(host)
        await boot(host, driver, guest)
        driver = await host.open()
        assert await driver.observe() == {guest.id: Observed(id=guest.id, boot=1, stop=None)}
        await driver.start(guest)
        await host.kill(guest.id)
        assert await next_change(host, driver) == guest.id

    async def test_another_boot_count_is_another_run(self, host: Host) -> None:
        driver, guest = await host.open(), guest_of(host)
        await run(driver, guest)
        await driver.start(guest_of(host, boot=5))
        assert await driver.look(guest.id) == Observed(id=guest.id, boot=5, stop=None)

    async def test_removal_leaves_nothing_and_may_be_repeated(self, host: Host) -> None:
        driver, guest, other = await host.open(), guest_of(host), guest_of(host, 2)
        await run(driver, guest)
        await run(driver, other)
        for _ in range(2):
            await driver.remove(guest.id)
            assert await driver.look(guest.id) is None
        assert list(await driver.observe()) == [other.id]
        await driver.remove(other.id)
        assert await driver.observe() == {}

    async def test_guests_are_served_side_by_side(self, host: Host) -> None:
        driver = await host.open()
        guests = [guest_of(host, number) for number in range(1, 5)]
        await asyncio.gather(*(run(driver, guest) for guest in guests))
        seen = await driver.observe()
        assert sorted(seen) == [guest.id for guest in guests]
        assert all(observed.is_running for observed in seen.values())
        await asyncio.gather(*(driver.remove(guest.id) for guest in guests))
        assert await driver.observe() == {}
