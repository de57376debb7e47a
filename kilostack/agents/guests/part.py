"""The compute part of an agent: one worker per guest brings it to its desired state and reports what it has become."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from kilostack.agents.guests.patience import Patience
from kilostack.agents.guests.plan import Action, failed_report, is_overtaken, plan, settled_report
from kilostack.core.world import World
from kilostack.drivers.guests.port import GuestDriver, GuestFault, Observed, Stop
from kilostack.wire.compute import Guest, GuestReport

log = logging.getLogger(__name__)

PORTS_TIMEOUT_S: Final = 60.0
#: Everything is driven by changes; this only finds what was missed.
SWEEP_S: Final = 30.0
#: Reports of guests that are gone are kept for resending, the latest ones.
_KEPT_ABSENCES: Final = 10_000


class PortsReady(Protocol):
    """What guests ask of the network part of the same agent."""

    async def wait_ready(self, port_ids: Sequence[str]) -> None:
        """Return when the taps of these ports exist and are plugged."""

    def release(self, port_ids: Sequence[str]) -> None:
        """No guest uses these ports any more; their taps may go."""


@dataclass(slots=True)
class _Worker:
    """One guest's worker: what it is told by, and what it knows beside what the host shows."""

    wake: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    step: asyncio.Task[GuestFault | None] | None = None
    #: the last desired guest that was seen; its ports are released when it is gone
    last: Guest | None = None
    #: something of the guest was seen on this host
    was_here: bool = False
    patience: Patience = field(default_factory=Patience)


