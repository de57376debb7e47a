"""After any change, what comes from the cache is byte for byte what a fresh rendering gives."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kilostack.compute.api.table import api
from kilostack.compute.model.server import Fault, ServerState
from kilostack.compute.store import operators, servers
from kilostack.compute.store.tables import HOSTS, META, SERVERS
from kilostack.core.world import RealWorld
from kilostack.store.database import Tx
from tests.compute import stand_ins
from tests.databases import silent, sqlite_database
from tests.http.cloud import client
from tests.http.compute.face import Cloud

_VERSIONS = ("2.1", "2.16", "2.47", "2.79", "2.96")
_SERVER_CHANGES = st.one_of(
    st.fixed_dictionaries({"name": st.text('ab "\\é', min_size=1, max_size=5)}),
    st.fixed_dictionaries({"state": st.sampled_from(list(ServerState))}),
    st.fixed_dictionaries({"task_state": st.sampled_from([None, "rebooting", "deleting"])}),
    st.fixed_dictionaries({"metadata": st.dictionaries(st.text("ab", max_size=2), st.text(max_size=3), max_size=2)}),
    st.fixed_dictionaries({"tags": st.lists(st.text("ab", min_size=1, max_size=2)).map(tuple)}),
    st.fixed_dictionaries({"locked": st.booleans(), "locked_reason": st.sampled_from([None, "why"])}),
    st.fixed_dictionaries({"host": st.sampled_from([None, "h1"])}),
    st.just({"fault": Fault(code=500, message="m", created_at=stand_ins.NOW, details="d")}),
)
_HOST_CHANGES = st.fixed_dictionaries(
    {"disabled": st.booleans(), "connected": st.booleans(), "forced_down": st.booleans()}
)
_EVENTS = st.lists(st.one_of(st.tuples(st.integers(0, 2), _SERVER_CHANGES), _HOST_CHANGES), min_size=1, max_size=6)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=_EVENTS)
def test_cached_and_fresh_are_the_same_bytes(events: list[Any], tmp_path: Path) -> None:
    asyncio.run(_check(events, tmp_path))


async def _check(events: list[Any], path: Path) -> None:
    world = RealWorld()
    file = path / f"{world.new_id()}.db"
    db = await sqlite_database(file, world, silent, META, 1)
    await stand_ins.seed(db)
    neighbours = stand_ins.Neighbours()
    parts = stand_ins.make_parts(db, world, neighbours)
    cached = Cloud(client(api(parts), world), db, parts, neighbours)
    ids = [await cached.server(f"s{number}") for number in range(3)]
    await _compare(cached, ids)
    for event in events:
        await _happen(cached, ids, event)
        await _compare(cached, ids)
    await db.close()
    await world.close()


async def _happen(cloud: Cloud, ids: list[str], event: Any) -> None:
    async def unit(tx: Tx) -> None:
        if isinstance(event, dict):
            await operators.change(tx, await HOSTS.get(tx, name="h1"), stand_ins.NOW, **event)
        else:
            at, fields = event
            await servers.change(tx, await SERVERS.get(tx, id=ids[at]), stand_ins.NOW, **fields)

    await cloud.db.write(unit)


async def _compare(cached: Cloud, ids: list[str]) -> None:
    fresh = Cloud(client(api(cached.parts), cached.parts.world), cached.db, cached.parts, cached.neighbours)
    for version in _VERSIONS:
        for path, token in (
            (f"/servers/{ids[0]}", "member"),
            (f"/servers/{ids[0]}", "project-admin"),
            ("/servers/detail", "reader"),
            ("/servers/detail", "project-admin"),
            ("/servers", "member"),
        ):
            answers = [await cloud.ask("GET", path, token=token, version=version) for cloud in (cached, fresh)]
            assert answers[0].status == 200
            assert answers[0].body == answers[1].body
