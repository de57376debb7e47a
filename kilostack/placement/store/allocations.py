"""Who uses what: each change of an allocation moves the used columns of its provider in the same unit."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import null, select, update

from kilostack.core.errors import NotFound, Refused
from kilostack.core.world import Micros
from kilostack.placement.store import providers as store
from kilostack.placement.store.tables import (
    ALLOCATIONS,
    CONSUMERS,
    FENCE,
    AllocationRow,
    ConsumerRow,
    consumers,
    inventories,
    providers,
)
from kilostack.store.database import Tx
from kilostack.store.sql import InList, Query, p
from kilostack.wire.calls import Actor
from kilostack.wire.placement_calls import Claim, Holding

_CLASS = (inventories.c.provider_id == p("provider")) & (inventories.c.resource_class == p("class_name"))
_TAKE = Query(
    update(inventories)
    .where(_CLASS, inventories.c.used + p("asked") <= inventories.c.capacity)
    .values(used=inventories.c.used + p("amount"))
)
_GIVE = Query(update(inventories).where(_CLASS).values(used=inventories.c.used - p("amount")))
_LOCK_HELD = Query(
    update(providers)
    .where(providers.c.id == select(consumers.c.provider_id).where(consumers.c.id == p("consumer")).scalar_subquery())
    .values(generation=providers.c.generation)
)
_PAGE = Query(
    CONSUMERS.selected.where(consumers.c.id > p("after_id"), consumers.c.created_at <= p("before"))
    .order_by(consumers.c.id)
    .limit(p("limit"))
)
_MARK = Query(
    update(consumers)
    .where(InList(consumers.c.id, "ids"), consumers.c.missing_since.is_(None))
    .values(missing_since=p("now"))
)
_UNMARK = Query(
    update(consumers)
    .where(InList(consumers.c.id, "ids"), consumers.c.missing_since.is_not(None))
    .values(missing_since=null())
)


class DoesNotFit(Exception):
    """The provider has not enough left of something. The unit that sees this must be undone."""


async def claim(tx: Tx, claim: Claim, actor: Actor, now: Micros) -> None:
    """Take all that is asked for, in place of what the consumer held before; the same again changes nothing.

    Raises `DoesNotFit`, `NotFound` (no such provider), `Refused` (a saga that has gone on elsewhere).
    """
    if not await store.lock(tx, claim.provider):
        raise NotFound(f"Resource provider {claim.provider} could not be found.")
    again = await FENCE.enter(tx, actor, now)
    asked = {name: amount for name, amount in sorted(claim.resources.items()) if amount}
    touched = [claim.provider]
    if (held := await CONSUMERS.find(tx, id=claim.consumer)) is not None:
        if held.provider_id == claim.provider and await _amounts(tx, claim.consumer) == asked:
            return
        touched.append(held.provider_id)
        await _give_back(tx, held)
    elif again:
        raise Refused(f"What consumer {claim.consumer} claimed was released since.")
    for name, amount in asked.items():
        if await tx.run(_TAKE, provider=claim.provider, class_name=name, asked=amount, amount=amount) != 1:
            raise DoesNotFit(name)
    await CONSUMERS.insert(
        tx,
        ConsumerRow(
            id=claim.consumer,
            provider_id=claim.provider,
            project_id=claim.project_id,
            user_id=claim.user_id,
            saga_id=actor.saga_id,
            created_at=now,
        ),
    )
    for name, amount in asked.items():
        await ALLOCATIONS.insert(tx, AllocationRow(consumer_id=claim.consumer, resource_class=name, amount=amount))
    await store.touched(tx, sorted(set(touched)))


async def release(tx: Tx, consumer_id: str, actor: Actor, now: Micros) -> None:
    """Give back all that the consumer holds, and let no late claim of the same step pass. Raises `Refused`."""
    await tx.run(_LOCK_HELD, consumer=consumer_id)
    await FENCE.bury(tx, actor, now)
    if (held := await CONSUMERS.find(tx, id=consumer_id)) is not None:
        await _give_back(tx, held)
        await store.touched(tx, [held.provider_id])


async def remove_missing(tx: Tx, consumer_id: str, missing_since: int) -> bool:
    """Give back what a consumer holds that is still marked as missing since then; whether it was."""
    await tx.run(_LOCK_HELD, consumer=consumer_id)
    held = await CONSUMERS.find(tx, id=consumer_id)
    if held is None or held.missing_since != missing_since:
        return False
    await _give_back(tx, held)
    await store.touched(tx, [held.provider_id])
    return True


async def holding(tx: Tx, consumer_id: str) -> Holding:
    """What the consumer holds."""
    held = await CONSUMERS.find(tx, id=consumer_id)
    return Holding() if held is None else Holding(provider=held.provider_id, resources=await _amounts(tx, consumer_id))


async def _amounts(tx: Tx, consumer_id: str) -> dict[str, int]:
    return {row.resource_class: row.amount for row in await ALLOCATIONS.where(tx, consumer_id=consumer_id)}


async def _give_back(tx: Tx, held: ConsumerRow) -> None:
    for name, amount in (await _amounts(tx, held.id)).items():
        await tx.run(_GIVE, provider=held.provider_id, class_name=name, amount=amount)
    await ALLOCATIONS.delete_where(tx, consumer_id=held.id)
    await CONSUMERS.delete(tx, id=held.id)


async def older_than(tx: Tx, before: int, after_id: str, limit: int) -> list[ConsumerRow]:
    """Consumers that claimed before a time, in the order of their ids, after one id."""
    return [CONSUMERS.made(row) for row in await tx.all(_PAGE, before=before, after_id=after_id, limit=limit)]


async def mark_missing(tx: Tx, missing: Sequence[str], present: Sequence[str], now: Micros) -> None:
    """Note since when somebody knows of these consumers no more, and that the others are known after all."""
    if missing:
        await tx.run(_MARK, ids=msgspec.json.encode(missing).decode(), now=now)
    if present:
        await tx.run(_UNMARK, ids=msgspec.json.encode(present).decode())
