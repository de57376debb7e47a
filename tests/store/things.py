"""A small schema with every kind of column, for tests of the engine itself."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import Index, MetaData, Table

from kilostack.store import sql
from kilostack.store.database import Database, Tx
from kilostack.store.feed import Feed
from kilostack.store.lists import Collection
from kilostack.store.records import Records

META = MetaData()
THINGS = Table(
    "things",
    META,
    sql.uuid("id", key=True),
    sql.text("owner"),
    sql.text("name"),
    sql.text("note", null=True),
    sql.text("colour", 32),
    sql.integer("size", null=True),
    sql.integer("weight"),
    sql.boolean("on"),
    sql.boolean("maybe", null=True),
    sql.json("tags"),
    sql.json("extra", null=True),
    *sql.counters(),
)
Index("things_name", THINGS.c.owner, THINGS.c.name, unique=True)
COUNTERS = Table("counters", META, sql.text("name", key=True), sql.integer("used"), sql.integer("most"))
FEED = Feed(META, "test.feed")


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Thing(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    owner: str = "o"
    name: str
    note: str | None = None
    colour: Colour = Colour.RED
    size: int | None = None
    weight: int = 0
    on: bool = False
    maybe: bool | None = None
    tags: tuple[str, ...] = ()
    extra: dict[str, int] | None = None
    generation: int = 1
    revision: int = 1


class Counter(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    used: int
    most: int


RECORDS = Records(Thing, THINGS, noun="Thing")
COUNTED = Records(Counter, COUNTERS, noun="Counter", key=("name",))
LISTED = Collection(
    RECORDS,
    filters={name: name for name in ("id", "owner", "name", "note", "colour", "size", "weight", "on", "maybe")}
    | {"either": ("name", "note")},
    sorts={name: name for name in ("id", "name", "note", "size", "weight", "on")},
    default_sort=(("name", False),),
)


async def insert(database: Database, *things: Thing) -> None:
    """Write things in one unit."""

    async def unit(tx: Tx) -> None:
        for thing in things:
            await RECORDS.insert(tx, thing)

    await database.write(unit)


async def names(database: Database) -> set[str]:
    """The names of all things."""
    found: list[Any] = await database.read(lambda tx: RECORDS.where(tx))
    return {thing.name for thing in found}
