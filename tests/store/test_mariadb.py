"""MariaDB alone: lost races, lost answers, lost servers, callers that give up; with real connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from kilostack.core import errors
from kilostack.core.world import RealWorld
from kilostack.store.database import Tx
from kilostack.store.mariadb import MariadbDatabase
from kilostack.store.sql import Query, p
from tests.conftest import MakeDatabase
from tests.databases import MariadbServer, by_hand
from tests.store import things
from tests.store.things import COUNTED, COUNTERS, META, RECORDS, Counter, Thing

pytestmark = pytest.mark.mariadb

_ADD = Query(update(COUNTERS).where(COUNTERS.c.name == p("which")).values(used=COUNTERS.c.used + 1))
_TAKE = Query(
    update(COUNTERS)
    .where(COUNTERS.c.name == p("which"), COUNTERS.c.used < COUNTERS.c.most)
    .values(used=COUNTERS.c.used + 1)
)


async def _counters(database: Any, most: int = 100) -> None:
    async def unit(tx: Tx) -> None:
        await COUNTED.insert(tx, Counter(name="a", used=0, most=most))
        await COUNTED.insert(tx, Counter(name="b", used=0, most=most))

    await database.write(unit)


async def _used(database: Any, name: str = "a") -> int:
    return int((await database.read(lambda tx: COUNTED.get(tx, name=name))).used)


async def test_a_deadlock_runs_the_whole_unit_again(make_mariadb: MakeDatabase) -> None:
    database = await make_mariadb(META)
    await _counters(database)
    runs = 0
    first_done, other_done = asyncio.Event(), asyncio.Event()

    async def unit(tx: Tx) -> None:
        nonlocal runs
        runs += 1
        await RECORDS.insert(tx, Thing(id="1", name="once"))
        await tx.run(_ADD, which="a")
        if runs == 1:
            first_done.set()
            await other_done.wait()
        await tx.run(_ADD, which="b")

    async with by_hand(database) as other:
        work = asyncio.create_task(database.write(unit))
        await first_done.wait()
        # the heavier transaction survives, so the unit is the one that is thrown out
        for number in range(20):
            await RECORDS.insert(other.tx, Thing(id=f"h{number}", name=f"h{number}"))
        await other.tx.run(_ADD, which="b")
        waiting = asyncio.create_task(other.tx.run(_ADD, which="a"))
        await asyncio.sleep(0.05)
        other_done.set()
        async with asyncio.timeout(20):
            await waiting
            await other.commit()
            await work
    assert runs == 2
    assert (await _used(database, "a"), await _used(database, "b")) == (2, 2)
    assert "once" in await things.names(database)


async def test_two_clients_want_the_last_one(make_mariadb: MakeDatabase) -> None:
    """The counter's row is the lock: the second waits for the first, sees its result and is refused."""
    database = await make_mariadb(META)
    await _counters(database, most=1)

    async def take(tx: Tx) -> bool:
        return await tx.run(_TAKE, which="a") == 1

    async with by_hand(database) as first:
        assert await take(first.tx)
        second = asyncio.create_task(database.write(take))
        await asyncio.sleep(0.05)
        assert not second.done()
        await first.commit()
        assert not await second
    assert await _used(database) == 1


async def test_a_record_changed_meanwhile_is_stale(make_mariadb: MakeDatabase) -> None:
    database = await make_mariadb(META)
    await things.insert(database, Thing(id="1", name="a"))
    async with by_hand(database) as other:
        mine = await RECORDS.get(other.tx, id="1")
        await RECORDS.update(other.tx, mine)
        work = asyncio.create_task(database.write(lambda tx: RECORDS.update(tx, mine)))
        await asyncio.sleep(0.05)
        await other.commit()
        with pytest.raises(errors.StaleGeneration):
            await work


