"""Placement as its neighbours see it: five operations, each one transaction."""

from __future__ import annotations

import msgspec

from kilostack.bus.hints import Hints
from kilostack.core.errors import BadRequest, Conflict, Duplicate, Unavailable
from kilostack.core.world import World
from kilostack.placement.reconcilers.orphans import INTERVAL_S, OrphanAllocations
from kilostack.placement.store import allocations, providers
from kilostack.placement.store.tables import FEED, FENCE
from kilostack.store.database import Database, Tx
from kilostack.wire.calls import Actor, Answers, Calls, Nothing
from kilostack.wire.hosts import ChangesAsked
from kilostack.wire.placement_calls import (
    CLAIM,
    ENSURE_PROVIDER,
    HOLDING,
    PROVIDERS,
    RELEASE,
    Claim,
    Claimed,
    Consumer,
    Holding,
    Provider,
    Providers,
)
from kilostack.workflow import reconciler
from kilostack.workflow.pruning import FencePruning

_TRIES = 3


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What placement is made from. `db` has the tables of `placement.store.tables.META`."""

    db: Database
    world: World
    hints: Hints
    calls: Calls


class PlacementService:
    """Owns inventories and allocations. `answers` are its operations; it has no public API yet."""

    def __init__(self, parts: Parts) -> None:
        self._db, self._world, self._hints = parts.db, parts.world, parts.hints
        self.orphans = OrphanAllocations(parts.db, parts.world, parts.calls)
        self.answers = Answers()
        self.answers.add(ENSURE_PROVIDER, self._ensure_provider)
        self.answers.add(CLAIM, self._claim)
        self.answers.add(RELEASE, self._release)
        self.answers.add(HOLDING, self._holding)
        self.answers.add(PROVIDERS, self._providers)

    async def start(self) -> None:
        """Start the loops. Call it once."""
        self._world.spawn(
            reconciler.run(self.orphans, self._world, self._hints, "placement.orphans", INTERVAL_S),
            "placement-orphans",
        )
        FencePruning("placement", FENCE, self._db, self._world).start(self._hints)

    async def _ensure_provider(self, wanted: Provider, actor: Actor) -> Provider:
        async def unit(tx: Tx) -> Provider:
            await providers.ensure(tx, wanted)
            return await providers.get(tx, wanted.id)

        for _ in range(_TRIES):
            try:
                return await self._db.write(unit)
            except Duplicate:
                # somebody else has just made it, or its name is in use
                continue
        raise Conflict(f"Another resource provider is called {wanted.name}.")

    async def _claim(self, asked: Claim, actor: Actor) -> Claimed:
        if any(amount < 0 for amount in asked.resources.values()):
            raise BadRequest("Resources are counted from 0.", field="resources")
        now = self._world.now()

        async def take(tx: Tx) -> Provider:
            await allocations.claim(tx, asked, actor, now)
            return await providers.get(tx, asked.provider)

        async def look(tx: Tx) -> Provider:
            return await providers.get(tx, asked.provider)

        for _ in range(_TRIES):
            try:
                return Claimed(taken=True, provider=await self._db.write(take))
            except allocations.DoesNotFit:
                return Claimed(taken=False, provider=await self._db.read(look))
            except Duplicate:
                # the same consumer has just claimed through another process
                continue
        raise Unavailable(f"Consumer {asked.consumer} is claiming elsewhere at the same time.")

    async def _release(self, asked: Consumer, actor: Actor) -> Nothing:
        now = self._world.now()

        async def unit(tx: Tx) -> None:
            await allocations.release(tx, asked.consumer, actor, now)

        await self._db.write(unit)
        return Nothing()

    async def _holding(self, asked: Consumer, actor: Actor) -> Holding:
        return await self._db.read(lambda tx: allocations.holding(tx, asked.consumer))

    async def _providers(self, asked: ChangesAsked, actor: Actor) -> Providers:
        async def unit(tx: Tx) -> Providers:
            head = await FEED.head(tx)
            changes = await FEED.after(tx, asked.after)
            if asked.after <= 0 or asked.after > head or not changes.complete:
                return Providers(last=head, providers=tuple(await providers.every(tx)), whole=True)
            named = [key.partition("/")[2] for key in changes.keys]
            found = await providers.some(tx, named)
            gone = set(named) - {provider.id for provider in found}
            return Providers(
                last=changes.last,
                providers=tuple(found),
                removed=tuple(sorted(gone)),
                more=changes.last < head,
            )

        return await self._db.read(unit)
