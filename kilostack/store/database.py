"""What the rest of the product sees of a database: units of work over compiled statements."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from kilostack.store.sql import DialectName, Query

T = TypeVar("T")


class Tx(Protocol):
    """An open transaction. Rows are tuples in the order of the statement's columns."""

    @property
    def dialect(self) -> DialectName: ...

    async def one(self, query: Query, /, **params: Any) -> tuple[Any, ...] | None:
        """The first row, or None."""

    async def all(self, query: Query, /, **params: Any) -> list[tuple[Any, ...]]: ...

    async def run(self, query: Query, /, **params: Any) -> int:
        """Execute; the number of rows that matched. Raises `Duplicate` when a unique key is taken."""

    def hint(self, topic: str) -> None:
        """Once this transaction is committed, tell whoever listens on `topic` to look; may be lost."""


Unit = Callable[[Tx], Awaitable[T]]


class Database(Protocol):
    """One service's database.

    A unit may be run again: ids, times and chance are made before it, nothing but `tx` is awaited in it, and no port is
    called while it is open. Raises `Unavailable` when the database cannot be written or read in time.
    """

    async def read(self, unit: Unit[T]) -> T:
        """Run `unit` on one consistent view of what is committed."""

    async def write(self, unit: Unit[T]) -> T:
        """Run `unit` and commit; when this returns, the change is on disk. What `unit` raises undoes all of it."""

    async def close(self) -> None: ...
