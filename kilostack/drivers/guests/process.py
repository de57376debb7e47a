"""QEMU processes: started so that they outlive us, found again by what /proc says, never by a number alone."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kilostack.drivers.guests import faults
from kilostack.drivers.guests.port import GuestFault

_STARTING = "starting the guest"


def name_argument(guest_id: str, boot: int) -> str:
    """The value of QEMU's -name, by which a process is known for a guest's, and for which of its boots."""
    return f"guest={guest_id}/{boot},debug-threads=on"


def environment() -> dict[str, str]:
    """What programs of ours are given: where programs are, and messages in a language that `faults` reads."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


@dataclass(frozen=True, slots=True)
class Process:
    """A running QEMU of a guest."""

    pid: int
    boot: int


def _of(pid: int, guest_id: str) -> Process | None:
    """The process `pid`, if it is this guest's QEMU."""
    try:
        argv = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return None
    for before, argument in itertools.pairwise(argv):
        if before == "-name" and argument.startswith(f"guest={guest_id}/"):
            return Process(pid, int(argument.split("/", 1)[1].split(",", 1)[0]))
    return None


def find(guest_id: str, pid_file: Path) -> Process | None:
    """The guest's process. A stale process id that another program has by now is nobody's."""
    try:
        return _of(int(pid_file.read_text()), guest_id)
    except (OSError, ValueError):
        return None


def scan(guest_id: str) -> list[Process]:
    """Every process of the guest, also one that was cut off before it wrote its id. Looks at the whole machine."""
    found = (_of(int(entry), guest_id) for entry in os.listdir("/proc") if entry.isdigit())
    return [process for process in found if process is not None]


def spawn(argv: Sequence[str], errors: Path) -> int:
    """Start a program in a session of its own, with nothing of ours open; returns its process id."""
    program = shutil.which(argv[0])
    if program is None:
        raise GuestFault(faults.NO_HYPERVISOR)
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, str(errors), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
    ]
    try:
        return os.posix_spawn(
            program,
            list(argv),
            environment(),
            file_actions=actions,
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
        )
    except OSError as error:
        raise faults.from_os(error, _STARTING) from error


class Watch:
    """Waits for the end of one process, ours or not. The process cannot be mistaken for a later one."""

    def __init__(self, pid: int) -> None:
        """Raises `ProcessLookupError` when there is no such process."""
        self.pid = pid
        self._fd: int | None = os.pidfd_open(pid)
        self._ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._fd, self._on_end)

    def _on_end(self) -> None:
        self.close()
        with contextlib.suppress(ChildProcessError):  # an earlier process of ours may have started it
            os.waitpid(self.pid, os.WNOHANG)
        self._ended.set()

    @property
    def has_ended(self) -> bool:
        return self._ended.is_set()

    async def wait(self) -> None:
        await self._ended.wait()

    def kill(self) -> None:
        if self._fd is not None:
            with contextlib.suppress(ProcessLookupError):  # it ended just now; the event is on its way
                signal.pidfd_send_signal(self._fd, signal.SIGKILL)

    def close(self) -> None:
        """Stop watching."""
        if self._fd is not None:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None


async def kill(process: Process, guest_id: str) -> None:
    """Kill the process, if it is still the guest's, and wait until it is gone."""
    try:
        watch = Watch(process.pid)
    except ProcessLookupError:
        return
    try:
        if _of(process.pid, guest_id) is not None:
            watch.kill()
            await watch.wait()
    finally:
        watch.close()
