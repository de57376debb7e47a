"""Runs sagas: claims what is ready, goes step by step, gives back what has to wait.

Nothing about a saga is remembered here between two steps but its row and its log; a crash at any point is repaired by
whoever claims the saga next, one epoch further.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol, TypeVar

import msgspec

from kilostack.bus.hints import Hints
from kilostack.core import errors
from kilostack.core.context import Context
from kilostack.core.world import Micros, World
from kilostack.store.database import Database, Tx, Unit
from kilostack.workflow.lease import Lease
from kilostack.workflow.log import LogRow, LostLease, SagaRow, SagaTables
from kilostack.workflow.saga import FINAL, Outcome, Run, Saga, Step, Wait

T = TypeVar("T")

_LOG = logging.getLogger("kilostack.saga")
_POLL_S = 0.5
_AT_ONCE = 64
_UNDO_ALARM = 10


class Resources(Protocol):
    """The rows that sagas work on: `saga_id` in the row is the lock, `task_state` a projection of the present step."""

    async def project(self, tx: Tx, resource_id: str, saga_id: str, task_state: str | None) -> None:
        """Show the task of the saga, if the row still belongs to it."""

    async def alarm(self, tx: Tx, resource_id: str, saga_id: str, reason: str, now: Micros) -> None:
        """An undo has failed `_UNDO_ALARM` times: show it."""


class Sagas:
    """Enqueues sagas inside the transactions of others."""

    def __init__(self, tables: SagaTables, resources: Resources) -> None:
        self.tables, self._resources = tables, resources

    async def enqueue(
        self, tx: Tx, saga: Saga, row: tuple[str, str], params: msgspec.Struct, born: tuple[Context, Micros]
    ) -> None:
        """Record the work. `row` is (saga id, resource id), `born` who asked and when; the ids are made by the caller.

        The caller sets the resource's `saga_id` in the same transaction.
        """
        await self._insert(tx, saga, row, params, born, waits_for=None)

    async def supersede(
        self, tx: Tx, old_saga_id: str, new: tuple[Saga, str, str, msgspec.Struct], born: tuple[Context, Micros]
    ) -> None:
        """Cancel the resource's running saga and enqueue another, which starts when the first has unwound."""
        waits = old_saga_id if await self.tables.cancel(tx, old_saga_id) else None
        saga, saga_id, resource_id, params = new
        await self._insert(tx, saga, (saga_id, resource_id), params, born, waits_for=waits)

    async def _insert(
        self,
        tx: Tx,
        saga: Saga,
        row: tuple[str, str],
        params: msgspec.Struct,
        born: tuple[Context, Micros],
        *,
        waits_for: str | None,
    ) -> None:
        ctx, now = born
        record = SagaRow(
            id=row[0],
            kind=saga.name,
            version=saga.version,
            resource_id=row[1],
            params=msgspec.Raw(msgspec.json.encode(params)),
            ctx=ctx,
            waits_for=waits_for,
            deadline_at=now + int(saga.deadline_s * 1e6),
            created_at=now,
        )
        await self.tables.rows.insert(tx, record)
        await self._resources.project(tx, row[1], row[0], saga.steps[0].task_state)
        tx.hint(self.tables.topic)


