"""Key pairs of users, counted in one lock row per user."""

from __future__ import annotations

import msgspec
from sqlalchemy import insert, select, update

from kilostack.compute.model.records import Keypair
from kilostack.compute.store.tables import KEYPAIRS, key_counts
from kilostack.core.errors import Duplicate, OverQuota
from kilostack.store.database import Tx
from kilostack.store.sql import Query, p

_COUNT = Query(
    update(key_counts)
    .where(key_counts.c.user_id == p("user"))
    .values(used=key_counts.c.used + p("add"), last=key_counts.c.last + p("numbered"))
)
_FIRST = Query(insert(key_counts).values(user_id=p("user"), used=0, last=0))
_COUNTED = Query(select(key_counts.c.used, key_counts.c.last).where(key_counts.c.user_id == p("user")))


async def _count(tx: Tx, user_id: str, add: int, numbered: int) -> tuple[int, int]:
    if await tx.run(_COUNT, user=user_id, add=add, numbered=numbered) != 1:
        await tx.run(_FIRST, user=user_id)
        await tx.run(_COUNT, user=user_id, add=add, numbered=numbered)
    row = await tx.one(_COUNTED, user=user_id)
    assert row is not None
    return int(row[0]), int(row[1])


async def insert_new(tx: Tx, keypair: Keypair, limit: int) -> Keypair:
    """Write a key pair under the user's next number; -1 is no limit. Raises `OverQuota` and `Duplicate`."""
    used, number = await _count(tx, keypair.user_id, 1, 1)
    if await KEYPAIRS.find(tx, user_id=keypair.user_id, name=keypair.name) is not None:
        raise Duplicate(f"Key pair '{keypair.name}' already exists.")
    if 0 <= limit < used:
        raise OverQuota("Quota exceeded, too many key pairs.")
    return await KEYPAIRS.insert(tx, msgspec.structs.replace(keypair, number=number))


async def remove(tx: Tx, user_id: str, name: str) -> bool:
    """Delete a key pair; whether there was one."""
    if not await KEYPAIRS.delete(tx, user_id=user_id, name=name):
        return False
    await _count(tx, user_id, -1, 0)
    return True


async def used(tx: Tx, user_id: str) -> int:
    """How many key pairs the user has."""
    row = await tx.one(_COUNTED, user=user_id)
    return int(row[0]) if row else 0
