"""What a callee keeps of the sagas that call it: the highest epoch, and a tombstone once a step was undone.

A conductor that was paused and has lost its sagas may wake up and repeat a call: its epoch is lower than one seen, so
it is refused. A step's do that arrives after its undo finds the tombstone and is refused, too.
"""

from __future__ import annotations

from sqlalchemy import MetaData, Table, delete, insert, select, update

from kilostack.core.errors import Refused
from kilostack.core.world import Micros
from kilostack.store.database import Tx
from kilostack.store.sql import Query, integer, p, text, uuid
from kilostack.wire.calls import Actor


class Fence:
    """Rows of one service's database. Every write made for a saga's step calls `enter` (or `bury`) in its unit."""

    def __init__(self, meta: MetaData) -> None:
        rows = Table(
            "fences",
            meta,
            uuid("saga_id", key=True),
            text("step", 64, key=True),
            integer("epoch"),
            integer("buried"),
            integer("at", index=True),
        )
        same = (rows.c.saga_id == p("saga")) & (rows.c.step == p("name"))
        self._get = Query(select(rows.c.epoch, rows.c.buried).where(same))
        self._insert = Query(
            insert(rows).values(saga_id=p("saga"), step=p("name"), epoch=p("new"), buried=p("dead"), at=p("now"))
        )
        self._update = Query(update(rows).where(same).values(epoch=p("new"), buried=p("dead")))
        self._prune = Query(delete(rows).where(rows.c.at < p("before")))

    async def enter(self, tx: Tx, actor: Actor, now: Micros) -> bool:
        """Let a step's do pass; whether it has passed before.

        Whoever finds that a do comes again, and that what it made is gone, must refuse it: another saga has removed it
        since. Raises `Refused` for a lower epoch than one seen, or for a step already undone.
        """
        return await self._pass(tx, actor, now, bury=False)

    async def bury(self, tx: Tx, actor: Actor, now: Micros) -> None:
        """Let a step's undo pass, and keep its do from passing ever after."""
        await self._pass(tx, actor, now, bury=True)

    async def _pass(self, tx: Tx, actor: Actor, now: Micros, *, bury: bool) -> bool:
        if not actor.saga_id:
            return False
        row = await tx.one(self._get, saga=actor.saga_id, name=actor.step)
        if row is None:
            await tx.run(self._insert, saga=actor.saga_id, name=actor.step, new=actor.epoch, dead=int(bury), now=now)
            return False
        epoch, buried = row
        if actor.epoch < epoch:
            raise Refused(f"saga {actor.saga_id} has gone on under epoch {epoch}; this call has {actor.epoch}")
        if buried and not bury:
            raise Refused(f"step {actor.step} of saga {actor.saga_id} was undone")
        if actor.epoch > epoch or bury != bool(buried):
            await tx.run(self._update, saga=actor.saga_id, name=actor.step, new=actor.epoch, dead=int(bury))
        return True

    async def prune(self, tx: Tx, before: Micros) -> int:
        """Forget sagas that entered before a time long past every deadline."""
        return await tx.run(self._prune, before=before)
