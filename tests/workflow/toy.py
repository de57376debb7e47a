"""A toy service with one kind of saga, for tests of the runner: boxes made of a claim and a label elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import MetaData, Table, update

from kilostack.bus.hints import LocalHints
from kilostack.core import errors
from kilostack.core.context import Context
from kilostack.core.world import Micros
from kilostack.store.database import Tx
from kilostack.store.records import Records
from kilostack.store.sql import Query, p, text, uuid
from kilostack.store.sqlite import SqliteDatabase
from kilostack.workflow.fence import Fence
from kilostack.workflow.lease import Lease, LeaseTables
from kilostack.workflow.log import SagaTables
from kilostack.workflow.runner import Runner, Sagas
from kilostack.workflow.saga import Outcome, Run, Saga, Step, Wait
from tests.sim.world import SimWorld

META = MetaData()
SAGAS = SagaTables(META, "toy.sagas")
LEASES = LeaseTables(META)
boxes = Table("boxes", META, uuid("id", key=True), text("state"), text("task", null=True), uuid("saga_id", null=True))

NEIGHBOUR = MetaData()
FENCE = Fence(NEIGHBOUR)
claims = Table("claims", NEIGHBOUR, uuid("id", key=True), text("what"))


class Box(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    state: str = "new"
    task: str | None = None
    saga_id: str | None = None


class Held(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    what: str


BOXES = Records(Box, boxes, noun="box")
CLAIMS = Records(Held, claims, noun="claim")
_PROJECT = Query(update(boxes).where(boxes.c.id == p("box"), boxes.c.saga_id == p("saga")).values(task=p("shown")))


class Params(msgspec.Struct, frozen=True):
    """`refuse` names a step that says a final no after it has done its work; `flaky` one that fails the first time."""

    refuse: str = ""
    flaky: str = ""
    wait: bool = False


class Deps(msgspec.Struct):
    """The neighbour's database, and what tests look at."""

    db: SqliteDatabase
    tried: dict[str, int]
    open: bool = True


async def _hold(deps: Deps, run: Run, what: str) -> str:
    key = f"{run.resource_id}-{what}"

    async def unit(tx: Tx) -> None:
        await FENCE.enter(tx, run.actor(), run.now)
        if await CLAIMS.find(tx, id=key) is None:
            await CLAIMS.insert(tx, Held(id=key, what=what))

    await deps.db.write(unit)
    return key


async def _drop(deps: Deps, run: Run, what: str) -> None:
    async def unit(tx: Tx) -> None:
        await FENCE.bury(tx, run.actor(), run.now)
        await CLAIMS.delete(tx, id=f"{run.resource_id}-{what}")

    await deps.db.write(unit)


def _step(what: str) -> Step:
    async def do(deps: Deps, run: Run) -> Any:
        key = await _hold(deps, run, what)
        tries = deps.tried[what] = deps.tried.get(what, 0) + 1
        if run.params.refuse == what:
            raise errors.Refused(f"no {what}")
        if run.params.flaky == what and tries == 1:
            raise errors.Unavailable(f"{what} is away")
        if run.params.wait and what == "label" and not deps.open:
            raise Wait(30.0, "closed")
        return key

    async def undo(deps: Deps, run: Run) -> None:
        await _drop(deps, run, what)

    return Step(name=what, do=do, undo=undo, task_state=f"{what}ing")


async def _write(tx: Tx, deps: Deps, run: Run) -> str:
    box = await BOXES.get(tx, id=run.resource_id)
    await BOXES.update(tx, msgspec.structs.replace(box, state="closed"))
    if run.params.refuse == "close":
        raise errors.Refused("no close")
    return "closed"


async def _ended(tx: Tx, deps: Deps, run: Run, outcome: Outcome) -> None:
    box = await BOXES.get(tx, id=run.resource_id)
    if run.cancelled:
        return
    state = "ready" if outcome == "done" else f"failed: {run.error}"
    await BOXES.update(tx, msgspec.structs.replace(box, state=state, task=None, saga_id=None))


