"""Forgets what is kept of sagas long after they can have ended."""

from __future__ import annotations

from kilostack.core.world import Micros, World
from kilostack.network.store.tables import FENCE
from kilostack.store.database import Database

#: far beyond every deadline of a saga
KEPT_S = 86_400.0


class Pruning:
    """A reconciler with one key."""

    name = "network-pruning"

    def __init__(self, db: Database, world: World) -> None:
        self._db, self._world = db, world

    async def due(self) -> list[str]:
        return ["fences"]

    async def work(self, key: str) -> None:
        before = Micros(self._world.now() - int(KEPT_S * 1e6))
        await self._db.write(lambda tx: FENCE.prune(tx, before))
