"""In whatever order things are claimed, released and resized: used is what is allocated, and no claim overfills."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kilostack.placement.store.tables import ALLOCATIONS, CONSUMERS, META
from kilostack.store.database import Tx
from kilostack.store.sqlite import SqliteDatabase
from tests.placement.conftest import ClockWorld, Placement, host, placement_on

_CONSUMERS = st.sampled_from(["a", "b", "c", "d"])
_HOSTS = st.sampled_from(["host1", "host2"])
_MOVES = st.one_of(
    st.tuples(st.just("claim"), _CONSUMERS, _HOSTS, st.integers(0, 4), st.integers(0, 6)),
    st.tuples(st.just("release"), _CONSUMERS),
    st.tuples(st.just("resize"), _HOSTS, st.integers(0, 6), st.integers(0, 8)),
)


async def _play(moves: list[Any], path: Path) -> None:
    world = ClockWorld()
    db = SqliteDatabase(path, world)
    db.prepare("placement", 1, META)
    placement = await placement_on(db, world)
    try:
        for name in ("host1", "host2"):
            await placement.ensure(host(name, vcpus=4, memory=8))
        held: dict[str, Any] = {}
        for move in moves:
            if move[0] == "claim":
                answer = await placement.claim(move[1], move[2] + "-id", VCPU=move[3], MEMORY_MB=move[4])
                if answer.taken and held.get(move[1]) != move[2:]:
                    asked = {"VCPU": move[3], "MEMORY_MB": move[4]}
                    free = {name: inventory.free for name, inventory in answer.provider.inventories.items()}
                    assert all(free[name] >= 0 for name in asked if asked[name])
                    held[move[1]] = move[2:]
            elif move[0] == "release":
                await placement.release(move[1])
                held.pop(move[1], None)
            else:
                await placement.ensure(host(move[1], vcpus=move[2], memory=move[3]))
            await _check(placement)
    finally:
        await db.close()
        await world.close()


async def _check(placement: Placement) -> None:
    async def unit(tx: Tx) -> tuple[list[Any], list[Any]]:
        return await CONSUMERS.where(tx), await ALLOCATIONS.where(tx)

    consumers, rows = await placement.db.read(unit)
    where = {consumer.id: consumer.provider_id for consumer in consumers}
    assert set(where) >= {row.consumer_id for row in rows}
    for provider in (await placement.providers()).providers:
        for name, inventory in provider.inventories.items():
            mine = [row for row in rows if where[row.consumer_id] == provider.id and row.resource_class == name]
            assert inventory.used == sum(row.amount for row in mine)


@settings(max_examples=40, deadline=None)
@given(st.lists(_MOVES, max_size=12))
def test_used_is_the_sum_of_allocations(moves: list[Any]) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        asyncio.run(_play(moves, Path(directory) / "db"))
