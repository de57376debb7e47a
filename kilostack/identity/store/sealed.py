"""Columns that hold sealed texts, page by page, for whoever seals them anew."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Table, and_, select, tuple_, update

from kilostack.store.database import Tx
from kilostack.store.sql import Query, p

_PAGE = 200
#: the values of a primary key
Key = tuple[Any, ...]


class SealedColumn:
    """One column of one table; of a column of JSON, the rows whose value is a text."""

    def __init__(self, table: Table, column: str, purpose: str) -> None:
        self.table, self.column, self.purpose = table, column, purpose
        self._is_json = table.c[column].info.get("codec") == "json"
        keys = list(table.primary_key.columns)
        self._keys = tuple(f"k{at}" for at in range(len(keys)))
        rows = select(*keys, table.c[column]).order_by(*keys).limit(_PAGE)
        self._first = Query(rows)
        self._next = Query(rows.where(tuple_(*keys) > tuple_(*(p(name) for name in self._keys))))
        same = (key == p(name) for key, name in zip(keys, self._keys, strict=True))
        self._replace = Query(update(table).where(and_(*same, table.c[column] == p("old"))).values({column: p("new")}))

    async def page(self, tx: Tx, after: Key | None) -> list[tuple[Key, str | None]]:
        """(key, sealed text) of the rows after that key, None of the first; an empty page is the end."""
        named = {} if after is None else dict(zip(self._keys, after, strict=True))
        rows = await tx.all(self._first if after is None else self._next, **named)
        return [(tuple(row[:-1]), self._text(row[-1])) for row in rows]

    def _text(self, kept: str) -> str | None:
        value = msgspec.json.decode(kept) if self._is_json else kept
        return value if isinstance(value, str) else None

    async def replace(self, tx: Tx, key: Key, old: str, new: str) -> bool:
        """Write the new text unless somebody has written another one meanwhile."""
        named = dict(zip(self._keys, key, strict=True))
        return await tx.run(self._replace, **named, old=self._kept(old), new=self._kept(new)) == 1

    def _kept(self, text: str) -> str:
        return msgspec.json.encode(text).decode() if self._is_json else text
