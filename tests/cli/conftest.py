"""Clouds of the stand-in program, each with a home, a port and processes of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kilostack.core.paths import ROOT_RUN_DIR, default_run_dir

STAND_IN = Path(__file__).with_name("stand_in.py")
DEADLINE_S = 60.0

Done = subprocess.CompletedProcess[str]


class Shell:
    """A person with a fresh home who types `kilostack`."""

    def __init__(self, home: Path, argv: tuple[str, ...] = (sys.executable, "-I", str(STAND_IN))) -> None:
        self.home = home
        self.argv = argv
        self.environment = {"HOME": str(home), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}

    def type(self, *args: str, code: int | None = 0) -> Done:
        """Run one command to its end; `code` is the exit code that it must have."""
        done = subprocess.run(
            [*self.argv, *args], env=self.environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False
        )
        assert code is None or done.returncode == code, f"{args}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def status(self, *args: str) -> list[dict[str, Any]]:
        """The rows of `status`."""
        rows: list[dict[str, Any]] = json.loads(self.type("status", "-f", "json", *args, code=None).stdout)
        return rows

    def pid(self, role: str, *args: str) -> int:
        """The process of the first row with this role."""
        found: int = next(row["pid"] for row in self.status(*args) if row["role"] == role)
        return found

    @property
    def state_dir(self) -> Path:
        return self.home / ".local/state/kilostack/kilostack"

    @property
    def clouds_yaml(self) -> Path:
        return self.home / ".config/openstack/clouds.yaml"

    def ran(self, state_dir: Path | None = None) -> list[dict[str, Any]]:
        """What the stand-ins noted at their start, oldest first."""
        file = (state_dir or self.state_dir) / "ran"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def wait_until(true: Callable[[], bool], what: str) -> None:
    """Wait for a state, with a deadline."""
    until = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < until, f"never came: {what}"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def run_dir_of(state_dir: Path) -> Path:
    """Where a cloud that this user starts there has its sockets."""
    return default_run_dir(state_dir, uid=os.getuid(), as_root=os.getuid() == 0, environ={})


@pytest.fixture
def port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A person; whatever they have started is gone after the test."""
    home = tmp_path / "home"
    home.mkdir()
    made = Shell(home)
    yield made
    sweep(tmp_path)


def sweep(below: Path) -> None:
    """Kill every process that has a path under this directory among its arguments; remove its sockets."""
    _kill(below)
    for file in below.rglob("settings.json"):
        with suppress(ValueError, KeyError):
            run_dir = Path(json.loads(file.read_text())["run_dir"])
            shutil.rmtree(run_dir, ignore_errors=True)
            with suppress(OSError):
                if run_dir.parent == ROOT_RUN_DIR:
                    run_dir.parent.rmdir()


def _kill(below: Path) -> None:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                arguments = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if any(argument.startswith(str(below)) for argument in arguments):
                os.kill(int(entry.name), signal.SIGKILL)
                wait_until(lambda pid=int(entry.name): not is_alive(pid), "the end of a process")  # type: ignore[misc]