class GuestsPart:
    """Guests of one host. Guests are served side by side, each by one step at a time."""

    service = "compute"

    def __init__(self, world: World, driver: GuestDriver, ports: PortsReady, *, starts_at_once: int = 4) -> None:
        self._world = world
        self._driver = driver
        self._ports = ports
        self._starts = asyncio.Semaphore(starts_at_once)
        self._desired: Mapping[str, Guest] = {}
        self._is_complete = False
        self._is_open = False
        self._is_stopping = False
        self._workers: dict[str, _Worker] = {}
        self._reports: dict[str, GuestReport] = {}
        self._absences: dict[str, GuestReport] = {}
        self._report: Callable[[GuestReport], None] = lambda report: None
        self._survey = asyncio.Event()

    def changed(self, desired: Mapping[str, Guest], complete: bool) -> None:
        """The whole desired mapping, by guest id, whenever it has changed. Until it is `complete` nothing is started,
        stopped or removed."""
        before, self._desired = self._desired, dict(desired)
        if complete and not self._is_complete:
            self._survey.set()
        self._is_complete = complete
        for guest_id in before.keys() | desired.keys():
            old, new = before.get(guest_id), desired.get(guest_id)
            if old != new:
                self._on_change(guest_id, old, new)

    def _on_change(self, guest_id: str, old: Guest | None, new: Guest | None) -> None:
        worker = self._worker(guest_id)
        worker.last = new or old
        worker.patience = Patience()
        if worker.step is not None and old is not None and is_overtaken(old, new):
            worker.step.cancel()
        worker.wake.set()

    async def run(self, report: Callable[[GuestReport], None]) -> None:
        """Run for ever; `report` is called whenever a guest differs from what was last reported."""
        self._report = report
        await self._open()
        listener = self._world.spawn(self._listen(), "changes of guests")
        sweeper = self._world.spawn(self._sweep(), "sweep of guests")
        try:
            while True:
                await self._survey.wait()
                self._survey.clear()
                await self._look_at_all()
        finally:
            self._is_open = False
            for helper in (listener, sweeper):
                helper.cancel()
            for worker in self._workers.values():
                if worker.task is not None:
                    worker.task.cancel()
            await self._end_steps()
            await self._driver.close()

    async def _open(self) -> None:
        patience = Patience()
        while True:
            try:
                await self._driver.open()
                break
            except GuestFault as fault:
                now = self._world.monotonic()
                patience.failed(fault.reason, now, self._world.random())
                await self._world.sleep(patience.retry_at - now)
        self._is_open = True
        self._survey.set()

    async def _listen(self) -> None:
        async for guest_id in self._driver.changes():
            self._worker(guest_id).wake.set()

    async def _sweep(self) -> None:
        while True:
            await self._world.sleep(SWEEP_S)
            self._survey.set()

    async def _look_at_all(self) -> None:
        """Wake a worker for every guest that is here or should be."""
        try:
            here = await self._driver.observe()
        except GuestFault as fault:
            log.warning("guests cannot be observed: %s", fault)
            return
        for guest_id in here.keys() | self._desired.keys() | self._workers.keys():
            self._worker(guest_id).wake.set()

    async def _end_steps(self) -> None:
        """Break off the steps under way, and wait until they have let go."""
        steps = [worker.step for worker in self._workers.values() if worker.step is not None]
        for step in steps:
            step.cancel()
        if steps:
            await asyncio.wait(steps)

    def reports(self) -> list[GuestReport]:
        """The present report of every guest that has one, those that are gone included."""
        return [*self._reports.values(), *self._absences.values()]

    def guest(self, guest_id: str) -> Guest | None:
        """The desired guest with that id, for whoever answers its questions."""
        return self._desired.get(guest_id)

    def confirm_gone(self, guest_id: str) -> None:
        """The service waits to hear that this guest is gone: say so again, once a look has shown it."""
        if guest_id not in self._desired:
            worker = self._worker(guest_id)
            worker.was_here = True
            worker.wake.set()

    async def stop_all(self, timeout_s: float) -> None:
        """Stop every guest, by the power button at first; none is started again by this part."""
        self._is_stopping = True
        await self._end_steps()
        here = await self._driver.observe()
        running = [guest.id for guest in here.values() if guest.is_running]
        ended = await asyncio.gather(
            *(self._driver.stop(guest_id, timeout_s) for guest_id in running), return_exceptions=True
        )
        for guest_id, fault in zip(running, ended, strict=True):
            if isinstance(fault, GuestFault):
                log.warning("guest %s could not be stopped: %s", guest_id, fault)
            elif fault is not None:
                raise fault

    def _worker(self, guest_id: str) -> _Worker:
        worker = self._workers.get(guest_id)
        if worker is None:
            worker = self._workers[guest_id] = _Worker()
        if worker.task is None and self._is_open:
            worker.task = self._world.spawn(self._work(guest_id, worker), f"guest {guest_id}")
        return worker

    async def _work(self, guest_id: str, worker: _Worker) -> None:
        """Turn after turn, until nothing of the guest is wanted or left."""
        while True:
            await self._wait(worker)
            worker.wake.clear()
            try:
                is_gone = await self._turn(guest_id, worker)
            except GuestFault as fault:
                log.warning("guest %s cannot be looked at: %s", guest_id, fault)
                worker.patience.failed(fault.reason, self._world.monotonic(), self._world.random())
                continue
            # Between the last look and here nothing was awaited: no wish can have come in between.
            if is_gone:
                del self._workers[guest_id]
                return

    async def _wait(self, worker: _Worker) -> None:
        """Until there is something new, or it is time to try again."""
        pause = worker.patience.retry_at - self._world.monotonic()
        if worker.patience.retry_at == 0.0 or math.isinf(pause) or not self._is_complete or self._is_stopping:
            await worker.wake.wait()
            return
        try:
            async with self._world.timeout(max(0.0, pause)):
                await worker.wake.wait()
        except TimeoutError:
            pass  # time to try again

    async def _turn(self, guest_id: str, worker: _Worker) -> bool:
        """Step by step until the guest is what it should be, or has to wait. True when it is gone altogether."""
        while self._is_complete and not self._is_stopping:
            desired = self._desired.get(guest_id)
            worker.last = desired or worker.last
            observed = await self._driver.look(guest_id)
            worker.was_here = worker.was_here or observed is not None
            if self._desired.get(guest_id) != desired:
                continue
            action = plan(desired, observed)
            if action is Action.GONE:
                self._tell_absent(guest_id, worker)
                return True
            if action is Action.SETTLED and desired is not None and observed is not None:
                worker.patience.settled()
                self._tell(settled_report(desired, observed))
                return False
            if not self._may_try(worker, action, desired, observed):
                return False
            await self._step(guest_id, worker, action)
        return False

    def _may_try(self, worker: _Worker, action: Action, desired: Guest | None, observed: Observed | None) -> bool:
        """Whether the next step may be taken now. Tells the owner when it is time to say that it failed."""
        patience, now = worker.patience, self._world.monotonic()
        is_dead = observed is not None and observed.stop is Stop.DIED
        if action is Action.START and is_dead and patience.started_at is not None:
            patience.died(now, self._world.random())
        if patience.fault is not None and desired is not None:
            self._tell(failed_report(desired, observed, patience.fault))
        return patience.retry_at <= now

    async def _step(self, guest_id: str, worker: _Worker, action: Action) -> None:
        """Take one step. It may be broken off by a change of the desired state; then the next look decides."""
        guest = worker.last
        worker.step = self._world.spawn(self._take(guest_id, guest, action), f"{action} guest {guest_id}")
        try:
            await asyncio.wait([worker.step])
        finally:
            step, worker.step = worker.step, None
            if not step.done():
                step.cancel()
        if step.cancelled():
            return
        fault, now = step.result(), self._world.monotonic()
        if fault is not None:
            worker.patience.failed(fault.reason, now, self._world.random(), final=fault.final)
        elif action is Action.START:
            worker.patience.started(now)

    async def _take(self, guest_id: str, guest: Guest | None, action: Action) -> GuestFault | None:
        """The step itself; a fault is returned, because it is an answer like any other."""
        log.info("guest %s: %s", guest_id, action)
        try:
            match action:
                case Action.PREPARE if guest is not None:
                    await self._driver.ensure_disk(guest)
                case Action.START if guest is not None:
                    await self._start(guest)
                case Action.STOP_SOFT if guest is not None:
                    await self._driver.stop(guest_id, guest.stop_timeout_s)
                case Action.STOP_HARD:
                    await self._driver.stop(guest_id, 0)
                case Action.REMOVE:
                    await self._driver.remove(guest_id)
        except GuestFault as fault:
            log.warning("guest %s: %s: %s", guest_id, action, fault)
            return fault
        except Exception:
            log.exception("guest %s: %s", guest_id, action)
            return GuestFault("The host failed unexpectedly; its operator finds the cause in its log.")
        return None

    async def _start(self, guest: Guest) -> None:
        await self._driver.ensure_disk(guest)
        try:
            async with self._world.timeout(PORTS_TIMEOUT_S):
                await self._ports.wait_ready([nic.port_id for nic in guest.nics])
        except TimeoutError as error:
            raise GuestFault("The guest's network was not ready in time.") from error
        async with self._starts:
            await self._driver.start(guest)

    def _tell(self, report: GuestReport) -> None:
        self._absences.pop(report.id, None)
        if self._reports.get(report.id) != report:
            self._reports[report.id] = report
            self._report(report)

    def _tell_absent(self, guest_id: str, worker: _Worker) -> None:
        if worker.last is None and not worker.was_here:
            return  # the late news of a process whose guest is gone already
        if worker.last is not None:
            self._ports.release([nic.port_id for nic in worker.last.nics])
        before = self._reports.pop(guest_id, None)
        generation = max(before.generation if before else 0, worker.last.generation if worker.last else 0)
        report = GuestReport(id=guest_id, generation=generation, state="absent")
        self._absences[guest_id] = report
        while len(self._absences) > _KEPT_ABSENCES:
            del self._absences[next(iter(self._absences))]
        self._report(report)
