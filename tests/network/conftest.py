"""Fixtures of network's tests."""

from __future__ import annotations

from typing import Any

import pytest

from kilostack.core.world import RealWorld
from kilostack.network.store.tables import META
from tests.network.cloud import Cloud


@pytest.fixture
async def cloud(make_sqlite: Any, world: RealWorld) -> Cloud:
    """An empty cloud on SQLite."""
    return Cloud(await make_sqlite(META), world)


@pytest.fixture
async def any_cloud(make_database: Any, world: RealWorld) -> Cloud:
    """An empty cloud, once on SQLite and once on MariaDB."""
    return Cloud(await make_database(META), world)
