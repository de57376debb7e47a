"""SQLite alone: groups of units, what a crash leaves, a full disk, another process in the way, a process that ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from kilostack.core import errors
from kilostack.core.world import RealWorld
from kilostack.store.database import Tx
from kilostack.store.sql import Query, p
from kilostack.store.sqlite import SqliteDatabase
from tests.store import things
from tests.store.things import FEED, META, RECORDS, Thing


class HeldWorld(RealWorld):
    """Threads wait until they are let go, so that a group can be caught in the middle of its COMMIT."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.go.set()
        self.commits = 0

    async def in_thread(self, call: Any, *args: Any) -> Any:
        self.commits += 1

        def held() -> Any:
            self.go.wait(30)
            return call(*args)

        return await super().in_thread(held)


def _open(path: Path, world: RealWorld, heard: list[str] | None = None) -> SqliteDatabase:
    database = SqliteDatabase(path, world, (heard if heard is not None else []).append)
    database.prepare("test", 1, META)
    return database


def _adding(name: str) -> Any:
    async def unit(tx: Tx) -> str:
        await RECORDS.insert(tx, Thing(id=name, name=name))
        await FEED.append(tx, [name])
        return name

    return unit


async def test_one_bad_unit_leaves_its_group_alone(tmp_path: Path) -> None:
    world, heard = HeldWorld(), list[str]()
    database = _open(tmp_path / "a.db", world, heard)

    async def refused(tx: Tx) -> None:
        await RECORDS.insert(tx, Thing(id="x", name="refused"))
        tx.hint("never")
        raise errors.Conflict("no")

    async def wrong(tx: Tx) -> None:
        await RECORDS.insert(tx, Thing(id="y", name="wrong"))
        await tx.one(Query(select(things.THINGS.c.id).where(things.THINGS.c.id == p("not given"))))

    async def waits(tx: Tx) -> None:
        await RECORDS.insert(tx, Thing(id="z", name="waits"))
        await asyncio.sleep(0)

    units = [_adding("a"), refused, _adding("b"), wrong, _adding("a"), waits, _adding("c")]
    before = world.commits
    answers = await asyncio.gather(*(database.write(unit) for unit in units), return_exceptions=True)
    assert world.commits - before == 1, "one group, one sync"
    kinds = [answer if isinstance(answer, str) else type(answer) for answer in answers]
    assert kinds == ["a", errors.Conflict, "b", KeyError, errors.Duplicate, RuntimeError, "c"]
    assert await things.names(database) == {"a", "b", "c"}
    assert heard == ["test.feed"]
    await database.close()
    await world.close()


async def test_a_statement_that_is_wrong_is_a_bug_not_unavailable(tmp_path: Path, world: RealWorld) -> None:
    database = _open(tmp_path / "a.db", world)
    other = MetaDataOfAnotherSchema()
    for work in (database.read, database.write):
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            await work(lambda tx: tx.one(other.query))
    await things.insert(database, Thing(id="1", name="a"))
    await database.close()


class MetaDataOfAnotherSchema:
    def __init__(self) -> None:
        from sqlalchemy import MetaData, Table

        from kilostack.store import sql

        table = Table("elsewhere", MetaData(), sql.uuid("id", key=True))
        self.query = Query(select(table.c.id))


async def test_nothing_is_answered_or_seen_before_its_commit(tmp_path: Path) -> None:
    world = HeldWorld()
    database = _open(tmp_path / "a.db", world)
    world.go.clear()
    first = asyncio.create_task(database.write(_adding("a")))
    refused = asyncio.create_task(database.write(_adding("a")))
    await asyncio.sleep(0.05)
    later = asyncio.create_task(database.write(_adding("b")))
    await asyncio.sleep(0.05)
    assert not first.done() and not refused.done() and not later.done()
    assert await things.names(database) == set()
    world.go.set()
    assert await first == "a"
    with pytest.raises(errors.Duplicate):
        await refused
    assert await later == "b"
    await database.close()
    await world.close()


