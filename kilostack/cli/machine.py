"""What the machine knows of its processes and ports.

A process id alone names nothing: it may have been given to another process since. A process is meant by its id, the
time at which it started, and the boot in which it did.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """One process, never to be taken for another."""

    pid: int
    started: str

    def is_alive(self) -> bool:
        return start_of(self.pid) == self.started

    def kill(self, deadline_s: float = 10.0) -> bool:
        """Kill it and wait until it is gone; False when it would not go."""
        until = time.monotonic() + deadline_s
        while self.is_alive():
            try:
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                return True
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True


def boot() -> str:
    """A name for the time since the machine started; empty where there is none to be had."""
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def start_of(pid: int) -> str:
    """When the process started, in whatever unit; empty when there is none or only its remains."""
    if not (_PROC / "self").exists():
        found = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return found.stdout.strip()
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def process(pid: int) -> Process:
    """The process that has this id now."""
    return Process(pid, start_of(pid))


def command_line(pid: int) -> str:
    """What the process was started with; empty when that cannot be read."""
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def holder_of_port(port: int) -> int | None:
    """The process that listens on a TCP port, as far as this user may see it."""
    sockets = _listening(port)
    if not sockets:
        return None
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and sockets & _open_sockets(entry):
            return int(entry.name)
    return None


def _listening(port: int) -> set[str]:
    found = set()
    for table in ("net/tcp", "net/tcp6"):
        try:
            lines = (_PROC / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(f"socket:[{fields[9]}]")
    return found


def _open_sockets(entry: Path) -> set[str]:
    found = set()
    with suppress(OSError):
        for link in (entry / "fd").iterdir():
            with suppress(OSError):  # closed since it was listed
                found.add(os.readlink(link))
    return found
