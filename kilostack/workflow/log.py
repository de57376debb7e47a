"""The tables of sagas, and every statement on them. One instance per service's database."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Index, MetaData, Table, delete, func, or_, select, update

from kilostack.core.context import Context
from kilostack.core.world import Micros
from kilostack.store.database import Tx
from kilostack.store.records import Records
from kilostack.store.sql import Query, boolean, integer, json, long_text, p, text, uuid

#: `due_at` of what has ended: who looks for work by the index finds none of the thousands that are kept for a while
_NEVER = (1 << 63) - 1


class LostLease(Exception):
    """Somebody else goes on with the saga: drop it, without a trace."""


class SagaRow(msgspec.Struct, frozen=True, kw_only=True):
    """One saga's row. It is ready when it has no owner, waits for nobody and `due_at` has come."""

    id: str
    kind: str
    version: int
    resource_id: str
    params: msgspec.Raw
    ctx: Context
    #: "forward", "unwinding", "ended"
    state: str = "forward"
    #: "", then "done" or "unwound"
    outcome: str = ""
    cancelled: bool = False
    owner: str | None = None
    epoch: int = 0
    #: a saga on the same resource that has to end first
    waits_for: str | None = None
    due_at: int = 0
    deadline_at: int = 0
    #: failed tries since the last step that was done or undone
    tries: int = 0
    #: how often somebody asked it to look again
    wakes: int = 0
    error: str = ""
    created_at: int
    ended_at: int | None = None


class LogRow(msgspec.Struct, frozen=True, kw_only=True):
    """One entry: a step was done, failed or undone."""

    saga_id: str
    seq: int
    step: str
    kind: str
    value: Any = None
    at: int
    epoch: int


