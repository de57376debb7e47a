"""The list of processes that a supervisor leaves on disk, for whoever comes after it when it was killed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from kilostack.cli.machine import Process, boot


def write(path: Path, processes: Iterable[Process]) -> None:
    """Replace the list."""
    text = json.dumps({"boot": boot(), "processes": [[one.pid, one.started] for one in processes]})
    new = path.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    os.replace(new, path)


def read(path: Path) -> list[Process]:
    """The processes on the list that may still live: none after a reboot, none from a list that makes no sense."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        found = json.loads(path.read_text())
        if found["boot"] == boot():
            return [Process(int(pid), str(started)) for pid, started in found["processes"] if started]
    return []


def bury(path: Path) -> list[Process]:
    """Kill what a dead supervisor left running, so that nothing runs twice; returns what was still there."""
    left = [one for one in read(path) if one.is_alive()]
    for one in left:
        one.kill()
    return left
