"""SQLite: one file per service, units on the loop, the sync of a group of them in a thread.

Every statement completes at once, so a unit runs to its end on the event loop, inside a savepoint of the open group.
Only COMMIT, which waits for the disk, runs in the pool; units that arrive meanwhile form the next group. An answer
leaves after its group is on disk (WAL, synchronous=FULL).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

from sqlalchemy import MetaData

from kilostack.core.errors import BadRequest, Duplicate, Unavailable
from kilostack.core.world import World
from kilostack.store.database import Unit
from kilostack.store.schema import DamagedDatabase, check_number, ddl
from kilostack.store.sql import DialectName, Query

T = TypeVar("T")
_BUSY_TRIES = 400
_BUSY_WAIT_S = 0.02
#: the last one so that LIKE compares as `=` does, and as on MariaDB
_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "temp_store=MEMORY",
    "cache_size=-4000",
    "case_sensitive_like=ON",
)
#: the disk or another process is in the way, not the statement
_NOT_NOW = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
}
_DAMAGED = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}


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
        except OverflowError as error:
            raise BadRequest("A number in the request is too large to be stored.") from error


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
        try:
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
        except sqlite3.DatabaseError as error:
            connection.close()
            if error.sqlite_errorcode & 0xFF in _DAMAGED:
                raise DamagedDatabase(
                    f"{path} is damaged ({error}). Restore a backup of the whole directory."
                ) from error
            raise
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
        try:
            self._reader.execute("BEGIN")
            try:
                return _drive(unit, SqliteTx(self._reader))
            finally:
                self._reader.execute("COMMIT")
        except sqlite3.Error as error:
            raise _told(error, "read") from error

    async def write(self, unit: Unit[T]) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.append((unit, future))
        if self._pump is None or self._pump.done():
            self._pump = self._world.spawn(self._run_groups(), "sqlite-writer")
        return await future

    async def _run_groups(self) -> None:
        group: list[tuple[Unit[Any], asyncio.Future[Any]]] = []
        try:
            while self._queue:
                group, self._queue = self._queue, []
                try:
                    await self._run_group(group)
                except Exception as error:
                    told = _told(error, "written")
                    for _, future in group:
                        if not future.done():
                            future.set_exception(told)
        except BaseException:
            # the process ends: whoever waits must not wait for ever
            for _, future in (*group, *self._queue):
                if not future.done():
                    future.cancel()
            raise

    async def _run_group(self, group: list[tuple[Unit[Any], asyncio.Future[Any]]]) -> None:
        await self._begin()
        ran: list[tuple[asyncio.Future[Any], Any, BaseException | None]] = []
        hints: set[str] = set()
        try:
            for unit, future in group:
                if not future.cancelled():
                    result, error = self._run_unit(unit, hints)
                    ran.append((future, result, error))
            await self._world.in_thread(self._writer.execute, "COMMIT")
        except BaseException:
            # an interrupted COMMIT may still end in its thread
            with suppress(sqlite3.Error):
                self._writer.execute("ROLLBACK")
            raise
        # a unit that was refused may have seen what an earlier one wrote: it, too, is answered after the commit
        for future, result, error in ran:
            if future.done():
                continue
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)
        for topic in sorted(hints):
            self._hint(topic)

    def _run_unit(self, unit: Unit[Any], hints: set[str]) -> tuple[Any, BaseException | None]:
        """Run one unit in a savepoint; what it returned or raised. Raises when the whole group is lost."""
        self._writer.execute("SAVEPOINT unit")
        tx = SqliteTx(self._writer)
        try:
            result = _drive(unit, tx)
        except Exception as error:
            if not self._writer.in_transaction:
                # SQLite itself has rolled everything back, as it may on a full disk
                raise
            self._writer.execute("ROLLBACK TO unit")
            self._writer.execute("RELEASE unit")
            return None, _told(error, "written")
        self._writer.execute("RELEASE unit")
        hints |= tx.hints
        return result, None

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
        """Finish what was begun; the files are whole at any time, closed or not."""
        if self._pump is not None and not self._pump.done():
            await asyncio.gather(self._pump, return_exceptions=True)
        self._reader.close()
        self._writer.close()


def _told(error: Exception, done: str) -> Exception:
    """`Unavailable` where another try may succeed; a wrong statement stays what it is: a bug."""
    if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _NOT_NOW:
        return Unavailable(f"The database cannot be {done} now: {error}.", retry_after_s=1)
    return error
