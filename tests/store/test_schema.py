"""Fresh databases and those of other releases."""

from __future__ import annotations

import pytest

from kilostack.core.world import RealWorld
from kilostack.store.mariadb import MariadbDatabase
from kilostack.store.schema import WrongSchema, ddl
from kilostack.store.sqlite import SqliteDatabase
from tests.databases import MariadbServer
from tests.store import things
from tests.store.things import META, Thing


async def test_sqlite_knows_its_number(tmp_path: object, world: RealWorld) -> None:
    database = SqliteDatabase(tmp_path / "a.db", world)  # type: ignore[operator]
    assert database.prepare("compute", 2, META)
    assert not database.prepare("compute", 2, META)
    with pytest.raises(WrongSchema, match="written by a newer kilostack; this release knows 1"):
        database.prepare("compute", 1, META)
    with pytest.raises(WrongSchema, match="no migration"):
        database.prepare("compute", 3, META)
    await database.close()


@pytest.mark.mariadb
async def test_mariadb_knows_its_number(mariadb_server: MariadbServer, world: RealWorld) -> None:
    await mariadb_server.execute("CREATE DATABASE numbers CHARACTER SET utf8mb4")
    database = MariadbDatabase(mariadb_server.settings("numbers"), world)
    assert await database.prepare("compute", 2, META)
    assert not await database.prepare("compute", 2, META)
    with pytest.raises(WrongSchema, match="newer"):
        await database.prepare("compute", 1, META)
    await database.close()
    await mariadb_server.execute("DROP DATABASE numbers")


@pytest.mark.mariadb
async def test_mariadb_goes_on_where_making_the_tables_was_cut_off(
    mariadb_server: MariadbServer, world: RealWorld
) -> None:
    """Each of its CREATE statements commits by itself, so a crash leaves some of them done."""
    statements = ddl(META, "mariadb")
    for done in range(len(statements) + 1):
        await mariadb_server.execute("CREATE DATABASE half CHARACTER SET utf8mb4")
        await mariadb_server.execute(*statements[:done], database="half")
        database = MariadbDatabase(mariadb_server.settings("half"), world)
        assert await database.prepare("compute", 1, META)
        await things.insert(database, Thing(id="1", name="a"))
        assert await things.names(database) == {"a"}
        await database.close()
        await mariadb_server.execute("DROP DATABASE half")
