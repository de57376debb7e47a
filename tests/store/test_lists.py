"""The list engine against a plain model in Python: filters, sort keys, markers, limits, both directions, NULLs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kilostack.core import errors
from kilostack.core.world import RealWorld
from kilostack.store.database import Database
from kilostack.store.lists import Ask, Where
from kilostack.store.mariadb import MariadbDatabase
from kilostack.store.sqlite import SqliteDatabase
from tests.conftest import MakeDatabase
from tests.databases import MariadbServer
from tests.store import things
from tests.store.things import LISTED, META, Colour, Thing

_TEXTS = ["", "a", "A", "a ", "ab", "a%", "a_", "a!", "ä", "b", "\U0001f600"]
_NUMBERS = [-1, 0, 1, 2, 10, 2**40]
_THINGS = [
    Thing(
        id=f"id{number:02d}",
        owner=f"o{number}",
        name=_TEXTS[number % len(_TEXTS)],
        note=None if number % 3 == 0 else _TEXTS[(number * 7) % len(_TEXTS)],
        colour=Colour.RED if number % 2 else Colour.BLUE,
        size=None if number % 4 == 0 else _NUMBERS[number % len(_NUMBERS)],
        weight=_NUMBERS[(number * 5) % len(_NUMBERS)],
        on=number % 5 < 2,
        maybe=[None, True, False][number % 3],
    )
    for number in range(40)
]


def _meets(thing: Thing, where: Where) -> bool:
    """NULL meets no condition, as in SQL."""
    if where.name == "either":
        found = [_meets(thing, Where(name, where.values, where.op)) for name in ("name", "note")]
        return all(found) if where.op == "ne" else any(found)
    value = getattr(thing, where.name)
    if value is None:
        return False
    one = where.values[0] if where.values else None
    match where.op:
        case "eq":
            return value in where.values
        case "ne":
            return value not in where.values
        case "prefix":
            return bool(value.startswith(one))
        case "gt":
            return bool(value > one)
        case "gte":
            return bool(value >= one)
        case "lt":
            return bool(value < one)
        case "lte":
            return bool(value <= one)
    raise AssertionError(where.op)


def _place(thing: Thing, key: str) -> Any:
    """Where SQL sorts a value: texts by their bytes in UTF-8; NULL as the empty text or -1."""
    value = getattr(thing, key)
    if key in ("size", "weight", "on"):
        return -1 if value is None else int(value)
    return (value or "").encode()


def _expected(ask: Ask) -> list[Thing]:
    found = [thing for thing in _THINGS if all(_meets(thing, where) for where in ask.where)]
    sort = ask.sort or (("name", False),)
    found.sort(key=lambda thing: thing.id.encode(), reverse=sort[-1][1])
    for key, descending in reversed(sort):
        found.sort(key=lambda thing, key=key: _place(thing, key), reverse=descending)
    if ask.marker is not None:
        # the marker itself need not meet the conditions: it only names a place
        order = sorted(_THINGS, key=lambda thing: thing.id.encode(), reverse=sort[-1][1])
        for key, descending in reversed(sort):
            order.sort(key=lambda thing, key=key: _place(thing, key), reverse=descending)
        at = [thing.id for thing in order].index(ask.marker)
        allowed = order[:at] if ask.reverse else order[at + 1 :]
        found = [thing for thing in found if thing in allowed]
    if ask.limit is None:
        return found
    return found[max(0, len(found) - ask.limit) :] if ask.reverse else found[: ask.limit]


_text_wheres = st.builds(
    Where,
    st.sampled_from(["name", "note", "colour", "either"]),
    st.lists(st.sampled_from([*_TEXTS, "red", "nowhere", "x" * 300]), min_size=1, max_size=3).map(tuple),
    st.sampled_from(["eq", "ne"]),
) | st.builds(
    Where,
    st.sampled_from(["name", "note"]),
    st.sampled_from(["a", "a%", "_", "a!", "ab", "A"]).map(lambda text: (text,)),
    st.just("prefix"),
)
_number_wheres = st.builds(
    Where,
    st.sampled_from(["size", "weight"]),
    st.lists(st.sampled_from([*_NUMBERS, 5]), min_size=1, max_size=3).map(tuple),
    st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte"]),
)
_flag_wheres = st.builds(
    Where, st.sampled_from(["on", "maybe"]), st.booleans().map(lambda flag: (flag,)), st.sampled_from(["eq", "ne"])
)
_asks = st.builds(
    Ask,
    where=st.lists(_text_wheres | _number_wheres | _flag_wheres, max_size=3).map(tuple),
    sort=st.lists(
        st.tuples(st.sampled_from(["id", "name", "note", "size", "weight", "on"]), st.booleans()),
        max_size=3,
        unique_by=lambda pair: pair[0],
    ).map(tuple),
    marker=st.none() | st.sampled_from([thing.id for thing in _THINGS]),
    limit=st.none() | st.integers(0, 50),
    reverse=st.booleans(),
)


class _Opened:
    """A database with the things, on a loop of its own, so that one example after another may use it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.world = RealWorld()
        self.database: Database

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def close(self) -> None:
        self.run(self.database.close())
        self.run(self.world.close())
        self.loop.close()


@pytest.fixture(scope="module", params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Opened]:
    made = _Opened()
    if request.param == "sqlite":
        path: Path = tmp_path_factory.mktemp("lists") / "lists.db"
        sqlite = SqliteDatabase(path, made.world)
        sqlite.prepare("test", 1, META)
        made.database = sqlite
    else:
        server: MariadbServer = request.getfixturevalue("mariadb_server")
        made.run(server.execute("CREATE DATABASE lists CHARACTER SET utf8mb4"))
        mariadb = MariadbDatabase(server.settings("lists"), made.world)
        made.run(mariadb.prepare("test", 1, META))
        made.database = mariadb
    made.run(things.insert(made.database, *_THINGS))
    yield made
    made.close()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ask=_asks)
def test_a_page_is_what_the_model_says(opened: _Opened, ask: Ask) -> None:
    found = opened.run(opened.database.read(lambda tx: LISTED.page(tx, ask)))
    assert [thing.id for thing in found] == [thing.id for thing in _expected(ask)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ask=_asks, size=st.integers(1, 7))
def test_pages_one_after_another_give_each_item_once(opened: _Opened, ask: Ask, size: int) -> None:
    seen: list[str] = []
    marker = None
    while True:
        page_ask = Ask(where=ask.where, sort=ask.sort, marker=marker, limit=size)
        page = opened.run(opened.database.read(lambda tx, ask=page_ask: LISTED.page(tx, ask)))
        seen += [thing.id for thing in page]
        if not page or len(seen) > len(_THINGS):
            break
        marker = page[-1].id
    assert seen == [thing.id for thing in _expected(Ask(where=ask.where, sort=ask.sort))]


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (Ask(marker="nowhere"), "marker"),
        (Ask(marker="x" * 100_000), "marker"),
        (Ask(sort=(("colour", False),)), "Cannot sort by 'colour'"),
        (Ask(where=(Where("tags", ("a",)),)), "Cannot filter by 'tags'"),
    ],
)
async def test_what_is_not_there_is_said(make_database: MakeDatabase, ask: Ask, said: str) -> None:
    database = await make_database(META)
    with pytest.raises(errors.BadRequest, match=said):
        await database.read(lambda tx: LISTED.page(tx, ask))
