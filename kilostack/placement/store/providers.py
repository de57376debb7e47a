"""Providers and their inventories. Whoever changes anything of a provider locks its row first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import update

from kilostack.core.errors import BadRequest, NotFound
from kilostack.placement.store.tables import (
    FEED,
    INVENTORIES,
    PROVIDERS,
    InventoryRow,
    ProviderRow,
    inventories,
    providers,
)
from kilostack.store.database import Tx
from kilostack.store.sql import Query, p
from kilostack.wire.placement_calls import Inventory, Provider

_SAME = providers.c.id == p("provider")
_LOCK = Query(update(providers).where(_SAME).values(generation=providers.c.generation))
_RAISE = Query(update(providers).where(_SAME).values(generation=providers.c.generation + 1))
_DESCRIBE = Query(update(providers).where(_SAME).values(name=p("new_name"), traits=p("new_traits")))
_RESIZE = Query(
    update(inventories)
    .where(inventories.c.provider_id == p("provider"), inventories.c.resource_class == p("class_name"))
    .values(
        total=p("new_total"), reserved=p("new_reserved"), allocation_ratio=p("new_ratio"), capacity=p("new_capacity")
    )
)


def feed_key(provider_id: str) -> str:
    """What the feed calls a provider."""
    return f"provider/{provider_id}"


async def lock(tx: Tx, provider_id: str) -> bool:
    """Keep others from changing the provider until this unit ends; whether there is such a provider."""
    return await tx.run(_LOCK, provider=provider_id) == 1


async def touched(tx: Tx, provider_ids: Sequence[str]) -> None:
    """Say that something of these providers has changed. Call it last in the unit."""
    for provider_id in provider_ids:
        await tx.run(_RAISE, provider=provider_id)
    await FEED.append(tx, [feed_key(provider_id) for provider_id in provider_ids])


async def ensure(tx: Tx, wanted: Provider) -> None:
    """Make the provider, or make it as wanted; what is used of it stays used.

    A class that is no longer wanted goes, or offers nothing more while something of it is used.
    """
    rows = {name: _row(wanted.id, name, inventory) for name, inventory in wanted.inventories.items()}
    traits = tuple(sorted(set(wanted.traits)))
    if not await lock(tx, wanted.id):
        await PROVIDERS.insert(tx, ProviderRow(id=wanted.id, name=wanted.name, traits=traits))
        for row in rows.values():
            await INVENTORIES.insert(tx, row)
        await FEED.append(tx, [feed_key(wanted.id)])
        return
    changed = False
    have = await PROVIDERS.get(tx, id=wanted.id)
    if (have.name, have.traits) != (wanted.name, traits):
        text = msgspec.json.encode(traits).decode()
        await tx.run(_DESCRIBE, provider=wanted.id, new_name=wanted.name, new_traits=text)
        changed = True
    for old in await INVENTORIES.where(tx, provider_id=wanted.id):
        changed |= await _replace(tx, old, rows.pop(old.resource_class, None))
    for row in rows.values():
        await INVENTORIES.insert(tx, row)
        changed = True
    if changed:
        await touched(tx, [wanted.id])


async def _replace(tx: Tx, old: InventoryRow, new: InventoryRow | None) -> bool:
    """Make one inventory as wanted; whether anything had to be changed."""
    if new is None:
        if old.used == 0:
            return await INVENTORIES.delete(tx, provider_id=old.provider_id, resource_class=old.resource_class)
        new = msgspec.structs.replace(old, total=0, reserved=0, capacity=0)
    if msgspec.structs.replace(new, used=old.used) == old:
        return False
    await tx.run(
        _RESIZE,
        provider=old.provider_id,
        class_name=old.resource_class,
        new_total=new.total,
        new_reserved=new.reserved,
        new_ratio=new.allocation_ratio,
        new_capacity=new.capacity,
    )
    return True


def _row(provider_id: str, name: str, inventory: Inventory) -> InventoryRow:
    if inventory.total < 0 or not 0 <= inventory.reserved <= inventory.total or inventory.allocation_ratio <= 0:
        raise BadRequest(f"Inventory of {name} makes no sense: {inventory}", field="inventories")
    return InventoryRow(
        provider_id=provider_id,
        resource_class=name,
        total=inventory.total,
        reserved=inventory.reserved,
        allocation_ratio=repr(inventory.allocation_ratio),
        capacity=int((inventory.total - inventory.reserved) * inventory.allocation_ratio),
    )


async def get(tx: Tx, provider_id: str) -> Provider:
    """The provider as it is now. Raises `NotFound`."""
    if not (found := await some(tx, [provider_id])):
        raise NotFound(f"Resource provider {provider_id} could not be found.")
    return found[0]


async def some(tx: Tx, provider_ids: Sequence[str]) -> list[Provider]:
    """Those of the providers that exist."""
    rows = await PROVIDERS.within(tx, "id", provider_ids)
    return _joined(rows, await INVENTORIES.within(tx, "provider_id", provider_ids))


async def every(tx: Tx) -> list[Provider]:
    """All providers."""
    return _joined(await PROVIDERS.where(tx), await INVENTORIES.where(tx))


def _joined(rows: Iterable[ProviderRow], inventory_rows: Iterable[InventoryRow]) -> list[Provider]:
    by_provider: defaultdict[str, dict[str, Inventory]] = defaultdict(dict)
    for row in sorted(inventory_rows, key=lambda row: row.resource_class):
        by_provider[row.provider_id][row.resource_class] = Inventory(
            total=row.total, reserved=row.reserved, allocation_ratio=float(row.allocation_ratio), used=row.used
        )
    return [
        Provider(
            id=row.id,
            name=row.name,
            generation=row.generation,
            inventories=by_provider[row.id],
            traits=row.traits,
        )
        for row in sorted(rows, key=lambda row: row.id)
    ]
