"""Databases for tests: a SQLite file, and a real MariaDB that is started once per session."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncmy
from sqlalchemy import MetaData

from kilostack.core.world import World
from kilostack.store.database import Database
from kilostack.store.mariadb import MariadbDatabase, MariadbTx
from kilostack.store.sqlite import SqliteDatabase

Hint = Callable[[str], None]


def silent(topic: str) -> None:
    """A hint that nobody hears."""


def mariadb_programs() -> tuple[str, str] | None:
    """The server and what makes its data directory, or None where they are not installed."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    found = shutil.which("mariadbd", path=path), shutil.which("mariadb-install-db", path=path)
    return None if found[0] is None or found[1] is None else (found[0], found[1])


_SHM = Path("/dev/shm")
_PREFIX = "ks-db-"
_ABANDONED_S = 120


def _clear_abandoned(place: Path) -> None:
    """Remove what killed tests left behind: directories whose server has ended, or never began."""
    for directory in place.glob(f"{_PREFIX}*"):
        with suppress(OSError, ValueError):
            try:
                alive = Path(f"/proc/{int((directory / 'pid').read_text())}").exists()
            except FileNotFoundError:
                alive = time.time() - directory.stat().st_mtime < _ABANDONED_S
            if not alive:
                shutil.rmtree(directory, ignore_errors=True)


class MariadbServer:
    """One server on a unix socket of its own. What it writes survives its clients, not the machine."""

    def __init__(self, *extra: str) -> None:
        programs = mariadb_programs()
        assert programs is not None
        place = _SHM if os.access(_SHM, os.W_OK) else Path(tempfile.gettempdir())
        _clear_abandoned(place)
        self.directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        self.socket = self.directory / "s"
        data = self.directory / "data"
        user = [f"--user={'root' if os.getuid() == 0 else os.environ.get('USER', 'mysql')}"]
        installed = subprocess.run(
            [programs[1], "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", *user],
            capture_output=True,
        )
        assert installed.returncode == 0, installed.stderr
        self._log = (self.directory / "log").open("wb")
        self._process = subprocess.Popen(
            [
                # the server ends with the tests, even when they are killed
                *([setpriv, "--pdeathsig", "KILL"] if (setpriv := shutil.which("setpriv")) else []),
                programs[0],
                "--no-defaults",
                f"--pid-file={self.directory / 'pid'}",
                f"--datadir={data}",
                f"--socket={self.socket}",
                "--skip-networking",
                *user,
                "--innodb-flush-log-at-trx-commit=0",
                "--innodb-flush-method=nosync",
                "--innodb-buffer-pool-size=32M",
                "--innodb-log-file-size=16M",
                "--max-connections=200",
                *extra,
            ],
            stdout=self._log,
            stderr=self._log,
        )
        self._used: dict[tuple[int, int], list[str]] = defaultdict(list)
        self._number = 0
        self._kept: list[MetaData] = []
        self._await_socket()

    def _await_socket(self) -> None:
        deadline = time.monotonic() + 60
        while not self.socket.exists():
            log = self.directory / "log"
            assert self._process.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < deadline, "mariadbd did not start within 60 s"
            time.sleep(0.02)

    def settings(self, database: str = "", socket: Path | None = None) -> dict[str, Any]:
        """Connection arguments of asyncmy."""
        settings = {"unix_socket": str(socket or self.socket), "user": "root"}
        return settings | ({"database": database} if database else {})

    async def execute(self, *statements: str, database: str = "") -> None:
        connection = await asyncmy.connect(**self.settings(database), autocommit=True)
        try:
            async with connection.cursor() as cursor:
                for statement in statements:
                    await cursor.execute(statement)
        finally:
            await connection.ensure_closed()

    async def take(self, meta: MetaData, number: int) -> str:
        """The name of a database that is empty, or has the tables of `meta` and no rows."""
        if self._used[id(meta), number]:
            return self._used[id(meta), number].pop()
        self._number += 1
        name = f"test{self._number}"
        await self.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return name

    async def give_back(self, name: str, meta: MetaData, number: int) -> None:
        """Remove all rows, so that the next test starts with an empty database at little cost."""
        tables = [table.name for table in meta.sorted_tables] + ["writes"]
        await self.execute(*(f"DELETE FROM `{table}`" for table in tables), database=name)
        self._kept.append(meta)
        self._used[id(meta), number].append(name)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()
        shutil.rmtree(self.directory, ignore_errors=True)


async def sqlite_database(path: Path, world: World, hint: Hint, meta: MetaData, number: int) -> Database:
    """A prepared SQLite database."""
    database = SqliteDatabase(path, world, hint)
    database.prepare("test", number, meta)
    return database


class ByHand:
    """A transaction on a connection of its own, driven statement by statement: what a second process would do."""

    def __init__(self, connection: Any, cursor: Any) -> None:
        self._connection, self._cursor = connection, cursor
        self.tx = MariadbTx(cursor)

    async def begin(self) -> None:
        await self._cursor.execute("START TRANSACTION")

    async def commit(self) -> None:
        await self._cursor.execute("COMMIT")

    async def rollback(self) -> None:
        await self._cursor.execute("ROLLBACK")


@asynccontextmanager
async def by_hand(database: Database) -> AsyncIterator[ByHand]:
    """An open transaction of `database` (a MariaDB one); rolled back at the end unless it was committed."""
    assert isinstance(database, MariadbDatabase)
    connection = await database._connect()
    try:
        async with connection.cursor() as cursor:
            hand = ByHand(connection, cursor)
            await hand.begin()
            yield hand
            await hand.rollback()
    finally:
        connection.close()
