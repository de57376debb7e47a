"""The audit log: appended in order by any number of processes, and whatever is done to it shows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import delete, insert, text, update

from kilostack.core.audit import Chain
from kilostack.core.vault import Vault
from kilostack.store import audit
from kilostack.store.database import Database, Tx
from kilostack.store.sql import Query
from tests.conftest import MakeDatabase

CHAIN = Chain(Vault(b"k" * 32).digest)
RECORDS, HEAD = audit.META.tables["audit_records"], audit.META.tables["audit_head"]


@pytest.fixture
async def database(make_database: MakeDatabase) -> Database:
    return await make_database(audit.META)


async def _append(database: Database, *texts: str, chain: Chain = CHAIN) -> None:
    async def unit(tx: Tx) -> None:
        await audit.append(tx, chain, texts)

    await database.write(unit)


async def _ten(database: Database) -> audit.Verified:
    for first in range(0, 10, 3):
        await _append(database, *(f"record {number}" for number in range(first, min(first + 3, 10))))
    return await audit.verify(database, CHAIN)


async def _do(database: Database, *statements: object) -> None:
    async def unit(tx: Tx) -> None:
        for statement in statements:
            await tx.run(Query(statement))  # type: ignore[arg-type]

    await database.write(unit)


async def _problems(database: Database) -> Sequence[str]:
    return (await audit.verify(database, CHAIN)).problems


async def test_an_empty_log_is_whole(database: Database) -> None:
    assert await audit.verify(database, CHAIN) == audit.Verified(0, 0, "", [])


async def test_records_come_back_in_order(database: Database) -> None:
    found = await _ten(database)
    assert (found.records, found.last, found.problems) == (10, 10, [])
    rows = await database.read(lambda tx: audit.page_after(tx, 0))
    assert [(row.seq, row.text) for row in rows] == [(number + 1, f"record {number}") for number in range(10)]
    newest = await database.read(lambda tx: audit.page_before(tx, 10))
    assert [row.seq for row in newest] == list(range(9, 0, -1))


async def test_many_append_at_once(database: Database) -> None:
    await _append(database, "first")
    await asyncio.gather(*(_append(database, f"{number}a", f"{number}b") for number in range(20)))
    found = await audit.verify(database, CHAIN)
    assert (found.records, found.problems) == (41, [])
    rows = await database.read(lambda tx: audit.page_after(tx, 1))
    pairs = [(rows[at].text, rows[at + 1].text) for at in range(0, 40, 2)]
    assert sorted(pairs) == sorted((f"{number}a", f"{number}b") for number in range(20))


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        ([update(RECORDS).where(RECORDS.c.seq == 4).values(record="else")], "record 4 was changed"),
        ([update(RECORDS).where(RECORDS.c.seq == 4).values(link="0" * 64)], "record 4 was changed"),
        ([delete(RECORDS).where(RECORDS.c.seq == 4)], "record 4 is missing"),
        ([delete(RECORDS).where(RECORDS.c.seq < 4)], "records 1 to 3 are missing"),
        ([delete(RECORDS).where(RECORDS.c.seq > 7)], "records 8 to 10 are missing"),
        ([delete(RECORDS)], "records 1 to 10 are missing"),
        ([insert(RECORDS).values(seq=11, record="else", link="0" * 64)], "record 11 was changed, or put in"),
        (
            [
                update(RECORDS).where(RECORDS.c.seq == 10).values(seq=11),
                update(RECORDS).where(RECORDS.c.seq == 9).values(seq=10),
                insert(RECORDS).values(seq=9, record="else", link="0" * 64),
            ],
            "record 9 was changed, or put in",
        ),
        (
            [
                delete(RECORDS).where(RECORDS.c.seq == 4),
                *(update(RECORDS).where(RECORDS.c.seq == number).values(seq=number - 1) for number in range(5, 11)),
            ],
            "record 4 was changed",
        ),
        (
            # the end of the log moved along with what was cut off
            [
                delete(RECORDS).where(RECORDS.c.seq > 7),
                update(HEAD).values(seq=7, link=text("(SELECT link FROM audit_records WHERE seq = 7)")),
            ],
            "the end of the log (record 7) was not written by the cloud",
        ),
        ([delete(HEAD)], "the log has records and no end"),
    ],
)
async def test_whatever_is_done_to_it_shows(database: Database, statements: list[object], told: str) -> None:
    await _ten(database)
    await _do(database, *statements)
    problems = await _problems(database)
    assert problems and told in problems[0]


async def test_nobody_without_the_key_can_append(database: Database) -> None:
    await _ten(database)
    await _append(database, "else", chain=Chain(Vault(b"x" * 32).digest))
    assert "record 11 was changed, or put in by somebody else" in await _problems(database)


async def test_a_log_that_was_put_back_is_found_by_what_was_noted(database: Database) -> None:
    await _append(database, "one", "two")
    older = await audit.verify(database, CHAIN)
    await _append(database, "three")
    noted = await audit.verify(database, CHAIN)
    await _append(database, "four")
    assert (await audit.verify(database, CHAIN, (noted.last, noted.link))).problems == []
    head = Query(update(HEAD).values(seq=older.last, link=older.link, seal=CHAIN.seal(older.last, older.link)))
    await _do(database, delete(RECORDS).where(RECORDS.c.seq > 2))
    await database.write(lambda tx: tx.run(head))
    assert await _problems(database) == []
    after = await audit.verify(database, CHAIN, (noted.last, noted.link))
    assert after.problems == ["record 3 is not the one that was noted"]
