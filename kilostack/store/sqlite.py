"""SQLite: one file per service, units on the loop, the sync of a group of them in a thread.

Every statement completes at once, so a unit runs to its end on the event loop, inside a savepoint of the open group.
Only COMMIT, which waits for the disk, runs in the pool; units that arrive meanwhile form the next group. An answer
leaves after its group is on disk (WAL, synchronous=FULL).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from sqlalchemy import MetaData

from kilostack.core.errors import Duplicate, Unavailable
from kilostack.core.world import World
from kilostack.store.database import Unit
from kilostack.store.schema import check_number, ddl
from kilostack.store.sql import DialectName, Query

T = TypeVar("T")
_BUSY_TRIES = 400
_BUSY_WAIT_S = 0.02


class SqliteTx:
    """Statements on one connection; never suspends."""

    dialect: DialectName = "sqlite"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.hints: set[str] = set()

    def hint(self, topic: str) -> None:
        self.hints.add(topic)

    async def one(self, query: Query, /, **params: Any) -> tuple[Any, ...] | None:
        return cast("tuple[Any, ...] | None", self._execute(query, params).fetchone())

    async def all(self, query: Query, /, **params: Any) -> list[tuple[Any, ...]]:
        return self._execute(query, params).fetchall()

    async def run(self, query: Query, /, **params: Any) -> int:
        return self._execute(query, params).rowcount

    def _execute(self, query: Query, params: dict[str, Any]) -> sqlite3.Cursor:
        sql, values = query.bound("sqlite", params)
        try:
            return self._connection.execute(sql, values)
        except sqlite3.IntegrityError as error:
            if "UNIQUE" in str(error):
                raise Duplicate(str(error)) from error
            raise


def _drive(unit: Unit[T], tx: SqliteTx) -> T:
    """Run the unit to its end now."""
    work: Awaitable[T] = unit(tx)
    step = work.__await__()
    try:
        next(step)
    except StopIteration as end:
        return cast(T, end.value)
    step.close()
    raise RuntimeError("a unit of work awaited something other than its transaction")


class SqliteDatabase:
    """A service's database in one file. One process writes it; others may read."""

    def __init__(self, path: Path, world: World, hint: Callable[[str], None] = lambda topic: None) -> None:
        self._world = world
        self._hint = hint
        self._writer = self._connect(path)
        self._reader = self._connect(path)
        self._reader.execute("PRAGMA query_only=ON")
        self._queue: list[tuple[Unit[Any], asyncio.Future[Any]]] = []
        self._pump: asyncio.Task[None] | None = None

    @staticmethod
    def _connect(path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=0, cached_statements=512
        )
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "temp_store=MEMORY", "cache_size=-4000"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def prepare(self, service: str, number: int, meta: MetaData) -> bool:
        """Make the tables of a fresh file (True), or check that the file's schema is this release's.

        Raises `WrongSchema`.
        """
        (found,) = self._writer.execute("PRAGMA user_version").fetchone()
        if found:
            check_number(found, number, service)
            return False
        self._writer.executescript("BEGIN;" + "\n".join(ddl(meta, "sqlite")) + f"PRAGMA user_version={number};COMMIT;")
        return True

    async def read(self, unit: Unit[T]) -> T:
        self._reader.execute("BEGIN")
        try:
            return _drive(unit, SqliteTx(self._reader))
        finally:
            self._reader.execute("COMMIT")

    async def write(self, unit: Unit[T]) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.append((unit, future))
        if self._pump is None or self._pump.done():
            self._pump = self._world.spawn(self._run_groups(), "sqlite-writer")
        return await future

    async def _run_groups(self) -> None:
        while self._queue:
            group, self._queue = self._queue, []
            try:
                await self._run_group(group)
            except (sqlite3.Error, Unavailable) as error:
                for _, future in group:
                    if not future.done():
                        future.set_exception(Unavailable(f"the database cannot be written: {error}"))

    async def _run_group(self, group: list[tuple[Unit[Any], asyncio.Future[Any]]]) -> None:
        await self._begin()
        done: list[tuple[asyncio.Future[Any], Any]] = []
        hints: set[str] = set()
        try:
            for unit, future in group:
                if not future.cancelled():
                    hints |= self._run_unit(unit, future, done)
            await self._world.in_thread(self._writer.execute, "COMMIT")
        except BaseException:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
            raise
        for future, result in done:
            if not future.cancelled():
                future.set_result(result)
        for topic in sorted(hints):
            self._hint(topic)

    def _run_unit(
        self, unit: Unit[Any], future: asyncio.Future[Any], done: list[tuple[asyncio.Future[Any], Any]]
    ) -> set[str]:
        """Run one unit in a savepoint; the hints that it wants sent after the commit."""
        self._writer.execute("SAVEPOINT unit")
        tx = SqliteTx(self._writer)
        try:
            result = _drive(unit, tx)
        except Exception as error:
            if isinstance(error, sqlite3.OperationalError):
                # a full disk may have rolled back the whole group: nothing of it may be answered as done
                raise
            self._writer.execute("ROLLBACK TO unit")
            self._writer.execute("RELEASE unit")
            future.set_exception(error)
            return set()
        self._writer.execute("RELEASE unit")
        done.append((future, result))
        return tx.hints

    async def _begin(self) -> None:
        for _ in range(_BUSY_TRIES):
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) and "busy" not in str(error):
                    raise
            await self._world.sleep(_BUSY_WAIT_S)
        raise Unavailable("the database is locked by another process", retry_after_s=1)

    async def close(self) -> None:
        if self._pump is not None and not self._pump.done():
            await asyncio.gather(self._pump, return_exceptions=True)
        self._reader.close()
        self._writer.close()
