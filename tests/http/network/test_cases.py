"""Requests as data: each file is one story, played in order on a cloud of its own, on both databases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kilostack.core.world import RealWorld
from kilostack.network.store.tables import META
from tests.http.cloud import ADMIN_PROJECT, OTHER_PROJECT, PROJECT, cases, client, play
from tests.network.cloud import Cloud

_FILES = sorted(Path(__file__).parent.glob("*.yaml"))


@pytest.mark.parametrize("path", _FILES, ids=lambda path: path.stem)
async def test_story(make_database: Any, world: RealWorld, path: Path) -> None:
    cloud = Cloud(await make_database(META), world)
    await cloud.bootstrap()
    network = client([cloud.service.api, cloud.service.root], world)
    kept = {
        "project": PROJECT,
        "other_project": OTHER_PROJECT,
        "admin_project": ADMIN_PROJECT,
        "root": "http://cloud.test",
    }
    for case in cases(path):
        await play(network, case, kept)