class Runner:
    """One conductor: claims and runs the sagas of one service's database."""

    def __init__(
        self,
        kinds: Mapping[str, Saga],
        tables: SagaTables,
        resources: Resources,
        deps: Any,
        place: tuple[Database, World, Hints, Lease],
    ) -> None:
        self._kinds, self._tables, self._resources, self._deps = kinds, tables, resources, deps
        self._db, self._world, self._hints, self._lease = place
        self._running: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Claim and run for ever."""
        listener = self._hints.listen(self._tables.topic)
        while True:
            pause = _POLL_S
            try:
                pause = await self._turn()
            except errors.Unavailable as error:
                _LOG.warning("sagas cannot be read: %s", error)
            except Exception:
                # whatever it was, other sagas must not wait for a restart of this process
                _LOG.exception("sagas cannot be looked for")
            await listener.wait(pause)

    @property
    def under_way(self) -> dict[str, str]:
        """The sagas that run in this process: id -> the life of this process that claimed it."""
        return dict.fromkeys(self._running, self._lease.id)

    async def drop(self) -> None:
        """Stop all sagas under way in this process; whoever claims them goes on."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()

    async def _turn(self) -> float:
        """Start what is ready; how long to wait for the next look."""
        now = self._world.now()
        room = _AT_ONCE - len(self._running)

        async def unit(tx: Tx) -> tuple[list[str], int | None]:
            return await self._tables.ready(tx, now, room), await self._tables.next_due(tx)

        ready, due = await self._db.read(unit)
        for saga_id in ready:
            if saga_id not in self._running:
                task = self._world.spawn(self._one(saga_id), f"saga {saga_id}")
                self._running[saga_id] = task
                # not in the coroutine: one that is dropped before its first turn never enters its body
                task.add_done_callback(partial(self._over, saga_id))
        return _POLL_S if due is None else max(0.01, min(_POLL_S, (due - now) / 1e6))

    async def _one(self, saga_id: str) -> None:
        owner = self._lease.id

        async def unit(tx: Tx) -> tuple[SagaRow, list[LogRow]] | None:
            if not await self._lease.holds(tx):
                return None
            return await self._tables.claim(tx, saga_id, owner)

        try:
            if (claimed := await self._db.write(unit)) is not None:
                await _Turn(self, *claimed).run()
        except LostLease:
            _LOG.info("saga goes on elsewhere", extra={"saga_id": saga_id})
        except Exception as error:
            # the row still names us as its owner: give it back, or the saga would wait for our death
            known = isinstance(error, errors.Unavailable)
            fields = {"saga_id": saga_id}
            _LOG.warning("saga interrupted: %s", error, extra=fields, exc_info=None if known else error)
            await self._give_back(saga_id, owner)

    def _over(self, saga_id: str, task: asyncio.Task[None]) -> None:
        del self._running[saga_id]
        self._hints.send(self._tables.topic)

    async def _give_back(self, saga_id: str, owner: str) -> None:
        async def unit(tx: Tx) -> None:
            row = await self._tables.rows.find(tx, id=saga_id)
            if row is not None and row.owner == owner and row.state != "ended":
                await self._tables.park(tx, row, now + 1_000_000, row.error)

        while True:
            await self._world.sleep(1.0)
            now = self._world.now()
            try:
                return await self._db.write(unit)
            except errors.Unavailable:
                continue
            except LostLease:
                return None


