"""Records on both databases: what is written comes back, generations lock, and both databases agree on details."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import insert, select, update

from kilostack.core import errors
from kilostack.store.database import Database, Tx
from kilostack.store.sql import Query, p
from tests.conftest import MakeDatabase
from tests.store import things
from tests.store.things import COUNTED, FEED, META, RECORDS, THINGS, Colour, Counter, Thing

_FULL = Thing(
    id="1",
    name="näme \U0001f600 'quoted' \"%s\" \\ %",
    note="",
    colour=Colour.BLUE,
    size=2**53 + 1,
    weight=-5,
    on=True,
    maybe=False,
    tags=("a", "ü"),
    extra={"x": 1},
)


@pytest.fixture
async def database(make_database: MakeDatabase) -> Database:
    return await make_database(META)


@pytest.mark.parametrize("thing", [_FULL, Thing(id="2", name="plain")])
async def test_a_record_comes_back_as_it_was(database: Database, thing: Thing) -> None:
    await things.insert(database, thing)
    assert await database.read(lambda tx: RECORDS.get(tx, id=thing.id)) == thing


async def test_update_raises_both_counters_and_refuses_a_stale_record(database: Database) -> None:
    await things.insert(database, Thing(id="1", name="a"), Thing(id="2", name="b"))
    first = await database.read(lambda tx: RECORDS.get(tx, id="1"))
    written = await database.write(lambda tx: RECORDS.update(tx, msgspec.structs.replace(first, name="c")))
    assert (written.name, written.generation, written.revision) == ("c", 2, 2)
    assert await database.read(lambda tx: RECORDS.get(tx, id="1")) == written
    with pytest.raises(errors.StaleGeneration):
        await database.write(lambda tx: RECORDS.update(tx, msgspec.structs.replace(first, name="d")))
    assert await things.names(database) == {"c", "b"}


async def test_an_update_that_changes_nothing_still_matches_its_row(database: Database) -> None:
    async def unit(tx: Tx) -> tuple[int, int]:
        await COUNTED.insert(tx, Counter(name="n", used=1, most=2))
        same = Query(update(things.COUNTERS).where(things.COUNTERS.c.name == p("which")).values(used=1))
        return await tx.run(same, which="n"), await tx.run(same, which="m")

    assert await database.write(unit) == (1, 0)


async def test_missing_and_removed(database: Database) -> None:
    await things.insert(database, Thing(id="1", name="a"))
    assert await database.read(lambda tx: RECORDS.find(tx, id="2")) is None
    with pytest.raises(errors.NotFound, match="Thing 2 could not be found"):
        await database.read(lambda tx: RECORDS.get(tx, id="2"))
    assert await database.write(lambda tx: RECORDS.delete(tx, id="1"))
    assert not await database.write(lambda tx: RECORDS.delete(tx, id="1"))


async def test_a_taken_key_is_a_duplicate_that_the_unit_may_survive(database: Database) -> None:
    await things.insert(database, Thing(id="1", name="a"))
    with pytest.raises(errors.Duplicate):
        await things.insert(database, Thing(id="1", name="other"))
    with pytest.raises(errors.Duplicate):
        await things.insert(database, Thing(id="2", name="a"))

    async def unit(tx: Tx) -> None:
        await RECORDS.insert(tx, Thing(id="3", name="before"))
        with pytest.raises(errors.Duplicate):
            await RECORDS.insert(tx, Thing(id="4", name="a"))
        await RECORDS.insert(tx, Thing(id="5", name="after"))

    await database.write(unit)
    assert await things.names(database) == {"a", "before", "after"}


@pytest.mark.parametrize("other", ["A", "a ", " a", "á", ""])
async def test_names_compare_exactly(database: Database, other: str) -> None:
    await things.insert(database, Thing(id="1", name="a"), Thing(id="2", name=other))
    assert [t.id for t in await database.read(lambda tx: RECORDS.where(tx, name="a"))] == ["1"]
    assert [t.id for t in await database.read(lambda tx: RECORDS.where(tx, name=other))] == ["2"]
    assert [t.id for t in await database.read(lambda tx: RECORDS.within(tx, "name", [other]))] == ["2"]


async def test_where_within_count_and_delete_where(database: Database) -> None:
    await things.insert(
        database,
        Thing(id="1", name="a", on=True, weight=1),
        Thing(id="2", name="b", on=True, weight=2),
        Thing(id="3", name="c", weight=2),
    )

    async def ask(tx: Tx) -> object:
        return (
            [t.id for t in await RECORDS.where(tx, on=True)],
            [t.id for t in await RECORDS.where(tx, on=True, weight=2)],
            sorted(t.id for t in await RECORDS.within(tx, "weight", [2, 7])),
            await RECORDS.within(tx, "weight", []),
            await RECORDS.count(tx),
            await RECORDS.count(tx, on=False),
        )

    assert await database.read(ask) == (["1", "2"], ["2"], ["2", "3"], [], 3, 1)
    assert await database.write(lambda tx: RECORDS.delete_where(tx, weight=2)) == 2
    assert await things.names(database) == {"a"}


async def test_absurd_values_match_nothing(database: Database) -> None:
    await things.insert(database, Thing(id="1", name="a", weight=5))
    for value in ("x" * 1_000_000, "\0", "%", "'", "1e0"):
        assert await database.read(lambda tx, value=value: RECORDS.within(tx, "name", [value])) == []
        assert await database.read(lambda tx, value=value: RECORDS.where(tx, name=value)) == []
    assert await database.read(lambda tx: RECORDS.within(tx, "weight", [2**63 - 1, -(2**63), 0])) == []


async def test_numbers_that_no_column_holds_are_the_caller_s_mistake(database: Database) -> None:
    for number in (2**63, -(2**63) - 1, 10**400):
        with pytest.raises(errors.BadRequest, match="too large"):
            await things.insert(database, Thing(id="1", name="a", weight=number))
    await things.insert(database, Thing(id="1", name="a", weight=2**63 - 1))


async def test_what_a_unit_raises_undoes_all_of_it(database: Database) -> None:
    async def unit(tx: Tx) -> None:
        await RECORDS.insert(tx, Thing(id="1", name="a"))
        await FEED.append(tx, ["things/1"])
        raise errors.Conflict("no")

    with pytest.raises(errors.Conflict, match="no"):
        await database.write(unit)
    assert await things.names(database) == set()
    assert await database.read(FEED.head) == 0


async def test_literals_in_statements(database: Database) -> None:
    """Values that stand in the statement itself, NULL among them, and a percent sign without parameters."""
    write = Query(
        insert(THINGS).values(
            id=p("id"),
            owner="o%o",
            name="100%",
            note=None,
            colour="red",
            size=None,
            weight=1,
            on=0,
            maybe=None,
            tags="[]",
            extra=None,
            generation=1,
            revision=1,
        )
    )
    find = Query(select(THINGS.c.id).where(THINGS.c.name == "100%", THINGS.c.owner.like("o%")))
    await database.write(lambda tx: tx.run(write, id="1"))
    assert await database.read(lambda tx: tx.one(find)) == ("1",)


async def test_a_read_does_not_write_and_sees_what_was_committed(database: Database) -> None:
    await things.insert(database, Thing(id="1", name="a"))
    assert await things.names(database) == {"a"}
