"""Following a neighbour's numbered feed: each change is worked on at least once, and the place reached is remembered.

The place is written in the transaction that applies the change, so a crash repeats at most what was not applied.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy import MetaData, Table, insert, select, update

from kilostack.bus.hints import Hints
from kilostack.core.world import World
from kilostack.store.database import Tx
from kilostack.store.sql import Query, integer, p, text
from kilostack.wire.hosts import ChangesSeen

_LOG = logging.getLogger("kilostack.follower")
_POLL_S = 0.5


class Places:
    """How far each follower of one service's database has come."""

    def __init__(self, meta: MetaData) -> None:
        rows = Table("followers", meta, text("name", 64, key=True), integer("seq"))
        self._get = Query(select(rows.c.seq).where(rows.c.name == p("follower")))
        self._set = Query(update(rows).where(rows.c.name == p("follower")).values(seq=p("new")))
        self._add = Query(insert(rows).values(name=p("follower"), seq=p("new")))

    async def get(self, tx: Tx, name: str) -> int:
        row = await tx.one(self._get, follower=name)
        return 0 if row is None else int(row[0])

    async def set(self, tx: Tx, name: str, seq: int) -> None:
        if await tx.run(self._set, follower=name, new=seq) != 1:
            await tx.run(self._add, follower=name, new=seq)


async def follow(
    place: Callable[[], Awaitable[int]],
    changes: Callable[[int], Awaitable[ChangesSeen]],
    apply: Callable[[Sequence[str] | None, int], Awaitable[None]],
    world: World,
    wake: tuple[Hints, str],
) -> None:
    """Follow for ever. `apply(keys, seq)` works on the keys, or on everything when they are None, and records `seq`."""
    hints, topic = wake
    listener = hints.listen(topic)
    while True:
        try:
            reached = await place()
            seen = await changes(reached)
            if seen.last > reached:
                await apply(seen.keys if seen.complete else None, seen.last)
                continue
        except Exception as error:
            _LOG.warning("%s cannot be followed: %s", topic, error)
            await world.sleep(_POLL_S)
        await listener.wait(_POLL_S)
