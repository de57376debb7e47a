"""The feed of changes: numbers in the order of commits, whoever writes, and honest about what it has forgotten."""

from __future__ import annotations

import asyncio

import pytest
from asyncmy.errors import OperationalError
from sqlalchemy import delete

from kilostack.store.database import Database, Tx
from kilostack.store.feed import Changes
from kilostack.store.sql import Query
from tests.conftest import MakeDatabase
from tests.databases import by_hand
from tests.store.things import FEED, META


@pytest.fixture
async def database(make_database: MakeDatabase) -> Database:
    return await make_database(META)


def _append(*keys: str):  # type: ignore[no-untyped-def]
    async def unit(tx: Tx) -> None:
        await FEED.append(tx, keys)

    return unit


async def _after(database: Database, seq: int) -> Changes:
    return await database.read(lambda tx: FEED.after(tx, seq))


async def test_keys_come_in_order_of_their_last_change(database: Database) -> None:
    assert await _after(database, 0) == Changes(0, ())
    for keys in (["a", "b"], ["c"], ["a"]):
        await database.write(_append(*keys))
    assert await _after(database, 0) == Changes(3, ("b", "c", "a"))
    assert await _after(database, 2) == Changes(3, ("a",))
    assert await _after(database, 3) == Changes(3, ())


async def test_a_follower_that_was_away_too_long_is_told_to_read_everything(database: Database) -> None:
    for number in range(4):
        await database.write(_append(str(number)))
    forget = Query(delete(META.tables["feed"]).where(META.tables["feed"].c.seq <= 2))
    await database.write(lambda tx: tx.run(forget))
    assert await _after(database, 1) == Changes(4, (), complete=False)
    assert await _after(database, 2) == Changes(4, ("2", "3"))


async def test_a_follower_of_a_database_that_is_gone_reads_everything(database: Database) -> None:
    await database.write(_append("a"))
    assert await _after(database, 700) == Changes(1, (), complete=False)


async def test_old_rows_go(database: Database) -> None:
    async def many(tx: Tx) -> None:
        for number in range(1000):
            await FEED.append(tx, [str(number)])

    for _ in range(22):
        await database.write(many)
    changes = await _after(database, 0)
    assert not changes.complete
    assert (await _after(database, 21_999)).keys == ("999",)
    assert (await _after(database, 2_000)).complete


async def test_many_writers_at_once_and_a_follower_that_misses_nothing(database: Database) -> None:
    seen: list[str] = []
    last = 0

    async def write(name: str) -> None:
        for number in range(20):
            await database.write(_append(f"{name}{number}"))

    async def follow() -> None:
        nonlocal last
        while len(seen) < 100:
            changes = await _after(database, last)
            assert changes.complete and changes.last >= last
            last = changes.last
            seen.extend(changes.keys)
            await asyncio.sleep(0)

    async with asyncio.timeout(60):
        await asyncio.gather(follow(), *(write(name) for name in "abcde"))
    assert last == 100
    for name in "abcde":
        assert [key for key in seen if key[0] == name] == [f"{name}{number}" for number in range(20)]


@pytest.mark.mariadb
@pytest.mark.parametrize("reached", ["raise", "start", "append"])
async def test_the_first_two_at_the_same_moment(make_mariadb: MakeDatabase, reached: str) -> None:
    """However far the one has come when the other begins, both are in the feed, each with a number of its own."""
    database = await make_mariadb(META)
    async with by_hand(database) as first:
        await first.tx.run(FEED._raise)
        if reached != "raise":
            await first.tx.run(FEED._start)
        if reached == "append":
            await first.tx.run(FEED._insert, seq=1, changed='["first"]')
        second = asyncio.create_task(database.write(_append("second")))
        await asyncio.sleep(0.05)
        try:
            if reached == "raise":
                await first.tx.run(FEED._start)
            if reached != "append":
                await first.tx.run(FEED._insert, seq=1, changed='["first"]')
            await first.commit()
            survived = True
        except OperationalError as error:
            assert error.args[0] == 1213
            survived = False
            await first.rollback()
        async with asyncio.timeout(20):
            await second
    keys = ("first", "second") if survived else ("second",)
    assert await _after(database, 0) == Changes(len(keys), keys)


@pytest.mark.mariadb
async def test_a_later_number_is_never_seen_before_an_earlier_one(make_mariadb: MakeDatabase) -> None:
    database = await make_mariadb(META)
    await database.write(_append("zero"))
    async with by_hand(database) as slow:
        await FEED.append(slow.tx, ["slow"])
        fast = asyncio.create_task(database.write(_append("fast")))
        await asyncio.sleep(0.05)
        assert await _after(database, 1) == Changes(1, ())
        await slow.commit()
        async with asyncio.timeout(10):
            await fast
    assert await _after(database, 1) == Changes(3, ("slow", "fast"))
