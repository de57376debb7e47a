"""Fixtures that every part may use: a world, and databases of both kinds."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData

from kilostack.core.world import RealWorld
from kilostack.store.database import Database
from kilostack.store.mariadb import MariadbDatabase
from tests.databases import Hint, MariadbServer, mariadb_programs, silent, sqlite_database
from tests.promptness import PromptWorld

MakeDatabase = Callable[..., Awaitable[Database]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need root are left out where there is none, and say so."""
    for item in items:
        if item.get_closest_marker("root") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture
async def world() -> AsyncIterator[RealWorld]:
    """The machine's own clocks and threads, closed after the test; it fails the test whose tasks hold the loop."""
    made = PromptWorld()
    yield made
    await made.close()
    assert made.held == []


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariadbServer]:
    """A MariaDB for this session; tests that need it are skipped where it is not installed."""
    if mariadb_programs() is None:
        pytest.skip("mariadbd and mariadb-install-db are not installed")
    server = MariadbServer()
    yield server
    server.stop()


@pytest.fixture
async def make_sqlite(tmp_path: Path, world: RealWorld) -> AsyncIterator[MakeDatabase]:
    """`await make_sqlite(META, number=1, hint=...)`: a fresh SQLite database with those tables."""
    made: list[Database] = []

    async def make(meta: MetaData, number: int = 1, hint: Hint = silent) -> Database:
        made.append(await sqlite_database(tmp_path / f"{len(made)}.sqlite", world, hint, meta, number))
        return made[-1]

    yield make
    for database in made:
        await database.close()


@pytest.fixture
async def make_mariadb(mariadb_server: MariadbServer, world: RealWorld) -> AsyncIterator[MakeDatabase]:
    """`await make_mariadb(META, number=1, hint=...)`: an empty database on a real server with those tables."""
    made: list[tuple[MariadbDatabase, str, MetaData, int]] = []

    async def make(meta: MetaData, number: int = 1, hint: Hint = silent) -> Database:
        name = await mariadb_server.take(meta, number)
        database = MariadbDatabase(mariadb_server.settings(name), world, hint)
        await database.prepare("test", number, meta)
        made.append((database, name, meta, number))
        return database

    yield make
    for database, name, meta, number in made:
        await database.close()
        await mariadb_server.give_back(name, meta, number)


@pytest.fixture(params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)])
def make_database(request: pytest.FixtureRequest) -> Any:
    """As `make_sqlite` and `make_mariadb`: the test runs once with each."""
    return request.getfixturevalue(f"make_{request.param}")
