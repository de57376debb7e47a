"""Records: one struct per row, written with a generation.

`Records` is the declaration of a resource in a store: which struct, which table, which key. Its statements are built
once. Columns declared by `sql.boolean` and `sql.json` are translated; everything else is stored as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Generic, TypeVar, get_type_hints

import msgspec
from sqlalchemy import Table, and_, delete, func, insert, select, update

from kilostack.core.errors import NotFound, StaleGeneration
from kilostack.store.database import Tx
from kilostack.store.sql import InList, Query, p

R = TypeVar("R", bound=msgspec.Struct)
_encode = msgspec.json.Encoder().encode


class Records(Generic[R]):
    """Rows of `table` as `record`s. `key` is the primary key, `noun` names the thing in errors."""

    def __init__(self, record: type[R], table: Table, *, noun: str, key: Sequence[str] = ("id",)) -> None:
        self.record, self.table, self.noun, self.key = record, table, noun, tuple(key)
        self.columns = tuple(record.__struct_fields__)
        self._counted = "generation" in self.columns
        hints = get_type_hints(record)
        self._to_row: dict[str, Callable[[Any], Any]] = {}
        self._from_row: dict[str, Callable[[Any], Any]] = {}
        for name in self.columns:
            self._translate(name, hints[name], table.c[name].info.get("codec"))
        self.selected = select(*(table.c[name] for name in self.columns))
        same = and_(*(table.c[name] == p(name) for name in self.key))
        self._get = Query(self.selected.where(same))
        self._insert = Query(insert(table).values({name: p(name) for name in self.columns}))
        rest = {name: p("set_" + name) for name in self.columns if name not in self.key}
        counted = and_(same, table.c.generation == p("old_generation")) if self._counted else same
        self._update = Query(update(table).where(counted).values(rest)) if rest else None
        self._delete = Query(delete(table).where(same))
        self._where: dict[tuple[str, ...], Query] = {}
        self._in: dict[str, Query] = {}
        self._delete_where: dict[tuple[str, ...], Query] = {}
        self._delete_in: dict[tuple[str, ...], Query] = {}
        self._count: dict[tuple[str, ...], Query] = {}

    def _translate(self, name: str, hint: Any, codec: str | None) -> None:
        if codec == "bool":
            self._to_row[name] = _bool_to_row
            self._from_row[name] = _bool_from_row
        elif codec == "json":
            decode = msgspec.json.Decoder(hint).decode
            self._to_row[name] = lambda value: None if value is None else _encode(value).decode()
            self._from_row[name] = lambda value: None if value is None else decode(value)
        elif isinstance(hint, type) and issubclass(hint, Enum):
            self._to_row[name] = lambda value: value.value
            self._from_row[name] = hint

    def row(self, record: R) -> dict[str, Any]:
        """The column values of a record."""
        values = {name: getattr(record, name) for name in self.columns}
        for name, translate in self._to_row.items():
            values[name] = translate(values[name])
        return values

    def made(self, row: Sequence[Any]) -> R:
        """The record of a row that was read through `selected`."""
        values = dict(zip(self.columns, row, strict=True))
        for name, translate in self._from_row.items():
            values[name] = translate(values[name])
        return self.record(**values)

    async def find(self, tx: Tx, **key: Any) -> R | None:
        """The record with that key, or None."""
        row = await tx.one(self._get, **key)
        return None if row is None else self.made(row)

    async def get(self, tx: Tx, **key: Any) -> R:
        """The record with that key. Raises `NotFound`."""
        if (found := await self.find(tx, **key)) is None:
            raise NotFound(f"{self.noun} {' '.join(str(value) for value in key.values())} could not be found.")
        return found

    async def insert(self, tx: Tx, record: R) -> R:
        """Write a new row. Raises `Duplicate`."""
        await tx.run(self._insert, **self.row(record))
        return record

    async def update(self, tx: Tx, record: R) -> R:
        """Write the record if nobody else wrote it since it was read; the written one has its counters raised.

        Raises `StaleGeneration`. A record without counters is simply written.
        """
        assert self._update is not None
        params: dict[str, Any] = {}
        if self._counted:
            params["old_generation"] = record.generation  # type: ignore[attr-defined]
            record = msgspec.structs.replace(
                record,
                generation=record.generation + 1,  # type: ignore[attr-defined]
                revision=record.revision + 1,  # type: ignore[attr-defined]
            )
        row = self.row(record)
        params.update({name if name in self.key else "set_" + name: value for name, value in row.items()})
        if await tx.run(self._update, **params) != 1:
            raise StaleGeneration(f"{self.noun} {row[self.key[0]]} was changed or removed meanwhile.")
        return record

    async def delete(self, tx: Tx, **key: Any) -> bool:
        """Remove the row; whether there was one."""
        return await tx.run(self._delete, **key) == 1

    def _equal(self, names: tuple[str, ...]) -> Any:
        return and_(*(self.table.c[name] == p(name) for name in names))

    async def where(self, tx: Tx, **equal: Any) -> list[R]:
        """Records whose columns equal the given values, in key order."""
        names = tuple(equal)
        if (query := self._where.get(names)) is None:
            statement = self.selected.order_by(*(self.table.c[name] for name in self.key))
            query = self._where[names] = Query(statement.where(self._equal(names)) if names else statement)
        return [self.made(row) for row in await tx.all(query, **_rowed(equal))]

    async def within(self, tx: Tx, column: str, values: Sequence[Any]) -> list[R]:
        """Records whose `column` is one of `values`; one statement however many."""
        if not values:
            return []
        if (query := self._in.get(column)) is None:
            query = self._in[column] = Query(self.selected.where(InList(self.table.c[column], "values")))
        return [self.made(row) for row in await tx.all(query, values=_encode(list(values)).decode())]

    async def delete_where(self, tx: Tx, **equal: Any) -> int:
        """Remove rows whose columns equal the given values; how many."""
        names = tuple(equal)
        if (query := self._delete_where.get(names)) is None:
            query = self._delete_where[names] = Query(delete(self.table).where(self._equal(names)))
        return await tx.run(query, **_rowed(equal))

    async def delete_within(self, tx: Tx, column: str, values: Sequence[Any], **equal: Any) -> int:
        """Remove rows whose `column` is one of `values`, and others equal theirs; one statement however many."""
        if not values:
            return 0
        names = (column, *equal)
        if (query := self._delete_in.get(names)) is None:
            listed = InList(self.table.c[column], "values")
            matching = and_(listed, *(self.table.c[name] == p(name) for name in equal))
            query = self._delete_in[names] = Query(delete(self.table).where(matching))
        return await tx.run(query, values=_encode(list(values)).decode(), **_rowed(equal))

    async def count(self, tx: Tx, **equal: Any) -> int:
        names = tuple(equal)
        if (query := self._count.get(names)) is None:
            statement = select(func.count()).select_from(self.table)
            query = self._count[names] = Query(statement.where(self._equal(names)) if names else statement)
        row = await tx.one(query, **_rowed(equal))
        return int(row[0]) if row else 0


def _rowed(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: int(value) if isinstance(value, bool) else value for name, value in values.items()}


def _bool_to_row(value: bool | None) -> int | None:
    return None if value is None else int(value)


def _bool_from_row(value: int | None) -> bool | None:
    return None if value is None else bool(value)
