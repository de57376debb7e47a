"""Forgets what nobody will ask for any more: sagas, their logs, decisions and actions of servers long gone."""

from __future__ import annotations

from sqlalchemy import delete, select

from kilostack.compute.store.tables import FENCE, SAGAS, actions, decisions
from kilostack.compute.store.tables import servers as table
from kilostack.core.world import Micros, World
from kilostack.store.database import Database, Tx
from kilostack.store.sql import Query, p

KEPT_S = 7 * 86400.0
_LIVING = select(table.c.id)
_ACTIONS = Query(delete(actions).where(actions.c.updated_at < p("before"), actions.c.server_id.not_in(_LIVING)))
_DECISIONS = Query(delete(decisions).where(decisions.c.at < p("before"), decisions.c.server_id.not_in(_LIVING)))


class Pruning:
    """A `workflow.reconciler.Reconciler` with one key."""

    name = "compute-pruning"

    def __init__(self, db: Database, world: World) -> None:
        self._db, self._world = db, world

    async def due(self) -> list[str]:
        return ["history"]

    async def work(self, key: str) -> None:
        before = Micros(self._world.now() - int(KEPT_S * 1e6))

        async def unit(tx: Tx) -> None:
            await SAGAS.prune(tx, before)
            await FENCE.prune(tx, before)
            await tx.run(_ACTIONS, before=before)
            await tx.run(_DECISIONS, before=before)

        await self._db.write(unit)
