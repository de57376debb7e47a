"""Keeps what a server shows of its ports true, by following network's feed."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from kilostack.bus.hints import Hints
from kilostack.compute.store import servers
from kilostack.compute.store.tables import FOLLOWS_NETWORK, PLACES, SERVERS
from kilostack.compute.store.tables import servers as table
from kilostack.core.context import internal
from kilostack.core.world import World
from kilostack.store.database import Database, Tx
from kilostack.store.sql import Query
from kilostack.wire.calls import Actor, Calls
from kilostack.wire.hosts import NETWORK, ChangesAsked, ChangesSeen
from kilostack.wire.network_calls import ADDRESSES, AddressesAsked, ServerNetworking
from kilostack.workflow.follower import follow

_PREFIX = "server/"
_BATCH = 100
_ALL = Query(select(table.c.id).order_by(table.c.id))


class Networking:
    """The follower of network's feed."""

    def __init__(self, db: Database, world: World, hints: Hints, calls: Calls) -> None:
        self._db, self._world, self._hints, self._calls = db, world, hints, calls
        self._actor = Actor(ctx=internal("req-networking"))

    async def run(self) -> None:
        """Follow for ever."""
        await follow(self._place, self._changes, self._apply, self._world, (self._hints, "network.feed"))

    async def _place(self) -> int:
        return await self._db.read(lambda tx: PLACES.get(tx, FOLLOWS_NETWORK))

    async def _changes(self, after: int) -> ChangesSeen:
        return await self._calls.call(NETWORK.changes, ChangesAsked(after), self._actor)

    async def _apply(self, keys: Sequence[str] | None, seq: int) -> None:
        if keys is None:
            ids = [row[0] for row in await self._db.read(lambda tx: tx.all(_ALL))]
        else:
            ids = [key.removeprefix(_PREFIX) for key in keys if key.startswith(_PREFIX)]
        for start in range(0, len(ids), _BATCH):
            await self._refresh(tuple(ids[start : start + _BATCH]))
        await self._db.write(lambda tx: PLACES.set(tx, FOLLOWS_NETWORK, seq))

    async def _refresh(self, ids: tuple[str, ...]) -> None:
        shown = await self._calls.call(ADDRESSES, AddressesAsked(ids), self._actor)
        now = self._world.now()

        async def unit(tx: Tx) -> None:
            for server in await SERVERS.within(tx, "id", ids):
                networking = shown.get(server.id, ServerNetworking())
                if networking != server.networking:
                    await servers.change(tx, server, now, networking=networking)

        await self._db.write(unit)
