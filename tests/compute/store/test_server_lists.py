"""The list of servers asks both databases the same: every condition, every sort key, every page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from kilostack.compute.model.server import FlavorFacts, Server, ServerState
from kilostack.compute.store import server_lists
from kilostack.compute.store.server_lists import SORTS, Ask
from kilostack.compute.store.tables import META, SERVERS
from kilostack.core.errors import BadRequest
from kilostack.store.database import Database, Tx
from tests.compute import stand_ins

_FLAVOR = FlavorFacts(id="1", name="f", vcpus=1, memory_mib=1, disk_gib=1)


def _server(at: int) -> Server:
    return Server(
        id=f"id-{at}",
        project_id="p" if at % 4 else "q",
        user_id="u",
        name=f"Name-{at % 3}",
        hostname="h",
        flavor=_FLAVOR,
        image_id="i",
        state=list(ServerState)[at % 4],
        task_state=None if at % 2 else "deleting",
        host="h1" if at % 3 else None,
        created_at=at // 2,
        updated_at=at,
        launched_at=at if at % 2 else None,
        reservation_id="r",
        locked=at % 5 == 0,
    )


@pytest.fixture
async def db(make_database: Callable[..., Awaitable[Database]]) -> Database:
    made = await make_database(META)
    await stand_ins.seed(made)

    async def unit(tx: Tx) -> None:
        for at in range(12):
            await SERVERS.insert(tx, _server(at))

    await made.write(unit)
    return made


async def _ids(db: Database, **ask: Any) -> list[int]:
    lines = await db.read(lambda tx: server_lists.page(tx, Ask(**{"limit": 100, **ask})))
    return [int(line.id.removeprefix("id-")) for line in lines]


@pytest.mark.parametrize("descending", [False, True])
async def test_pages_of_every_order_hold_everything_once(db: Database, descending: bool) -> None:
    for key in SORTS:
        sort = ((key, descending), ("display_name", not descending))
        whole = await _ids(db, sort=sort)
        assert sorted(whole) == list(range(12)), key
        paged: list[int] = []
        for _ in range(4):
            marker = f"id-{paged[-1]}" if paged else None
            paged += await _ids(db, sort=sort, marker=marker, limit=5)
        assert paged == whole, key


async def test_conditions(db: Database) -> None:
    newest_first = list(range(11, -1, -1))
    assert await _ids(db) == newest_first
    assert await _ids(db, equal={"project_id": ("q",)}) == [8, 4, 0]
    assert await _ids(db, equal={"state": ("ACTIVE", "ERROR"), "project_id": ("p",)}) == [11, 9, 7, 5, 3, 1]
    assert await _ids(db, equal={"locked": (True,)}) == [10, 5, 0]
    assert await _ids(db, equal={"task_state": ("deleting", "x")}) == [10, 8, 6, 4, 2, 0]
    assert await _ids(db, equal={"name": ("name-1",)}) == []
    assert await _ids(db, compared={"changed_since": 9}) == [11, 10, 9]
    assert await _ids(db, compared={"changed_since": 3, "changed_before": 4}) == [4, 3]
    assert await _ids(db, name=lambda name: name == "Name-1", limit=2) == [10, 7]
    assert await _ids(db, keep=lambda server: server.updated_at % 2 == 0, limit=2, marker="id-8") == [6, 4]
    assert await _ids(db, limit=0) == []


async def test_a_marker_that_is_no_server(db: Database) -> None:
    with pytest.raises(BadRequest, match="marker"):
        await _ids(db, marker="nothing")


async def test_what_is_shown_of_the_host_comes_with_the_line(db: Database) -> None:
    lines = await db.read(lambda tx: server_lists.page(tx, Ask(limit=2)))
    assert [(line.id, line.zone, line.connected) for line in lines] == [("id-11", "nova", 1), ("id-10", "nova", 1)]
    seen = await db.read(lambda tx: server_lists.glance(tx, "id-9"))
    assert seen is not None and (seen[0].zone, seen[0].host.connected, seen[1]) == (None, None, "p")