class Proxy:
    """Stands before the server's socket and cuts a connection where a test says so."""

    def __init__(self, server: Path, path: Path) -> None:
        self._server, self.path = server, path
        #: looks at each packet of a client; True cuts the connection after the server has answered it
        self.cut_after: Callable[[bytes], bool] = lambda data: False
        #: the same, before the server sees it
        self.cut_before: Callable[[bytes], bool] = lambda data: False
        self.cuts = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_unix_connection(str(self._server))
        cutting = False

        async def down() -> None:
            while data := await up_reader.read(65536):
                if cutting:
                    return
                writer.write(data)

        task = asyncio.create_task(down())
        try:
            while data := await reader.read(65536):
                if self.cut_before(data):
                    self.cuts += 1
                    break
                if self.cut_after(data):
                    self.cuts += 1
                    cutting = True
                    up_writer.write(data)
                    await task
                    break
                up_writer.write(data)
        finally:
            task.cancel()
            writer.close()
            up_writer.close()


@asynccontextmanager
async def _proxied(
    server: MariadbServer, database: Any, world: RealWorld, path: Path
) -> AsyncIterator[tuple[Proxy, MariadbDatabase]]:
    proxy = Proxy(server.socket, path / "p")
    listening = await asyncio.start_unix_server(proxy.serve, str(proxy.path))
    name = database._settings["database"]
    through = MariadbDatabase(server.settings(name, proxy.path), world)
    try:
        yield proxy, through
    finally:
        await through.close()
        listening.close()
        await listening.wait_closed()


def _once(wanted: bytes) -> Callable[[bytes], bool]:
    left = 1

    def look(data: bytes) -> bool:
        nonlocal left
        if left and wanted in data:
            left = 0
            return True
        return False

    return look


@pytest.mark.parametrize("cut", ["after", "before"])
async def test_a_lost_answer_to_commit(
    make_mariadb: MakeDatabase, mariadb_server: MariadbServer, world: RealWorld, tmp_path: Path, cut: str
) -> None:
    """Committed: found by its write id, not run twice. Not committed: run again. Either way it happens once."""
    database = await make_mariadb(META)
    await _counters(database)
    runs = 0

    async def unit(tx: Tx) -> str:
        nonlocal runs
        runs += 1
        await tx.run(_ADD, which="a")
        tx.hint("topic")
        return f"run {runs}"

    async with _proxied(mariadb_server, database, world, tmp_path) as (proxy, through):
        await through.read(lambda tx: COUNTED.get(tx, name="a"))
        setattr(proxy, f"cut_{cut}", _once(b"\x03COMMIT"))
        async with asyncio.timeout(30):
            assert await through.write(unit) == ("run 1" if cut == "after" else "run 2")
        assert proxy.cuts == 1
    assert runs == (1 if cut == "after" else 2)
    assert await _used(database) == 1


async def test_answers_lost_twice_in_a_row(
    make_mariadb: MakeDatabase, mariadb_server: MariadbServer, world: RealWorld, tmp_path: Path
) -> None:
    """What is returned is what was committed, not what an earlier run had made."""
    database = await make_mariadb(META)
    await _counters(database)
    runs = 0

    async def unit(tx: Tx) -> int:
        nonlocal runs
        runs += 1
        await tx.run(_ADD, which="a")
        return runs

    async with _proxied(mariadb_server, database, world, tmp_path) as (proxy, through):
        before, after = _once(b"\x03COMMIT"), _once(b"\x03COMMIT")
        proxy.cut_before = before
        proxy.cut_after = lambda data: runs == 2 and after(data)
        async with asyncio.timeout(30):
            assert await through.write(unit) == 2
        assert proxy.cuts == 2
    assert await _used(database) == 1


