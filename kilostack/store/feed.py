"""A numbered feed of what changed in one service: the truth behind hints.

A unit that changes something others follow ends by `append`ing the keys of what changed. The number comes from a row
that the same transaction locks, so the order of numbers is the order of commits. A follower remembers the last number
it has worked on; when the feed no longer reaches back that far, it reads everything anew.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from sqlalchemy import MetaData, Table, delete, func, insert, select, update

from kilostack.store.database import Tx
from kilostack.store.sql import Query, integer, json, p

_KEPT = 20_000


class Changes(msgspec.Struct, frozen=True):
    """What happened after a number: the newest number, and keys in order of their last change."""

    last: int
    keys: tuple[str, ...]
    #: the feed does not reach back: read everything
    complete: bool = True


class Feed:
    """The feed of one service's database; `topic` is hinted after each commit that appends."""

    def __init__(self, meta: MetaData, topic: str) -> None:
        self._topic = topic
        head = Table("feed_head", meta, integer("id", key=True), integer("seq"))
        rows = Table("feed", meta, integer("seq", key=True), json("changed"))
        self._raise = Query(update(head).where(head.c.id == 1).values(seq=head.c.seq + 1))
        self._start = Query(insert(head).values(id=1, seq=1))
        self._head = Query(select(head.c.seq).where(head.c.id == 1))
        self._insert = Query(insert(rows).values(seq=p("seq"), changed=p("changed")))
        self._after = Query(
            select(rows.c.seq, rows.c.changed).where(rows.c.seq > p("after")).order_by(rows.c.seq).limit(1000)
        )
        self._oldest = Query(select(func.min(rows.c.seq)))
        self._prune = Query(delete(rows).where(rows.c.seq <= p("upto")))

    async def append(self, tx: Tx, keys: Iterable[str]) -> None:
        """Record that `keys` changed. Call it last in the unit: it takes a lock that all changes share."""
        if await tx.run(self._raise) != 1:
            # two that are the first at the same moment lock the gap for each other: one is thrown out and runs again
            await tx.run(self._start)
        row = await tx.one(self._head)
        assert row is not None
        await tx.run(self._insert, seq=row[0], changed=msgspec.json.encode(list(keys)).decode())
        if row[0] % 1000 == 0:
            await tx.run(self._prune, upto=row[0] - _KEPT)
        tx.hint(self._topic)

    async def head(self, tx: Tx) -> int:
        """The newest number."""
        row = await tx.one(self._head)
        return int(row[0]) if row else 0

    async def after(self, tx: Tx, seq: int) -> Changes:
        """What changed after `seq`, at most 1,000 units of work at once."""
        rows = await tx.all(self._after, after=seq)
        if not rows:
            head = await self.head(tx)
            # a follower that is ahead has followed another database: this one was restored from a backup
            return Changes(head, (), complete=head >= seq)
        if rows[0][0] > seq + 1:
            return Changes(await self.head(tx), (), complete=False)
        keys: dict[str, None] = {}
        for _, changed in rows:
            for key in msgspec.json.decode(changed, type=list[str]):
                keys.pop(key, None)
                keys[key] = None
        return Changes(int(rows[-1][0]), tuple(keys))
