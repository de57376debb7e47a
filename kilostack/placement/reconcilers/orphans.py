"""Allocations whose consumer nobody knows: given back after ten minutes, and counted, because each one is a bug."""

from __future__ import annotations

import logging

from kilostack.core.context import internal
from kilostack.core.world import World
from kilostack.placement.store import allocations as store
from kilostack.placement.store.tables import ConsumerRow
from kilostack.store.database import Database, Tx
from kilostack.wire.calls import Actor, Calls
from kilostack.wire.compute_calls import EXISTING, Servers

_LOG = logging.getLogger("kilostack.placement")

#: how long a consumer has to be unknown before what it holds is given back, in microseconds
PATIENCE = 600_000_000
#: seconds between two looks at everything
INTERVAL_S = 300.0
_PAGE = 500


class OrphanAllocations:
    """The reconciler. `removed` counts what it gave back since the process started."""

    name = "orphan allocations"

    def __init__(self, db: Database, world: World, calls: Calls) -> None:
        self._db, self._world, self._calls = db, world, calls
        self._since: dict[str, int] = {}
        self.removed = 0

    async def due(self) -> list[str]:
        """Consumers that have been unknown to compute for long enough. Raises `Unavailable` when it cannot be asked."""
        now = self._world.now()
        self._since = {}
        after_id = ""
        while page := await self._older(now, after_id):
            after_id = page[-1].id
            await self._compare(page)
        return list(self._since)

    async def _older(self, now: int, after_id: str) -> list[ConsumerRow]:
        async def unit(tx: Tx) -> list[ConsumerRow]:
            return await store.older_than(tx, now - PATIENCE, after_id, _PAGE)

        return await self._db.read(unit)

    async def _compare(self, page: list[ConsumerRow]) -> None:
        actor = Actor(ctx=internal(f"req-{self._world.new_id()}"))
        answer = await self._calls.call(EXISTING, Servers(tuple(row.id for row in page)), actor)
        known = set(answer.ids)
        now = self._world.now()
        missing = [row.id for row in page if row.id not in known and row.missing_since is None]
        present = [row.id for row in page if row.id in known and row.missing_since is not None]

        async def unit(tx: Tx) -> None:
            await store.mark_missing(tx, missing, present, now)

        if missing or present:
            await self._db.write(unit)
        for row in page:
            if row.id not in known and row.missing_since is not None and row.missing_since <= now - PATIENCE:
                self._since[row.id] = row.missing_since

    async def work(self, key: str) -> None:
        """Give back what the consumer holds, unless it has claimed anew since."""
        since = self._since.get(key)

        async def unit(tx: Tx) -> bool:
            return since is not None and await store.remove_missing(tx, key, since)

        if await self._db.write(unit):
            self.removed += 1
            _LOG.error("an allocation had no owner and was removed", extra={"resource_id": key})
