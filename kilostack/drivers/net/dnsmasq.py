"""dnsmasq processes that outlive us: found again by their command line, started again only when that has changed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from kilostack.drivers.net import command

#: Not below a directory of the cloud's owner, which others may not enter: dnsmasq reads its files as nobody.
RUN_DIR = Path("/run/kilostack-net")

_STOP_S = 3.0

#: What every instance gets: no files of the machine, no rights, names only for what listens where we say.
_BASE = (
    "dnsmasq",
    "--conf-file=/dev/null",
    "--user=nobody",
    "--group=nogroup",
    "--no-hosts",
    "--bind-interfaces",
)


def argv(directory: Path, options: Sequence[str]) -> tuple[str, ...]:
    """The command line of the instance that keeps its files in `directory`."""
    return (*_BASE, f"--pid-file={directory / 'pid'}", *options)


def running(directory: Path) -> tuple[int, tuple[str, ...]] | None:
    """Process id and command line of the instance of `directory`; None when it does not run.

    A process id alone proves nothing: it may belong to someone else by now. The command line names our file.
    """
    try:
        pid = int((directory / "pid").read_text(encoding="ascii"))
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    words = tuple(word.decode("utf-8", "replace") for word in line.rstrip(b"\0").split(b"\0"))
    return (pid, words) if f"--pid-file={directory / 'pid'}" in words else None


def ensure(directory: Path, options: Sequence[str], *, namespace: str | None = None, restart: bool = False) -> bool:
    """Have an instance with `options` run in `namespace`; True when it had to be started (again).

    Raises `CommandFailed` when dnsmasq refuses to start.
    """
    wanted = argv(directory, options)
    found = running(directory)
    if found is not None and found[1] == wanted and not restart:
        return False
    if found is not None:
        _stop(found[0])
    # It detaches itself once it listens, so an error is ours to see.
    command.run(wanted, namespace=namespace)
    return True


def reload(directory: Path) -> None:
    """Have the instance read its files of hosts and options again."""
    if (found := running(directory)) is not None:
        _signal(found[0], signal.SIGHUP)


def stop(directory: Path) -> None:
    """End the instance and forget its files."""
    if (found := running(directory)) is not None:
        _stop(found[0])
    if directory.is_dir():
        for file in directory.iterdir():
            file.unlink(missing_ok=True)
        directory.rmdir()


def make_directory(directory: Path) -> None:
    """A directory in which dnsmasq, which runs as nobody, finds the files that it is told of."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        path.chmod(0o711)


def write_if_changed(file: Path, text: str) -> bool:
    """True when `file` did not hold `text`. A reader sees the old text or the new one."""
    try:
        if file.read_text(encoding="utf-8") == text:
            return False
    except FileNotFoundError:
        pass
    fresh = file.with_name(file.name + ".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(0o644)
    fresh.replace(file)
    return True


def _signal(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _stop(pid: int) -> None:
    deadline = time.monotonic() + _STOP_S
    _signal(pid, signal.SIGTERM)
    while time.monotonic() < deadline:
        if not Path(f"/proc/{pid}").exists() or _is_zombie(pid):
            return
        time.sleep(0.005)
    _signal(pid, signal.SIGKILL)


def _is_zombie(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"
