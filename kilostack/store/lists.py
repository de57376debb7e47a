"""The list engine: what a client may ask of a collection, as data.

A collection declares its filters and sort keys; a request is checked against them, compiled once per shape, and
answered in a stable order with a tie-break on the key. Markers are keyset conditions, so a page costs the same wherever
it starts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar

import msgspec
from sqlalchemy import ColumnElement, and_, func, or_

from kilostack.core.errors import BadRequest
from kilostack.store.database import Tx
from kilostack.store.records import Records
from kilostack.store.sql import InList, Query, p

R = TypeVar("R", bound=msgspec.Struct)
#: before a character of a LIKE pattern that stands for itself; a backslash means too much on MariaDB
_ESCAPE = "!"
#: eq: one of the values; ne: none of them; gt/gte/lt/lte: compares; like: SQL LIKE with "!" as the escape; ilike: the
#: same with the letters A to Z in either case (the pattern in lower case); prefix: starts with. Otherwise texts compare
#: exactly, upper and lower case and trailing spaces too.
Op = Literal["eq", "ne", "gt", "gte", "lt", "lte", "like", "ilike", "prefix"]


class Where(msgspec.Struct, frozen=True):
    """One condition: a declared filter, how it compares, and the values (for eq and ne any of them)."""

    name: str
    values: tuple[Any, ...]
    op: Op = "eq"


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One list request."""

    where: tuple[Where, ...] = ()
    #: (sort key, descending)
    sort: tuple[tuple[str, bool], ...] = ()
    #: id of the last item of the page before
    marker: str | None = None
    limit: int | None = None
    #: page backwards from the marker; the items still come in the order of `sort`
    reverse: bool = False


#: a column; several columns, of which one has to meet the condition; or a condition over the parameter of the given
#: name, which holds the values as a JSON list
Filter = str | tuple[str, ...] | Callable[[str], ColumnElement[bool]]


class Collection(Generic[R]):
    """`sorts` maps a public name to a column of the records' table, `filters` to a `Filter`."""

    def __init__(
        self,
        records: Records[R],
        *,
        filters: Mapping[str, Filter],
        sorts: Mapping[str, str],
        default_sort: Sequence[tuple[str, bool]],
    ) -> None:
        self.records, self.filters, self.sorts = records, dict(filters), dict(sorts)
        self._default = tuple(default_sort)
        self._key = records.table.c[records.key[-1]]
        self._shapes: dict[Any, Query] = {}

    async def page(self, tx: Tx, ask: Ask) -> list[R]:
        """The records of one page. Raises `BadRequest` for an unknown marker, filter or sort key."""
        sort = self._sort(ask)
        params: dict[str, Any] = {}
        shape = (tuple((w.name, w.op) for w in ask.where), sort, ask.marker is None, ask.limit is None)
        query = self._shapes.get(shape)
        if query is None:
            query = self._shapes[shape] = self._compile(ask, sort)
        for at, where in enumerate(ask.where):
            if where.op in ("eq", "ne"):
                params[f"w{at}"] = msgspec.json.encode([_plain(v) for v in where.values]).decode()
            else:
                value = _plain(where.values[0])
                params[f"w{at}"] = _pattern(value) if where.op == "prefix" else value
        if ask.marker is not None:
            params |= await self._marker(tx, ask.marker, sort)
        if ask.limit is not None:
            params["limit"] = ask.limit
        found = [self.records.made(row) for row in await tx.all(query, **params)]
        return found[::-1] if ask.reverse else found

    def _sort(self, ask: Ask) -> tuple[tuple[str, bool], ...]:
        sort = []
        for name, descending in ask.sort or self._default:
            if name not in self.sorts:
                raise BadRequest(
                    f"Cannot sort by {name!r}: use one of {', '.join(sorted(self.sorts))}.", field="sort_key"
                )
            sort.append((name, descending != ask.reverse))
        return tuple(sort)

    def _column(self, name: str) -> Any:
        return self.records.table.c[self.sorts[name]]

    def _compile(self, ask: Ask, sort: tuple[tuple[str, bool], ...]) -> Query:
        statement = self.records.selected
        for at, where in enumerate(ask.where):
            if where.name not in self.filters:
                raise BadRequest(f"Cannot filter by {where.name!r}.", field=where.name)
            statement = statement.where(self._where(self.filters[where.name], where.op, f"w{at}"))
        last = sort[-1][1] if sort else ask.reverse
        order = [(_comparable(self._column(name)), descending, f"m{at}") for at, (name, descending) in enumerate(sort)]
        order.append((self._key, last, "mkey"))
        if ask.marker is not None:
            statement = statement.where(_beyond(order))
        statement = statement.order_by(*(column.desc() if descending else column for column, descending, _ in order))
        return Query(statement.limit(p("limit")) if ask.limit is not None else statement)

    def _where(self, declared: Filter, op: Op, name: str) -> Any:
        if callable(declared):
            condition = declared(name)
            return ~condition if op == "ne" else condition
        columns = (declared,) if isinstance(declared, str) else declared
        conditions = [_condition(self.records.table.c[column], op, name) for column in columns]
        return and_(*conditions) if op == "ne" else or_(*conditions)

    async def _marker(self, tx: Tx, marker: str, sort: tuple[tuple[str, bool], ...]) -> dict[str, Any]:
        name = self.records.key[-1]
        rows = await self.records.where(tx, **{name: marker})
        if not rows:
            raise BadRequest(f"marker [{marker}] not found", field="marker")
        row = self.records.row(rows[0])
        params = {f"m{at}": _filled(self._column(key), row[self.sorts[key]]) for at, (key, _) in enumerate(sort)}
        return params | {"mkey": marker}


def _comparable(column: Any) -> Any:
    """NULLs sort first, as the empty text or as -1, so that markers can name them."""
    return func.coalesce(column, _for_null(column)) if column.nullable else column


def _filled(column: Any, value: Any) -> Any:
    return _for_null(column) if value is None else value


def _for_null(column: Any) -> Any:
    return -1 if column.type.python_type is int else ""


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value


def literal(text: str) -> str:
    """The text as a part of a LIKE pattern, in which every character stands for itself."""
    for special in (_ESCAPE, "%", "_"):
        text = text.replace(special, _ESCAPE + special)
    return text


def _pattern(prefix: str) -> str:
    return literal(prefix) + "%"


def _condition(column: Any, op: Op, name: str) -> Any:
    if op == "eq":
        return InList(column, name)
    if op == "ne":
        return ~InList(column, name)
    if op in ("like", "prefix"):
        return column.like(p(name), escape=_ESCAPE)
    if op == "ilike":
        return func.lower(column).like(p(name), escape=_ESCAPE)
    return {"gt": column > p(name), "gte": column >= p(name), "lt": column < p(name), "lte": column <= p(name)}[op]


def _beyond(columns: list[tuple[Any, bool, str]]) -> Any:
    """Strictly after the marker in the order of `columns`."""
    options = []
    for at, (column, descending, name) in enumerate(columns):
        same = [before == p(mark) for before, _, mark in columns[:at]]
        options.append(and_(*same, column < p(name) if descending else column > p(name)))
    return or_(*options)