class SagaTables:
    """Rows of sagas and their logs in `meta`; `topic` is hinted when one may be ready."""

    def __init__(self, meta: MetaData, topic: str) -> None:
        self.topic = topic
        sagas = self.sagas = Table(
            "sagas",
            meta,
            uuid("id", key=True),
            text("kind", 64),
            integer("version"),
            uuid("resource_id", index=True),
            json("params"),
            json("ctx"),
            text("state", 16),
            text("outcome", 16),
            boolean("cancelled"),
            uuid("owner", null=True, index=True),
            integer("epoch"),
            uuid("waits_for", null=True),
            integer("due_at", index=True),
            integer("deadline_at"),
            integer("tries"),
            integer("wakes"),
            long_text("error"),
            integer("created_at"),
            integer("ended_at", null=True),
            Index("ix_sagas_ready", "waits_for", "due_at"),
        )
        log = Table(
            "saga_log",
            meta,
            uuid("saga_id", key=True),
            integer("seq", key=True),
            text("step", 64),
            text("kind", 16),
            json("value", null=True),
            integer("at"),
            integer("epoch"),
        )
        self.rows = Records(SagaRow, sagas, noun="saga")
        self.log = Records(LogRow, log, noun="saga log", key=("saga_id", "seq"))
        c = sagas.c
        alive = c.state != "ended"
        ready = alive & c.owner.is_(None) & c.waits_for.is_(None)
        self._ready = Query(
            select(c.id).where(ready, c.due_at <= p("now")).order_by(c.due_at, c.created_at, c.id).limit(p("limit"))
        )
        self._next_due = Query(select(func.min(c.due_at)).where(ready))
        self._claim = Query(update(sagas).where(c.id == p("saga"), ready).values(owner=p("me"), epoch=c.epoch + 1))
        self._fence = Query(select(c.epoch, c.cancelled).where(c.id == p("saga"), alive))
        mine = (c.id == p("saga")) & (c.epoch == p("my_epoch")) & alive
        self._park = Query(
            update(sagas).where(mine).values(owner=None, due_at=p("due"), tries=p("new_tries"), error=p("new_error"))
        )
        self._park_unless_woken = Query(
            update(sagas).where(mine, c.wakes == p("seen")).values(owner=None, due_at=p("due"), tries=0)
        )
        self._release = Query(update(sagas).where(mine).values(owner=None, due_at=p("due")))
        self._went_on = Query(update(sagas).where(mine, c.tries > 0).values(tries=0))
        self._unwind = Query(update(sagas).where(mine).values(state="unwinding", error=p("new_error"), tries=0))
        self._end = Query(
            update(sagas)
            .where(mine)
            .values(state="ended", outcome=p("how"), owner=None, ended_at=p("now"), error=p("new_error"), due_at=_NEVER)
        )
        self._next = Query(update(sagas).where(c.waits_for == p("saga")).values(waits_for=None))
        self._cancel = Query(
            update(sagas).where(c.id == p("saga"), alive).values(cancelled=1, due_at=0, wakes=c.wakes + 1)
        )
        self._wake = Query(
            update(sagas).where(c.resource_id == p("resource"), alive).values(due_at=0, wakes=c.wakes + 1)
        )
        self._free = Query(update(sagas).where(c.owner == p("dead"), alive).values(owner=None, due_at=0))
        self._living = Query(select(func.count()).select_from(sagas).where(alive, c.due_at < _NEVER))
        self._old = Query(delete(sagas).where(c.state == "ended", or_(c.ended_at.is_(None), c.ended_at < p("before"))))
        kept = select(c.id)
        self._old_log = Query(delete(log).where(log.c.saga_id.not_in(kept)))

    async def ready(self, tx: Tx, now: Micros, limit: int) -> list[str]:
        """Ids of sagas that somebody should claim now, the most overdue first."""
        return [row[0] for row in await tx.all(self._ready, now=now, limit=limit)]

    async def next_due(self, tx: Tx) -> int | None:
        """When the next parked saga wants to be looked at."""
        row = await tx.one(self._next_due)
        return None if row is None else row[0]

    async def claim(self, tx: Tx, saga_id: str, owner: str) -> tuple[SagaRow, list[LogRow]] | None:
        """Take a ready saga, one epoch further; None if somebody was faster."""
        if await tx.run(self._claim, saga=saga_id, me=owner) != 1:
            return None
        return await self.rows.get(tx, id=saga_id), await self.log.where(tx, saga_id=saga_id)

    async def append(self, tx: Tx, row: SagaRow, entry: LogRow) -> None:
        """Log that a step was done, failed or undone, in a unit that has passed `fence`."""
        await self.log.insert(tx, entry)
        if row.tries:
            await tx.run(self._went_on, saga=row.id, my_epoch=row.epoch)

    async def fence(self, tx: Tx, row: SagaRow) -> bool:
        """Whether the saga was cancelled. Raises `LostLease`."""
        found = await tx.one(self._fence, saga=row.id)
        if found is None or found[0] != row.epoch:
            raise LostLease(row.id)
        return bool(found[1])

    async def park(self, tx: Tx, row: SagaRow, due: int, error: str) -> None:
        """Give the saga back after a failed try, to be tried again at `due`."""
        values = {"due": due, "new_tries": row.tries + 1, "new_error": error[:2000]}
        self._must(await tx.run(self._park, saga=row.id, my_epoch=row.epoch, **values), row)

    async def wait(self, tx: Tx, row: SagaRow, due: int) -> None:
        """Give the saga back until it is woken, at the latest at `due`; at once if it was woken meanwhile."""
        seen = {"saga": row.id, "my_epoch": row.epoch, "seen": row.wakes}
        if await tx.run(self._park_unless_woken, due=due, **seen) != 1:
            self._must(await tx.run(self._release, saga=row.id, my_epoch=row.epoch, due=0), row)

    async def unwind(self, tx: Tx, row: SagaRow, error: str) -> None:
        self._must(await tx.run(self._unwind, saga=row.id, my_epoch=row.epoch, new_error=error[:2000]), row)

    async def end(self, tx: Tx, row: SagaRow, outcome: str, error: str, now: Micros) -> None:
        """The last write of a saga; whoever waits for it may go on."""
        values = {"how": outcome, "now": now, "new_error": error[:2000]}
        self._must(await tx.run(self._end, saga=row.id, my_epoch=row.epoch, **values), row)
        if await tx.run(self._next, saga=row.id):
            tx.hint(self.topic)

    @staticmethod
    def _must(matched: int, row: SagaRow) -> None:
        if matched != 1:
            raise LostLease(row.id)

    async def cancel(self, tx: Tx, saga_id: str) -> bool:
        """Ask a saga to unwind; False if it has ended."""
        if found := await tx.run(self._cancel, saga=saga_id) == 1:
            tx.hint(self.topic)
        return found

    async def wake(self, tx: Tx, resource_id: str) -> None:
        """Something that a waiting saga of this resource waits for may have happened."""
        if await tx.run(self._wake, resource=resource_id):
            tx.hint(self.topic)

    async def free(self, tx: Tx, owner: str) -> int:
        """Give the sagas of a dead process to whoever claims them."""
        freed = await tx.run(self._free, dead=owner)
        if freed:
            tx.hint(self.topic)
        return freed

    async def living(self, tx: Tx) -> int:
        """How many sagas have not ended."""
        row = await tx.one(self._living)
        return int(row[0]) if row else 0

    async def prune(self, tx: Tx, before: Micros) -> None:
        """Forget sagas that ended before a time, and their logs."""
        if await tx.run(self._old, before=before):
            await tx.run(self._old_log)
