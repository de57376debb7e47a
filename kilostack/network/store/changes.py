"""What one unit of work changes for its followers: hosts, by revisions of their objects, and readers of the feed.

Rows of `streams` are also the locks of "is it in use": who begins to use a network, group, port or router raises its
row, and who removes it takes the row first. So of two such units at once one finds what the other did.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from sqlalchemy import delete, insert, select, update

from kilostack.network import failures
from kilostack.network.store.tables import FEED, streams
from kilostack.store.database import Tx
from kilostack.store.sql import InList, Query, p

FABRIC = "fabric"

_INSERT = Query(insert(streams).values(name=p("name"), revision=1))
# one row at a time and in order: an update over a list would lock every row that MariaDB looks at
_RAISE = Query(update(streams).where(streams.c.name == p("name")).values(revision=streams.c.revision + 1))
_DELETE = Query(delete(streams).where(streams.c.name == p("name")))
_REVISIONS = Query(select(streams.c.name, streams.c.revision).where(InList(streams.c.name, "names")))


class Change:
    """Gathers what a unit changes; `close` is the unit's last call."""

    def __init__(self, tx: Tx) -> None:
        self.tx = tx
        self._touched: dict[str, None] = {}
        #: made, raised or removed by this unit already
        self._held: set[str] = set()
        self._said: dict[str, None] = {}

    async def lock(self, *keys: str) -> None:
        """Take the rows of objects that are going to be used, changed or removed.

        Raises `Conflict` when one is gone.
        """
        for key in sorted(set(keys) - self._held):
            if await self.tx.run(_RAISE, name=key) != 1:
                raise failures.changed_meanwhile(key)
            self._held.add(key)
            self.say(key)

    async def add(self, key: str) -> None:
        """A new object that hosts may be given."""
        await self.tx.run(_INSERT, name=key)
        self._held.add(key)
        self.say(key)

    async def drop(self, key: str) -> None:
        """The object is gone."""
        await self.tx.run(_DELETE, name=key)
        self._held.add(key)
        self.say(key)

    def touch(self, *keys: str) -> None:
        """The objects that hosts are given under these keys have changed."""
        self._touched |= dict.fromkeys(keys)

    def say(self, *keys: str) -> None:
        """Append keys to the feed without a new revision: "server/<id>", "host/<name>"."""
        self._said |= dict.fromkeys(keys)

    async def close(self) -> None:
        """Raise what was touched and append to the feed."""
        await self.lock(*self._touched)
        if self._said:
            await FEED.append(self.tx, self._said)


async def revisions(tx: Tx, keys: Iterable[str]) -> dict[str, int]:
    """The present revision of each key that exists."""
    rows = await tx.all(_REVISIONS, names=msgspec.json.encode(list(keys)).decode())
    return {str(name): int(revision) for name, revision in rows}


async def ensure_fabric(change: Change) -> None:
    """The fabric is one object that every host has; it has changed."""
    if await change.tx.run(_RAISE, name=FABRIC) == 0:
        await change.tx.run(_INSERT, name=FABRIC)
    change.say(FABRIC)
