"""Records of trusts, how one is used, and what goes with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import update

from kilostack.identity.model.trusts import Trust
from kilostack.identity.store.tables import trusts as tables
from kilostack.store.database import Tx
from kilostack.store.lists import Collection
from kilostack.store.records import Records
from kilostack.store.sql import Query, p

TRUSTS = Records(Trust, tables.TRUSTS, noun="trust")

TRUST_LIST = Collection(
    TRUSTS,
    filters={"trustor_user_id": "trustor_user_id", "trustee_user_id": "trustee_user_id"},
    sorts={"id": "id"},
    default_sort=(("id", False),),
)

_table = tables.TRUSTS
_use = Query(
    update(_table)
    .where((_table.c.id == p("id_")) & (_table.c.remaining_uses > 0))
    .values(remaining_uses=_table.c.remaining_uses - 1)
)


async def use(tx: Tx, trust_id: str) -> bool:
    """Take one use of a trust whose uses are counted; whether there was one left."""
    return await tx.run(_use, id_=trust_id) == 1


async def pedigree(tx: Tx, trust: Trust) -> list[Trust] | None:
    """The trust and those that it hands on, back to the first; None when one of them is gone.

    It ends: a trust is never changed to hand on another one, and hands on one that was there before it.
    """
    chain = [trust]
    while (parent_id := chain[-1].redelegated_trust_id) is not None:
        parent = await TRUSTS.find(tx, id=parent_id)
        if parent is None:
            return None
        chain.append(parent)
    return chain


async def remove(tx: Tx, trusts: Iterable[Trust]) -> list[str]:
    """Delete trusts and all that hand them on; the ids of all."""
    gone: dict[str, None] = {}
    level = [trust.id for trust in trusts]
    while level:
        gone.update(dict.fromkeys(level))
        level = [one.id for one in await TRUSTS.within(tx, "redelegated_trust_id", level) if one.id not in gone]
    await TRUSTS.delete_within(tx, "id", list(gone))
    return list(gone)


async def remove_trusts_of_users(tx: Tx, user_ids: Sequence[str]) -> None:
    """Delete what users gave and were given."""
    given = await TRUSTS.within(tx, "trustor_user_id", user_ids)
    got = await TRUSTS.within(tx, "trustee_user_id", user_ids)
    await remove(tx, [*given, *got])


async def remove_trusts_of_projects(tx: Tx, project_ids: Sequence[str]) -> None:
    """Delete the trusts on projects."""
    await remove(tx, await TRUSTS.within(tx, "project_id", project_ids))
