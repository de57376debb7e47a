"""Requests as data: each file is one story, played in order on a cloud of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.http.cloud import ADMIN_PROJECT, OTHER_PROJECT, PROJECT, Client, cases, play

_FILES = sorted(Path(__file__).parent.glob("*.yaml"))


@pytest.mark.parametrize("path", _FILES, ids=lambda path: path.stem)
async def test_story(network: Client, path: Path) -> None:
    kept = {
        "project": PROJECT,
        "other_project": OTHER_PROJECT,
        "admin_project": ADMIN_PROJECT,
        "root": "http://cloud.test",
    }
    for case in cases(path):
        await play(network, case, kept)
