"""`kilostack status`: every process of the cloud, and whether it is well."""

from __future__ import annotations

import argparse
import os
from typing import Any

from kilostack.cli import cloud, state
from kilostack.cli.failure import Failure
from kilostack.cli.output import show
from kilostack.cli.owner import assume, who_typed
from kilostack.cli.program import Program
from kilostack.core.settings import Settings

COLUMNS = ("role", "host", "pid", "healthy", "address", "restarts")

#: Exit codes: all is well, something is not, nothing runs.
WELL, UNWELL, DOWN = 0, 1, 3


def run(args: argparse.Namespace, program: Program) -> int:
    """List the processes; the exit code says whether all are well."""
    owner = who_typed(os.environ)
    assume(owner)
    settings = state.find(args, owner)
    status = None if settings is None else cloud.supervisor_status(settings)
    if settings is None or status is None:
        if args.format == "json":
            show([], COLUMNS, "json")
            return DOWN
        raise Failure("no cloud is running" if settings is None else f"cloud {settings.name} is down", code=DOWN)
    rows = _rows(settings, status)
    show(rows, COLUMNS, args.format)
    return WELL if all(row["healthy"] for row in rows) else UNWELL


def _rows(settings: Settings, status: dict[str, Any]) -> list[dict[str, Any]]:
    supervisor = {
        "role": "supervisor",
        "name": "supervisor",
        "host": None,
        "pid": status["pid"],
        "healthy": status["phase"] == "running",
        "address": str(settings.run.supervisor_socket),
        "serves": [],
        "restarts": 0,
        "build": status["build"],
    }
    rows = [supervisor, *status["children"]]
    answers = cloud.readiness(settings).answers
    for row in rows:
        if row["role"] == "control-plane":
            row["healthy"] = bool(row["healthy"] and answers)
    return rows
