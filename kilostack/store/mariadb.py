"""MariaDB (one node or Galera behind a proxy): the same units on asyncmy connections, retried as a whole.

Lost races (1213, 1205, 1020), a node without quorum (1047) and lost connections run the unit again. Each unit leaves
its `write_id`; when the answer to COMMIT is lost, it is looked for before the unit runs again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import asyncmy
from asyncmy.errors import DataError, IntegrityError, InterfaceError, MySQLError, OperationalError
from sqlalchemy import BigInteger, MetaData, column, delete, table

from kilostack.core.errors import BadRequest, Duplicate, Unavailable
from kilostack.core.world import World
from kilostack.store.database import Unit
from kilostack.store.schema import check_number, ddl
from kilostack.store.sql import DialectName, Query, p

T = TypeVar("T")
_AGAIN = {1213, 1205, 1047, 1020}
#: no connection yet, no room for one, the server going down, or a connection that broke
_LOST = {2002, 2003, 2006, 2013, 2014, 2055, 1040, 1053, 1152, 1158, 1159, 1160, 1161, 1927}
#: a number out of range, a text too long
_TOO_MUCH = {1264, 1406}
_TRIES = 20
#: every schema on MariaDB has this table
_CREATE = re.compile(r"CREATE (?:UNIQUE )?(?:TABLE|INDEX)")
_WRITES = table("writes", column("at", BigInteger))
_PRUNE = Query(delete(_WRITES).where(_WRITES.c.at < p("before")))
_PRUNE_EVERY = 1000
_KEEP_US = 3600 * 1_000_000
WRITES_DDL = "CREATE TABLE writes (id CHAR(36) PRIMARY KEY, at BIGINT NOT NULL, KEY (at)) ENGINE=InnoDB"


class MariadbTx:
    """Statements on one connection with an open transaction."""

    dialect: DialectName = "mariadb"

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self.hints: set[str] = set()

    def hint(self, topic: str) -> None:
        self.hints.add(topic)

    async def one(self, query: Query, /, **params: Any) -> tuple[Any, ...] | None:
        await self._execute(query, params)
        row: tuple[Any, ...] | None = await self._cursor.fetchone()
        return row

    async def all(self, query: Query, /, **params: Any) -> list[tuple[Any, ...]]:
        await self._execute(query, params)
        return list(await self._cursor.fetchall())

    async def run(self, query: Query, /, **params: Any) -> int:
        return await self._execute(query, params)

    async def _execute(self, query: Query, params: dict[str, Any]) -> int:
        sql, values = query.bound("mariadb", params)
        try:
            return int(await self._cursor.execute(sql, values))
        except IntegrityError as error:
            if error.args and error.args[0] == 1062:
                raise Duplicate(str(error.args[1])) from error
            raise
        except DataError as error:
            if error.args and error.args[0] in _TOO_MUCH:
                raise BadRequest("A value in the request is too large to be stored.") from error
            raise


class MariadbDatabase:
    """A service's database on a MariaDB server. `settings` are asyncmy's connection arguments."""

    def __init__(
        self,
        settings: dict[str, Any],
        world: World,
        hint: Callable[[str], None] = lambda topic: None,
        size: int = 8,
    ) -> None:
        self._settings, self._world, self._hint = settings, world, hint
        self._idle: list[Any] = []
        self._room = asyncio.Semaphore(size)
        self._writes = 0

    async def _connect(self) -> Any:
        # rowcount means matched rows (CLIENT.FOUND_ROWS = 2); binary collation by column
        connection = await asyncmy.connect(
            **self._settings, charset="utf8mb4", autocommit=False, client_flag=2, connect_timeout=5
        )
        async with connection.cursor() as cursor:
            await cursor.execute("SET SESSION innodb_snapshot_isolation=ON, innodb_lock_wait_timeout=10")
        return connection

    async def prepare(self, service: str, number: int, meta: MetaData) -> bool:
        """Make the tables of a fresh database (True), or check that its schema is this release's.

        Raises `WrongSchema`. May be run again after it was interrupted, and by several processes at once.
        """
        connection = await self._connect()
        try:
            async with connection.cursor() as cursor:
                # what is there already is no news
                await cursor.execute("SET SESSION sql_notes=0")
                await cursor.execute("CREATE TABLE IF NOT EXISTS schema_number (number INT PRIMARY KEY) ENGINE=InnoDB")
                await cursor.execute("SELECT MAX(number) FROM schema_number")
                (found,) = await cursor.fetchone()
                if found:
                    check_number(found, number, service)
                    return False
                # each of these commits by itself
                for statement in (WRITES_DDL, *ddl(meta, "mariadb")):
                    await cursor.execute(_CREATE.sub(r"\g<0> IF NOT EXISTS", statement))
                await cursor.execute(f"INSERT IGNORE INTO schema_number VALUES ({number:d})")
                await cursor.execute("COMMIT")
            return True
        finally:
            await connection.ensure_closed()

    async def read(self, unit: Unit[T]) -> T:
        result, _ = await self._retried(unit, write_id=None)
        return result

    async def write(self, unit: Unit[T]) -> T:
        result, hints = await self._retried(unit, write_id=self._world.new_id())
        for topic in sorted(hints):
            self._hint(topic)
        self._writes += 1
        if self._writes % _PRUNE_EVERY == 0:
            self._world.spawn(self._prune(), "mariadb-prune")
        return result

    async def _retried(self, unit: Unit[T], write_id: str | None) -> tuple[T, set[str]]:
        #: what the unit gave when COMMIT was sent and not answered
        committing: list[tuple[T, set[str]]] = []
        for attempt in range(_TRIES):
            try:
                if committing and write_id is not None and await self._committed(write_id):
                    return committing[0]
                committing.clear()
                return await self._once(unit, write_id, committing)
            except (MySQLError, OSError, EOFError) as error:
                if not _again(error):
                    raise
                last = error
            await self._world.sleep(min(1.0, 0.01 * 2**attempt) * self._world.random().uniform(0.5, 1.5))
        raise Unavailable(f"The database did not take the change: {last}", retry_after_s=1)

    async def _once(
        self, unit: Unit[T], write_id: str | None, committing: list[tuple[T, set[str]]]
    ) -> tuple[T, set[str]]:
        async with self._room:
            connection = self._idle.pop() if self._idle else await self._connect()
            healthy = False
            try:
                async with connection.cursor() as cursor:
                    await cursor.execute("START TRANSACTION")
                    tx = MariadbTx(cursor)
                    try:
                        result = await unit(tx)
                        if write_id is not None:
                            await cursor.execute(
                                "INSERT INTO writes (id, at) VALUES (%s, %s)", (write_id, self._world.now())
                            )
                    except Exception:
                        await cursor.execute("ROLLBACK")
                        healthy = True
                        raise
                    committing.append((result, tx.hints))
                    await cursor.execute("COMMIT")
                healthy = True
                return result, tx.hints
            finally:
                # an interrupted statement leaves an answer on the wire: such a connection is not used again
                if healthy:
                    self._idle.append(connection)
                else:
                    connection.close()

    async def _committed(self, write_id: str) -> bool:
        """Whether that write is there. While its COMMIT is under way, the look waits for it."""
        async with self._room:
            connection = await self._connect()
            try:
                async with connection.cursor() as cursor:
                    # on Galera: not before this node has caught up
                    with suppress(MySQLError):
                        await cursor.execute("SET SESSION wsrep_sync_wait=1")
                    # a shared lock waits for a transaction whose connection was lost, but which has not ended yet
                    await cursor.execute("SELECT 1 FROM writes WHERE id = %s LOCK IN SHARE MODE", (write_id,))
                    return await cursor.fetchone() is not None
            finally:
                connection.close()

    async def _prune(self) -> None:
        """Forget writes whose answer nobody can be waiting for any more."""
        before = self._world.now() - _KEEP_US
        with suppress(Unavailable):
            await self._retried(lambda tx: tx.run(_PRUNE, before=before), write_id=None)

    async def close(self) -> None:
        for connection in self._idle:
            await connection.ensure_closed()
        self._idle.clear()


def _again(error: BaseException) -> bool:
    if isinstance(error, OSError | EOFError | InterfaceError):
        return True
    code = error.args[0] if error.args else None
    return code in _AGAIN or code in _LOST or (isinstance(error, OperationalError) and code == 0)