async def _forget(tx: Tx, deps: Deps, run: Run) -> None:
    await BOXES.delete(tx, id=run.resource_id)


async def _forgotten(tx: Tx, deps: Deps, run: Run, outcome: Outcome) -> None:
    return None


MAKE = Saga(
    name="make",
    params=Params,
    ended=_ended,
    deadline_s=60,
    steps=(_step("claim"), _step("label"), Step(name="close", write=_write, task_state="closing")),
)
REMOVE = Saga(
    name="remove", params=Params, ended=_forgotten, steps=(Step(name="forget", write=_forget, task_state="removing"),)
)
KINDS = {"make/1": MAKE, "remove/1": REMOVE}


class Rows:
    async def project(self, tx: Tx, resource_id: str, saga_id: str, task_state: str | None) -> None:
        await tx.run(_PROJECT, box=resource_id, saga=saga_id, shown=task_state)

    async def alarm(self, tx: Tx, resource_id: str, saga_id: str, reason: str, now: Micros) -> None:
        box = await BOXES.get(tx, id=resource_id)
        await BOXES.update(tx, msgspec.structs.replace(box, state=f"alarm: {reason}"))


class Conductor:
    """One simulated process that runs the toy's sagas."""

    def __init__(self, world: SimWorld, folder: Path, neighbour: Deps, kinds: dict[str, Saga] | None = None) -> None:
        self.world = world
        self.hints = LocalHints(world)
        self.db = SqliteDatabase(folder / "toy.db", world, self.hints.send)
        self.db.prepare("toy", 1, META)
        self.lease = Lease(LEASES, self.db, world, "conductor", SAGAS.free)
        self.sagas = Sagas(SAGAS, Rows())
        place = (self.db, world, self.hints, self.lease)
        self.runner = Runner(kinds or KINDS, SAGAS, Rows(), neighbour, place)
        world.on_crash = self._cut

    def _cut(self) -> None:
        # as a dead process's file handles are: open transactions are gone
        self.db._writer.close()
        self.db._reader.close()

    async def start(self, *, exclusive: bool = True) -> None:
        await self.lease.start(exclusive=exclusive)
        self.world.spawn(self.lease.run(self.runner.drop), "lease")
        self.world.spawn(self.runner.run(), "runner")

    async def make(self, box_id: str, params: Params) -> str:
        saga_id, now = self.world.new_id(), self.world.now()
        ctx = Context(request_id="req-1")

        async def unit(tx: Tx) -> None:
            await BOXES.insert(tx, Box(id=box_id, saga_id=saga_id))
            await self.sagas.enqueue(tx, MAKE, (saga_id, box_id), params, (ctx, now))

        await self.db.write(unit)
        return saga_id

    async def remove(self, box_id: str) -> None:
        saga_id, now = self.world.new_id(), self.world.now()

        async def unit(tx: Tx) -> None:
            box = await BOXES.get(tx, id=box_id)
            await BOXES.update(tx, msgspec.structs.replace(box, saga_id=saga_id))
            new = (REMOVE, saga_id, box_id, Params())
            born = (Context(request_id="req-2"), now)
            if box.saga_id is None:
                await self.sagas.enqueue(tx, REMOVE, (saga_id, box_id), Params(), born)
            else:
                await self.sagas.supersede(tx, box.saga_id, new, born)

        await self.db.write(unit)

    async def box(self, box_id: str) -> Box | None:
        return await self.db.read(lambda tx: BOXES.find(tx, id=box_id))

    async def idle(self, box_id: str, within_s: float = 120.0) -> Box | None:
        """The box once no saga is alive. Fails after `within_s` of virtual time."""
        end = self.world.monotonic() + within_s
        while await self.db.read(SAGAS.living):
            assert self.world.monotonic() < end, "the saga did not end"
            await self.world.sleep(0.05)
        return await self.box(box_id)
