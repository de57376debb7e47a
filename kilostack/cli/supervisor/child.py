"""One child of the supervisor: started, watched, started again after a growing pause when it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from kilostack.cli.machine import Process, process
from kilostack.cli.supervisor.logs import ChildLog
from kilostack.cli.supervisor.spawn import ChildSpec

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 10.0
#: Who ran this long has started well: its next death is the first again.
SETTLED_S = 30.0


class Child:
    """The process of one `ChildSpec`, and what is remembered of those before it."""

    def __init__(self, spec: ChildSpec, log: ChildLog, environment: Mapping[str, str]) -> None:
        self.spec = spec
        self.log = log
        self.process: Process | None = None
        self.restarts = 0
        #: exit code of the last one that ended, negative for a signal; None when none has
        self.last_exit: int | None = None
        self.due_at = 0.0
        #: told to stop its guests and leave; `drained` once it has
        self.draining = False
        self.drained = False
        self.failed_drains = 0
        self._environment = environment
        self._popen: subprocess.Popen[bytes] | None = None
        self._told: signal.Signals | None = None
        self._started_at = 0.0
        #: how long it will wait after its next death
        self.pause_s = FIRST_PAUSE_S

    @property
    def is_running(self) -> bool:
        return self._popen is not None

    @property
    def is_steady(self) -> bool:
        """Running, and not one of a row of quick deaths."""
        return self.is_running and (self.last_exit is None or time.monotonic() - self._started_at > self.pause_s)

    @property
    def output(self) -> int:
        """The descriptor its output comes from."""
        assert self._popen is not None and self._popen.stdout is not None
        return self._popen.stdout.fileno()

    def start(self) -> None:
        """Start it; a program that cannot be started counts as one that died at once."""
        self._started_at = time.monotonic()
        try:
            self._popen = subprocess.Popen(
                self.spec.argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=dict(self._environment),
                cwd="/",
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            self.log.note(f"cannot be started: {error}", "error")
            self._ended(127)
            return
        os.set_blocking(self.output, False)
        self.process = process(self._popen.pid)
        self.log.note(f"started as process {self._popen.pid}")

    def read(self) -> bool:
        """Take what it has written; False when it has closed its output."""
        try:
            data = os.read(self.output, 65536)
        except BlockingIOError:
            return True
        self.log.feed(data)
        return bool(data)

    def signal(self, number: signal.Signals) -> None:
        if self._popen is not None:
            self._told = number
            with suppress(ProcessLookupError):
                self._popen.send_signal(number)

    def has_ended(self) -> bool:
        """Whether it has ended and waits for `bury`."""
        return self._popen is not None and self._popen.poll() is not None

    def bury(self) -> None:
        """Take its last output and its exit code; `due_at` then says when it should be started again."""
        assert self._popen is not None and self._popen.stdout is not None
        while self._read_rest():
            pass
        code = self._popen.wait()
        self._popen.stdout.close()
        self._popen = None
        self.process = None
        self.log.end()
        self._ended(code)

    def _read_rest(self) -> bool:
        """One more piece of what a dead child had written. Its own children may hold the pipe open: never wait."""
        try:
            data = os.read(self.output, 65536)
        except BlockingIOError:
            return False
        self.log.feed(data)
        return bool(data)

    def _ended(self, code: int) -> None:
        if time.monotonic() - self._started_at > SETTLED_S:
            self.pause_s = FIRST_PAUSE_S
        self.last_exit = code
        self.restarts += 1
        self.due_at = time.monotonic() + self.pause_s
        self.pause_s = min(self.pause_s * 2, LONGEST_PAUSE_S)
        expected = code == 0 or (self._told is not None and code == -self._told)
        self.log.note(f"ended: {describe_exit(code)}", "info" if expected else "error")

    def row(self) -> dict[str, Any]:
        """What `status` shows of it."""
        return {
            "role": self.spec.role,
            "name": self.spec.name,
            "host": self.spec.host,
            "pid": None if self.process is None else self.process.pid,
            "healthy": self.is_steady,
            "address": self.spec.address,
            "serves": list(self.spec.serves),
            "restarts": self.restarts,
            "last_exit": None if self.last_exit is None else describe_exit(self.last_exit),
            "last_words": self.log.last_words,
        }


def describe_exit(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