async def test_a_caller_that_gives_up_harms_nobody(tmp_path: Path) -> None:
    world = HeldWorld()
    database = _open(tmp_path / "a.db", world)
    world.go.clear()
    first = asyncio.create_task(database.write(_adding("a")))
    await asyncio.sleep(0.05)
    waiting = asyncio.create_task(database.write(_adding("b")))
    await asyncio.sleep(0)
    first.cancel()
    waiting.cancel()
    third = asyncio.create_task(database.write(_adding("c")))
    await asyncio.sleep(0)
    world.go.set()
    assert await third == "c"
    assert await things.names(database) == {"a", "c"}, "what had begun is done, what had not is not"
    await database.close()
    await world.close()


async def test_when_the_process_ends_nobody_waits_for_ever(tmp_path: Path) -> None:
    world = HeldWorld()
    database = _open(tmp_path / "a.db", world)
    world.go.clear()
    first = asyncio.create_task(database.write(_adding("a")))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(database.write(_adding("b")))
    await asyncio.sleep(0)
    threading.Timer(0.1, world.go.set).start()
    await world.close()
    async with asyncio.timeout(5):
        answers = await asyncio.gather(first, second, return_exceptions=True)
    assert all(isinstance(answer, asyncio.CancelledError) for answer in answers)
    await database.close()


async def test_another_process_holds_the_file(tmp_path: Path, world: RealWorld) -> None:
    database = _open(tmp_path / "a.db", world)
    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(database.write(_adding("a")))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    assert await things.names(database) == set(), "readers are not in the way"
    other.execute("ROLLBACK")
    assert await waiting == "a"
    other.close()
    await database.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(path)], check=True)
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.mark.root
async def test_a_full_disk_is_told_and_what_was_acknowledged_stays(small_disk: Path, world: RealWorld) -> None:
    (small_disk / "other").write_bytes(b"x" * 6_000_000)
    database = _open(small_disk / "a.db", world)
    done: set[str] = set()

    async def big(tx: Tx, name: str) -> None:
        await RECORDS.insert(tx, Thing(id=name, name=name, tags=("x" * 200_000,)))

    refused = 0
    for round_ in range(12):
        names = [f"{round_}-{at}" for at in range(2)]
        answers = await asyncio.gather(
            *(database.write(lambda tx, name=name: big(tx, name)) for name in names), return_exceptions=True
        )
        for name, answer in zip(names, answers, strict=True):
            assert answer is None or isinstance(answer, errors.Unavailable), answer
            refused += answer is not None
            done |= {name} if answer is None else set()
    assert refused and done
    assert await things.names(database) == done
    (small_disk / "other").unlink()
    await database.write(lambda tx: RECORDS.delete_where(tx, owner="o"))
    assert await things.names(database) == set(), "with room again, it goes on"
    await database.close()


_WRITER = """
import asyncio, sys
from pathlib import Path
from kilostack.core.world import RealWorld
from kilostack.store.sqlite import SqliteDatabase
from tests.store.things import META, RECORDS, Thing

async def main():
    world = RealWorld()
    database = SqliteDatabase(Path(sys.argv[1]), world)
    database.prepare("test", 1, META)
    async def write(worker):
        for number in range(1_000_000):
            name = f"{worker}-{number}"
            await database.write(lambda tx: RECORDS.insert(tx, Thing(id=name, name=name)))
            sys.stdout.write(name + "\\n")
            sys.stdout.flush()
    await asyncio.gather(*(write(worker) for worker in range(8)))

asyncio.run(main())
"""


def _killed_writer(path: Path) -> list[str]:
    """The names that a process had acknowledged when it was killed in the middle of its work."""
    child = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], text=True
    )
    assert child.stdout is not None
    acknowledged = [child.stdout.readline().strip() for _ in range(400)]
    os.kill(child.pid, signal.SIGKILL)
    acknowledged += [line.strip() for line in child.stdout if line.endswith("\n")]
    child.wait()
    child.stdout.close()
    return acknowledged


async def test_what_was_acknowledged_outlives_kill_nine(tmp_path: Path, world: RealWorld) -> None:
    acknowledged = _killed_writer(tmp_path / "a.db")
    database = SqliteDatabase(tmp_path / "a.db", world)
    assert not database.prepare("test", 1, META)
    found = await things.names(database)
    assert len(acknowledged) >= 400
    assert set(acknowledged) <= found
    assert len(found) <= len(acknowledged) + 8, "at most what was under way in each worker"
    await database.close()
