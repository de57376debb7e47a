"""Compute's public face over stand-in neighbours, in process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kilostack.compute.api.table import api
from kilostack.compute.store.tables import META
from kilostack.core.world import RealWorld
from tests.compute import stand_ins
from tests.databases import silent, sqlite_database
from tests.http.cloud import client
from tests.http.compute.face import Cloud


@pytest.fixture
async def cloud(tmp_path: Path, world: RealWorld) -> AsyncIterator[Cloud]:
    db = await sqlite_database(tmp_path / "compute.db", world, silent, META, 1)
    await stand_ins.seed(db)
    neighbours = stand_ins.Neighbours()
    parts = stand_ins.make_parts(db, world, neighbours)
    yield Cloud(client(api(parts), world), db, parts, neighbours)
    await db.close()
