"""Forgets what a service keeps of sagas long after they can have ended."""

from __future__ import annotations

from kilostack.bus.hints import Hints
from kilostack.core.world import Micros, World
from kilostack.store.database import Database
from kilostack.workflow import reconciler
from kilostack.workflow.fence import Fence

#: far beyond every deadline of a saga
KEPT_S = 86_400.0
_INTERVAL_S = 3600.0


class FencePruning:
    """A reconciler with one key, of the service `name`."""

    def __init__(self, name: str, fence: Fence, db: Database, world: World) -> None:
        self.name = f"{name}-pruning"
        self._topic = f"{name}.pruning"
        self._fence, self._db, self._world = fence, db, world

    def start(self, hints: Hints) -> None:
        """Look once an hour from now on."""
        work = reconciler.run(self, self._world, hints, self._topic, _INTERVAL_S)
        self._world.spawn(work, self.name)

    async def due(self) -> list[str]:
        return ["fences"]

    async def work(self, key: str) -> None:
        before = Micros(self._world.now() - int(KEPT_S * 1e6))
        await self._db.write(lambda tx: self._fence.prune(tx, before))
