"""A database that counts statements: what a request costs must not grow with what is there."""

from __future__ import annotations

from collections.abc import Awaitable
from contextvars import ContextVar
from typing import Any

from kilostack.store.database import Database, T, Tx, Unit
from kilostack.store.sql import Query

_counted: ContextVar[bool] = ContextVar("counted", default=False)


class CountingDatabase:
    """Another database, which knows how many statements somebody took."""

    def __init__(self, db: Database) -> None:
        self._db, self._count = db, 0

    async def cost(self, work: Awaitable[Any]) -> int:
        """Do it; how many statements it took. Those of tasks that were there before are not counted."""
        before, mark = self._count, _counted.set(True)
        try:
            await work
        finally:
            _counted.reset(mark)
        return self._count - before

    def tell(self, *, counted: bool) -> None:
        """A statement is on its way."""
        self._count += counted

    async def read(self, unit: Unit[T]) -> T:
        counted = _counted.get()
        return await self._db.read(lambda tx: unit(_CountingTx(tx, self, counted)))

    async def write(self, unit: Unit[T]) -> T:
        counted = _counted.get()
        return await self._db.write(lambda tx: unit(_CountingTx(tx, self, counted)))

    async def close(self) -> None:
        """The other one is closed by whoever opened it."""


class _CountingTx:
    def __init__(self, tx: Tx, counting: CountingDatabase, counted: bool) -> None:
        self._tx, self._counting, self._counted, self.dialect = tx, counting, counted, tx.dialect

    async def one(self, query: Query, /, **params: Any) -> tuple[Any, ...] | None:
        self._counting.tell(counted=self._counted)
        return await self._tx.one(query, **params)

    async def all(self, query: Query, /, **params: Any) -> list[tuple[Any, ...]]:
        self._counting.tell(counted=self._counted)
        return await self._tx.all(query, **params)

    async def run(self, query: Query, /, **params: Any) -> int:
        self._counting.tell(counted=self._counted)
        return await self._tx.run(query, **params)

    def hint(self, topic: str) -> None:
        self._tx.hint(topic)
