"""A cloud with its first networks, behind HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from kilostack.core.world import RealWorld
from kilostack.network.store.tables import META
from tests.http.cloud import Client, client
from tests.network.cloud import Cloud


@pytest.fixture
async def cloud(make_sqlite: Any, world: RealWorld) -> Cloud:
    made = Cloud(await make_sqlite(META), world)
    await made.bootstrap()
    return made


@pytest.fixture
def network(cloud: Cloud, world: RealWorld) -> Client:
    return client([cloud.service.api, cloud.service.root], world)
