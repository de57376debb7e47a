"""`kilostack audit`: who changed what, and whether somebody changed that."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from datetime import UTC, datetime
from typing import Any

from kilostack.cli import state
from kilostack.cli.failure import Failure
from kilostack.cli.output import show
from kilostack.cli.owner import assume, who_typed
from kilostack.cli.program import Program
from kilostack.core.audit import Chain
from kilostack.core.settings import Settings
from kilostack.core.vault import Vault, WrongMasterKey
from kilostack.core.world import RealWorld
from kilostack.store import audit as store
from kilostack.store.database import Database
from kilostack.store.schema import DamagedDatabase, WrongSchema
from kilostack.store.sqlite import SqliteDatabase

COLUMNS = ("record", "at", "user", "action", "target", "status", "outcome", "address")
#: Exit code when somebody touched the log.
TOUCHED = 2


def run(args: argparse.Namespace, program: Program) -> int:
    """Do it for the cloud that the arguments mean, running or not."""
    owner = who_typed(os.environ)
    assume(owner)
    settings = state.find(args, owner)
    file = None if settings is None else settings.state.databases / "audit.db"
    if settings is None or file is None or not file.exists():
        raise Failure("there is no such cloud, or it never ran", "Start one with `kilostack up`.")
    try:
        return asyncio.run(_run(args, settings))
    except (DamagedDatabase, WrongSchema, WrongMasterKey) as error:
        raise Failure(str(error)) from None


async def _run(args: argparse.Namespace, settings: Settings) -> int:
    world = RealWorld()
    db = SqliteDatabase(settings.state.databases / "audit.db", world)
    try:
        db.prepare("audit", store.SCHEMA_NUMBER, store.META)
        if args.action == "verify":
            return await _verify(args, settings, db)
        show(await _newest(args, db), COLUMNS, args.format)
        return 0
    finally:
        await db.close()
        await world.close()


async def _verify(args: argparse.Namespace, settings: Settings, db: Database) -> int:
    try:
        chain = Chain(Vault(settings.state.master_key.read_bytes()).digest)
    except OSError as error:
        raise Failure(
            f"{error.filename}: {error.strerror}", "The log can be verified with the master key only."
        ) from None
    found = await store.verify(db, chain, _noted(args.noted))
    if args.format == "json":
        print(json.dumps({"records": found.records, "newest": _note(found), "problems": found.problems}, indent=2))
    else:
        for problem in found.problems:
            print(problem)
        print(f"{found.records} records, {'as they were written' if not found.problems else 'touched'}.")
        if found.last and not found.problems:
            print(f"The newest is {_note(found)}: note it elsewhere, and verify with --noted later.")
    return TOUCHED if found.problems else 0


def _note(found: store.Verified) -> str:
    return f"{found.last}:{found.link}"


def _noted(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    number, _, link = text.partition(":")
    if not number.isdigit() or not link:
        raise Failure(f"--noted {text!r}: use N:LINK, as `kilostack audit verify` prints it")
    return int(number), link


async def _newest(args: argparse.Namespace, db: Database) -> list[dict[str, Any]]:
    """The newest records that are asked for, oldest first."""
    found: list[dict[str, Any]] = []
    before = 1 << 62
    while len(found) < args.limit and (
        rows := await db.read(lambda tx, before=before: store.page_before(tx, before))  # type: ignore[misc]
    ):
        for row in rows:
            before = row.seq
            record = json.loads(row.text)
            if len(found) < args.limit and _is_asked(args, record):
                found.append(_shown(row.seq, record))
    return found[::-1]


def _is_asked(args: argparse.Namespace, record: dict[str, Any]) -> bool:
    if args.user not in (None, record.get("user_id")):
        return False
    if args.request not in (None, record["request_id"], record.get("global_request_id")):
        return False
    return args.target is None or args.target in record.get("target", {}).values()


def _shown(seq: int, record: dict[str, Any]) -> dict[str, Any]:
    """For a table the parts that matter; as JSON all of it."""
    at = datetime.fromtimestamp(record["at"] / 1e6, UTC)
    target = record.get("target", {})
    return {
        **record,
        "record": seq,
        "at": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z",
        "user": record.get("user_id"),
        "target": ",".join(f"{name}={value}" for name, value in target.items()) or None,
    }
