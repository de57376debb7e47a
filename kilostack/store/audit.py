"""The audit log: records that are only ever appended, in a chain that shows what was done to it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import MetaData, Table, insert, select, update

from kilostack.core.audit import Chain
from kilostack.store.database import Database, Tx
from kilostack.store.sql import Query, integer, long_text, p, text

SCHEMA_NUMBER = 1
META = MetaData()
_PAGE = 1000

_HEAD = Table("audit_head", META, integer("id", key=True), integer("seq"), text("link", 64), text("seal", 64))
_RECORDS = Table("audit_records", META, integer("seq", key=True), long_text("record"), text("link", 64))

_head = Query(select(_HEAD.c.seq, _HEAD.c.link, _HEAD.c.seal).where(_HEAD.c.id == 1))
_begin = Query(insert(_HEAD).values(id=1, seq=0, link="", seal=p("seal")))
_advance = Query(update(_HEAD).where(_HEAD.c.id == 1).values(seq=_HEAD.c.seq + p("count")))
_close = Query(update(_HEAD).where(_HEAD.c.id == 1).values(link=p("link"), seal=p("seal")))
_insert = Query(insert(_RECORDS).values(seq=p("seq"), record=p("record"), link=p("link")))
_after = Query(
    select(_RECORDS.c.seq, _RECORDS.c.record, _RECORDS.c.link)
    .where(_RECORDS.c.seq > p("after"))
    .order_by(_RECORDS.c.seq)
    .limit(_PAGE)
)
_before = Query(
    select(_RECORDS.c.seq, _RECORDS.c.record, _RECORDS.c.link)
    .where(_RECORDS.c.seq < p("before"))
    .order_by(_RECORDS.c.seq.desc())
    .limit(_PAGE)
)


class Row(msgspec.Struct, frozen=True):
    """A record as it is kept."""

    seq: int
    text: str
    link: str


async def append(tx: Tx, chain: Chain, texts: Sequence[str]) -> None:
    """Write records, in this order. Locks the head first, so that several processes may append."""
    if await tx.run(_advance, count=len(texts)) != 1:
        await tx.run(_begin, seal=chain.seal(0, ""))
        await tx.run(_advance, count=len(texts))
    head = await tx.one(_head)
    assert head is not None
    last, link = int(head[0]), str(head[1])
    for seq, record in enumerate(texts, last - len(texts) + 1):
        link = chain.link(link, seq, record)
        await tx.run(_insert, seq=seq, record=record, link=link)
    await tx.run(_close, link=link, seal=chain.seal(last, link))


async def page_after(tx: Tx, seq: int) -> list[Row]:
    """Records that follow `seq`, oldest first, not all at once."""
    return [Row(*row) for row in await tx.all(_after, after=seq)]


async def page_before(tx: Tx, seq: int) -> list[Row]:
    """Records that precede `seq`, newest first, not all at once."""
    return [Row(*row) for row in await tx.all(_before, before=seq)]


class Verified(msgspec.Struct, frozen=True):
    """What a look at the whole chain has found."""

    records: int
    #: of the newest record: what to note down elsewhere, to be compared later
    last: int
    link: str
    problems: list[str]


async def verify(db: Database, chain: Chain, noted: tuple[int, str] | None = None) -> Verified:
    """Look at every record. `noted` is the number and link of one that was the newest before; it must still be there.

    Somebody who puts back the whole database as it was before is found only by what was noted elsewhere.
    """
    # the head first: what is appended meanwhile comes after it
    head = await db.read(lambda tx: tx.one(_head))
    last, link = (int(head[0]), str(head[1])) if head else (0, "")
    problems: list[str] = []
    if head and not chain.is_same(chain.seal(last, link), str(head[2])):
        problems.append(f"the end of the log (record {last}) was not written by the cloud")
    at, before, count, at_last = 0, "", 0, ""
    missing_note = noted is not None
    while rows := await db.read(lambda tx, at=at: page_after(tx, at)):  # type: ignore[misc]
        for row in rows:
            if row.seq != at + 1:
                problems.append(_gap(at + 1, row.seq - 1))
            elif not chain.is_same(chain.link(before, row.seq, row.text), row.link):
                problems.append(f"record {row.seq} was changed, or put in by somebody else")
            if noted is not None and row.seq == noted[0]:
                missing_note = not chain.is_same(row.link, noted[1])
            at, before, count = row.seq, row.link, count + 1
            if row.seq == last:
                at_last = row.link
    if at < last:
        problems.append(_gap(at + 1, last))
    elif head is None and at:
        problems.append("the log has records and no end")
    elif at_last != link:
        problems.append(f"record {last} is not the one with which the cloud ended the log")
    if missing_note and noted is not None:
        problems.append(f"record {noted[0]} is not the one that was noted")
    return Verified(count, at, before, problems)


def _gap(first: int, last: int) -> str:
    return f"record {first} is missing" if first == last else f"records {first} to {last} are missing"
