"""A simulated machine with its agent's compute part, on virtual time, for tests that run once for each seed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from kilostack.agents.guests.part import GuestsPart
from kilostack.drivers.guests.simulated import Behaviour, SimulatedGuests, SimulatedMachine
from kilostack.wire.compute import Guest, GuestReport
from tests.agents.guests.test_plan import GUEST
from tests.sim.loop import VirtualLoop
from tests.sim.world import SimWorld

OTHER = "00000002-1111-4222-8333-444444444444"


class Ports:
    """Taps that are ready once `ready` is set."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self.ready.set()
        self.asked: list[tuple[str, ...]] = []
        self.released: list[tuple[str, ...]] = []

    async def wait_ready(self, port_ids: Sequence[str]) -> None:
        self.asked.append(tuple(port_ids))
        await self.ready.wait()

    def release(self, port_ids: Sequence[str]) -> None:
        self.released.append(tuple(port_ids))


class Bench:
    """A simulated machine and the part of its present agent."""

    def __init__(self, loop: VirtualLoop, seed: int) -> None:
        self._loop, self._seed = loop, seed
        self.machine = SimulatedMachine(loop.time, Behaviour(boot_s=1.0, shutdown_s=1.0))
        self.ports = Ports()
        self.told: list[GuestReport] = []
        self.agents = 0
        self.start()

    def start(self) -> None:
        """Start an agent; it knows nothing yet."""
        self.agents += 1
        self.world = SimWorld(self._loop, f"agent-{self.agents}", self._seed)
        driver = SimulatedGuests(self.world, self.machine)
        self.part = GuestsPart(self.world, driver, self.ports, starts_at_once=2)
        self.world.spawn(self.part.run(self.told.append), "part")

    def crash(self) -> None:
        self.world.crash()
        self.start()

    def want(self, *guests: Guest, complete: bool = True) -> None:
        self.part.changed({wanted.id: wanted for wanted in guests}, complete)

    def last(self, guest_id: str = GUEST) -> GuestReport | None:
        return next((report for report in reversed(self.told) if report.id == guest_id), None)

    async def until(self, is_so: Callable[[], bool], within_s: float = 300) -> None:
        async with asyncio.timeout(within_s):
            while not is_so():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def until_told(self, report: GuestReport) -> None:
        await self.until(lambda: self.last(report.id) == report)

    async def running(self, wanted: Guest) -> None:
        self.want(wanted)
        await self.until_told(running(wanted))


def running(wanted: Guest) -> GuestReport:
    return GuestReport(id=wanted.id, generation=wanted.generation, state="running", boot=wanted.boot)


def stopped(wanted: Guest, *, itself: bool = False) -> GuestReport:
    return GuestReport(
        id=wanted.id, generation=wanted.generation, state="stopped", boot=wanted.boot, stopped_itself=itself
    )


def absent(generation: int) -> GuestReport:
    return GuestReport(id=GUEST, generation=generation, state="absent")


Scenario = Callable[[Bench], Coroutine[Any, Any, None]]


def simulated(scenario: Scenario) -> Callable[[int], None]:
    """A test that runs the scenario once for each seed."""

    @pytest.mark.parametrize("seed", range(8))
    def test(seed: int) -> None:
        loop = VirtualLoop(seed)

        async def whole() -> None:
            bench = Bench(loop, seed)
            try:
                await scenario(bench)
                assert bench.world.failures == []
            finally:
                await bench.world.close()

        try:
            loop.run_until_complete(whole())
        finally:
            loop.close()

    test.__doc__ = scenario.__doc__
    return test
