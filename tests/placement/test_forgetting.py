"""Placement forgets the steps of sagas that ended long ago, and no others."""

from __future__ import annotations

import pytest
from sqlalchemy import MetaData, Table, select

from kilostack.core.errors import Refused
from kilostack.placement.store.tables import META
from kilostack.store.database import Tx
from kilostack.store.sql import Query
from kilostack.workflow.pruning import KEPT_S
from tests.placement.conftest import Placement, actor, host
from tests.waiting import until


def _fences(meta: MetaData) -> Query:
    fences: Table = meta.tables["fences"]
    return Query(select(fences.c.saga_id))


async def test_fences_of_old_sagas_go(placement: Placement) -> None:
    fences = _fences(META)

    async def sagas(tx: Tx) -> list[str]:
        return [row[0] for row in await tx.all(fences)]

    await placement.ensure(host())
    await placement.release("s1", actor("old"))
    placement.world.ahead_s += KEPT_S + 60
    await placement.release("s2", actor("new"))
    assert sorted(await placement.db.read(sagas)) == ["new", "old"]
    await placement.service.start()

    async def forgotten() -> bool:
        return await placement.db.read(sagas) == ["new"]

    await until(forgotten)
    with pytest.raises(Refused):
        await placement.claim("s2", "host1-id", actor("new"), VCPU=1)
