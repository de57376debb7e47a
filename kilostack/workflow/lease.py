"""Who is alive, without comparing clocks.

Each process raises its beat once a second. A watcher that has seen the same beat for `PATIENCE_S` of its own monotonic
clock, during which its own beats were written, marks the process dead and frees its sagas. A process that finds itself
marked dead drops all work and starts over under a new id.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from sqlalchemy import MetaData, Table, delete, insert, select, update

from kilostack.core.errors import Unavailable
from kilostack.core.world import World
from kilostack.store.database import Database, Tx
from kilostack.store.sql import Query, boolean, integer, p, text, uuid

PATIENCE_S = 5.0
BEAT_S = 1.0
_LOG = logging.getLogger("kilostack.lease")


class LeaseTables:
    """The beats of one service's processes."""

    def __init__(self, meta: MetaData) -> None:
        rows = Table("processes", meta, uuid("id", key=True), text("role", 64), integer("beat"), boolean("dead"))
        c = rows.c
        self.insert = Query(insert(rows).values(id=p("me"), role=p("its_role"), beat=0, dead=0))
        self.beat = Query(update(rows).where(c.id == p("me"), c.dead == 0).values(beat=c.beat + 1))
        self.hold = Query(update(rows).where(c.id == p("me"), c.dead == 0).values(dead=0))
        self.others = Query(select(c.id, c.beat).where(c.dead == 0, c.id != p("me")))
        self.bury = Query(update(rows).where(c.id == p("it"), c.beat == p("seen"), c.dead == 0).values(dead=1))
        self.forget = Query(delete(rows).where(c.dead == 1, c.id == p("it")))


class Lease:
    """This process's life in one database. `freed(tx, dead id)` runs in the transaction that marks a process dead.

    `exclusive` says that no other process can be using the database (its file is locked): the others are dead now.
    """

    def __init__(
        self,
        tables: LeaseTables,
        db: Database,
        world: World,
        role: str,
        freed: Callable[[Tx, str], Awaitable[object]],
    ) -> None:
        self._tables, self._db, self._world, self._role, self._freed = tables, db, world, role, freed
        self.id = ""
        self._seen: dict[str, tuple[int, float]] = {}

    async def start(self, *, exclusive: bool) -> None:
        """Write the row of this process, under a new id."""
        me = self._world.new_id()
        role = self._role

        async def unit(tx: Tx) -> None:
            await tx.run(self._tables.insert, me=me, its_role=role)

        await self._db.write(unit)
        self.id = me
        self._seen.clear()
        if exclusive:
            for other, beat in await self._others():
                await self._bury(other, beat)

    async def holds(self, tx: Tx) -> bool:
        """Whether this process lives for the others; in a unit that claims work, so that nobody can bury it meanwhile.

        What a buried process claims would belong to nobody who is ever found dead.
        """
        return await tx.run(self._tables.hold, me=self.id) == 1

    async def run(self, lost: Callable[[], Awaitable[None]]) -> None:
        """Beat and watch for ever; `lost` is awaited when this process was taken for dead."""
        while True:
            await self._world.sleep(BEAT_S)
            try:
                if not await self._beat():
                    _LOG.warning("this process was taken for dead and starts over", extra={"lease": self.id})
                    await lost()
                    await self.start(exclusive=False)
                    continue
                await self._watch()
            except Unavailable as error:
                # nobody may be called dead by a watcher that cannot write itself
                self._seen.clear()
                _LOG.warning("beat not written: %s", error)

    async def _beat(self) -> bool:
        async def unit(tx: Tx) -> bool:
            return await tx.run(self._tables.beat, me=self.id) == 1

        return await self._db.write(unit)

    async def _others(self) -> list[tuple[str, int]]:
        async def unit(tx: Tx) -> list[tuple[str, int]]:
            return [(row[0], row[1]) for row in await tx.all(self._tables.others, me=self.id)]

        return await self._db.read(unit)

    async def _watch(self) -> None:
        now = self._world.monotonic()
        others = await self._others()
        self._seen = {
            other: self._seen[other] if self._seen.get(other, (-1, 0.0))[0] == beat else (beat, now)
            for other, beat in others
        }
        for other, (beat, since) in list(self._seen.items()):
            if now - since >= PATIENCE_S:
                await self._bury(other, beat)

    async def _bury(self, other: str, beat: int) -> None:
        async def unit(tx: Tx) -> None:
            if await tx.run(self._tables.bury, it=other, seen=beat) == 1:
                await self._freed(tx, other)
                # a missing row tells its owner the same as a dead one
                await tx.run(self._tables.forget, it=other)

        await self._db.write(unit)
        self._seen.pop(other, None)