async def test_a_server_that_is_away_while_an_answer_is_looked_for(
    make_mariadb: MakeDatabase, mariadb_server: MariadbServer, world: RealWorld, tmp_path: Path
) -> None:
    """The look itself may fail; the unit is not run again before it is known what became of it."""
    database = await make_mariadb(META)
    await _counters(database)
    failures = 0

    async with _proxied(mariadb_server, database, world, tmp_path) as (proxy, through):

        def fail_looks(data: bytes) -> bool:
            nonlocal failures
            if b"FROM writes" in data and failures < 3:
                failures += 1
                return True
            return False

        proxy.cut_after, proxy.cut_before = _once(b"\x03COMMIT"), fail_looks
        async with asyncio.timeout(30):
            await through.write(lambda tx: tx.run(_ADD, which="a"))
    assert failures == 3
    assert await _used(database) == 1


async def test_a_connection_lost_in_the_middle(
    make_mariadb: MakeDatabase, mariadb_server: MariadbServer, world: RealWorld, tmp_path: Path
) -> None:
    database = await make_mariadb(META)
    await _counters(database)
    async with _proxied(mariadb_server, database, world, tmp_path) as (proxy, through):
        for place in (b"START", b"UPDATE", b"INSERT INTO writes"):
            proxy.cut_after = _once(place)
            async with asyncio.timeout(30):
                await through.write(lambda tx: tx.run(_ADD, which="a"))
        assert proxy.cuts == 3
    assert await _used(database) == 3


async def test_a_caller_that_gives_up_stays_given_up(make_mariadb: MakeDatabase) -> None:
    """Its cancellation is not taken for a lost connection, and its connection is not used for somebody else."""
    database = await make_mariadb(META)
    await _counters(database)
    async with by_hand(database) as other:
        await other.tx.run(_ADD, which="a")
        runs = 0

        async def unit(tx: Tx) -> None:
            nonlocal runs
            runs += 1
            await tx.run(_ADD, which="a")

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await database.write(unit)
        await other.commit()
    assert runs == 1
    for _ in range(10):
        assert (await database.read(lambda tx: COUNTED.get(tx, name="b"))).name == "b"
    assert await _used(database) == 1


async def test_no_server_is_unavailable(world: RealWorld, tmp_path: Path) -> None:
    class Fast(RealWorld):
        async def sleep(self, seconds: float) -> None:
            await asyncio.sleep(0)

    database = MariadbDatabase({"unix_socket": str(tmp_path / "none"), "user": "root", "database": "x"}, Fast())
    for work in (database.read, database.write):
        with pytest.raises(errors.Unavailable):
            await work(lambda tx: COUNTED.get(tx, name="a"))


async def test_a_text_that_is_too_long_is_refused_at_once(make_mariadb: MakeDatabase) -> None:
    database = await make_mariadb(META)
    runs = 0

    async def unit(tx: Tx) -> None:
        nonlocal runs
        runs += 1
        await RECORDS.insert(tx, Thing(id="1", name="x" * 300))

    with pytest.raises(errors.BadRequest, match="too large"):
        await database.write(unit)
    assert runs == 1


async def test_old_write_ids_are_forgotten(make_mariadb: MakeDatabase, mariadb_server: MariadbServer) -> None:
    database: Any = await make_mariadb(META)
    name = database._settings["database"]
    await mariadb_server.execute("INSERT INTO writes VALUES ('old', 5)", database=name)
    for number in range(1000):
        await database.write(lambda tx, number=number: RECORDS.insert(tx, Thing(id=str(number), name=str(number))))
    connection = await database._connect()
    async with asyncio.timeout(10), connection.cursor() as cursor:
        while True:
            await cursor.execute("SELECT COUNT(*), SUM(id = 'old') FROM writes")
            if await cursor.fetchone() == (1000, 0):
                break
            await cursor.execute("COMMIT")
            await asyncio.sleep(0.02)
    await connection.ensure_closed()


async def test_many_clients_count_to_the_limit_and_no_further(make_mariadb: MakeDatabase) -> None:
    database = await make_mariadb(META)
    await _counters(database, most=10)

    async def take(tx: Tx) -> bool:
        return await tx.run(_TAKE, which="a") == 1

    took = await asyncio.gather(*(database.write(take) for _ in range(40)))
    assert sum(took) == 10
    assert await _used(database) == 10