class _Turn:
    """One claimed saga, from here to its end or until it has to wait."""

    def __init__(self, runner: Runner, row: SagaRow, log: list[LogRow]) -> None:
        self._tables, self._resources, self._deps = runner._tables, runner._resources, runner._deps
        self._db, self._world = runner._db, runner._world
        self._row = row
        self._saga = runner._kinds[f"{row.kind}/{row.version}"]
        self._outputs = {entry.step: entry.value for entry in log if entry.kind == "done"}
        self._failed = next((entry.step for entry in log if entry.kind == "failed"), "")
        self._undone = {entry.step for entry in log if entry.kind == "undone"}
        self._params = msgspec.json.decode(row.params, type=self._saga.params)
        self._error = row.error if row.state == "unwinding" else ""
        self._logged = log[-1].seq if log else 0

    def _run(self, step: str) -> Run:
        return Run(
            saga_id=self._row.id,
            resource_id=self._row.resource_id,
            params=self._params,
            outputs=self._outputs,
            ctx=self._row.ctx,
            epoch=self._row.epoch,
            step=step,
            error=self._error,
            cancelled=self._row.cancelled,
            now=self._world.now(),
        )

    def _entry(self, step: str, kind: str, value: Any, now: Micros) -> LogRow:
        """The next entry of the log; the same one when a unit runs again."""
        seq, epoch = self._logged + 1, self._row.epoch
        return LogRow(saga_id=self._row.id, seq=seq, step=step, kind=kind, value=value, at=now, epoch=epoch)

    async def _write(self, unit: Unit[T]) -> T:
        """Write a unit that logs at most one entry; with it the tries begin anew."""
        result = await self._db.write(unit)
        self._logged += 1
        self._row = msgspec.structs.replace(self._row, tries=0)
        return result

    async def run(self) -> None:
        if self._row.state == "forward":
            if self._row.cancelled:
                # the step after the last one logged may have begun before a crash
                began = next((step.name for step in self._saga.steps if step.name not in self._outputs), "")
                await self._start_unwinding(began, "cancelled")
            elif not await self._forward():
                return
        await self._backward()

    async def _forward(self) -> bool:
        """Do the steps that are left; True if the saga has to unwind."""
        left = [step for step in self._saga.steps if step.name not in self._outputs]
        for step in left:
            if self._world.now() > self._row.deadline_at:
                await self._start_unwinding(step.name, self._row.error or "took too long")
                return True
            try:
                cancelled = await self._do(step, last=step is left[-1])
            except Wait as wait:
                await self._wait(wait)
                return False
            except LostLease:
                raise
            except FINAL as error:
                if isinstance(error, errors.StaleGeneration):
                    await self._again(error)
                    return False
                await self._start_unwinding(step.name, error.message)
                return True
            except Exception as error:
                await self._again(error)
                return False
            if cancelled:
                await self._start_unwinding("", "cancelled")
                return True
        return False

    async def _do(self, step: Step, *, last: bool) -> bool:
        """Do one step and log it, with the end of the saga if it is the last; whether the saga was cancelled."""
        run = self._run(step.name)
        value = await step.do(self._deps, run) if step.do is not None else None

        async def unit(tx: Tx) -> tuple[Any, bool]:
            cancelled = await self._tables.fence(tx, self._row)
            if cancelled:
                # what was done is undone; a write that was not made needs no undo
                return value, True
            result = value if step.write is None else await step.write(tx, self._deps, run)
            await self._tables.append(tx, self._row, self._entry(step.name, "done", result, run.now))
            if last:
                await self._end(tx, {**self._outputs, step.name: result}, "done")
            else:
                following = self._saga.steps[self._saga.steps.index(step) + 1]
                if following.task_state != step.task_state:
                    await self._resources.project(tx, run.resource_id, run.saga_id, following.task_state)
            return result, False

        result, cancelled = await self._write(unit)
        if cancelled:
            self._row = msgspec.structs.replace(self._row, cancelled=True)
            self._failed = step.name
        else:
            self._outputs[step.name] = result
        return cancelled

    async def _end(self, tx: Tx, outputs: Mapping[str, Any], outcome: Outcome) -> None:
        run = msgspec.structs.replace(self._run(""), outputs=outputs)
        await self._saga.ended(tx, self._deps, run, outcome)
        await self._tables.end(tx, self._row, outcome, self._error, run.now)

    async def _start_unwinding(self, failed: str, error: str) -> None:
        self._error = error
        self._failed = failed or self._failed
        now = self._world.now()

        async def unit(tx: Tx) -> None:
            cancelled = await self._tables.fence(tx, self._row)
            self._row = msgspec.structs.replace(self._row, cancelled=cancelled)
            if self._failed:
                await self._tables.append(tx, self._row, self._entry(self._failed, "failed", error[:2000], now))
            await self._tables.unwind(tx, self._row, error)
            if (task_state := self._saga.unwinding_task_state) is not None:
                await self._resources.project(tx, self._row.resource_id, self._row.id, task_state)

        await self._write(unit)
        self._row = msgspec.structs.replace(self._row, state="unwinding")

    async def _backward(self) -> None:
        """Undo, last step first, what was done, and the step that failed: it may have done half its work."""
        for step in reversed(self._saga.steps):
            began = step.name in self._outputs or step.name == self._failed
            if not began or step.name in self._undone:
                continue
            run = self._run(step.name)
            try:
                if step.undo is not None:
                    await step.undo(self._deps, run)
                await self._write(self._undone_unit(step, run))
            except Wait as wait:
                await self._wait(wait)
                return
            except LostLease:
                raise
            except Exception as error:
                await self._again(error)
                return
            self._undone.add(step.name)

        async def unit(tx: Tx) -> None:
            await self._end(tx, self._outputs, "unwound")

        await self._db.write(unit)

    def _undone_unit(self, step: Step, run: Run) -> Any:
        async def unit(tx: Tx) -> None:
            await self._tables.fence(tx, self._row)
            if step.unwrite is not None:
                await step.unwrite(tx, self._deps, run)
            await self._tables.append(tx, self._row, self._entry(step.name, "undone", None, run.now))

        return unit

    async def _wait(self, wait: Wait) -> None:
        due = self._world.now() + int(wait.seconds * 1e6)

        async def unit(tx: Tx) -> None:
            await self._tables.wait(tx, self._row, due)

        await self._db.write(unit)

    async def _again(self, error: Exception) -> None:
        """Give the saga back, to be tried again after a pause that doubles up to 30 s."""
        message = error.message if isinstance(error, errors.Error) else f"{type(error).__name__}: {error}"
        tries = self._row.tries + 1
        pause = min(30.0, 0.2 * 2 ** min(tries, 10)) * self._world.random().uniform(0.8, 1.2)
        now = self._world.now()
        due = now + int(pause * 1e6)
        unwinding = self._row.state == "unwinding"
        kept = self._error if unwinding else message
        known = isinstance(error, errors.Error)
        fields = {"saga_id": self._row.id, "resource_id": self._row.resource_id, "tries": tries}
        _LOG.warning("step failed, will be tried again: %s", message, extra=fields, exc_info=None if known else error)

        async def unit(tx: Tx) -> None:
            await self._tables.park(tx, self._row, due, kept)
            if unwinding and tries == _UNDO_ALARM:
                reason = f"cannot be undone yet ({tries} tries): {message}"
                await self._resources.alarm(tx, self._row.resource_id, self._row.id, reason, now)

        await self._db.write(unit)
