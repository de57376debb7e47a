"""Log files that never grow past a bound, one JSON object per line whatever a process writes.

The children write to a pipe and the supervisor to the file, so that a rotation loses no line, a full disk never stops
a child, and a traceback of an interpreter that died becomes a line like any other.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

LIMIT_BYTES = 8 * 1024 * 1024
KEEP = 2
#: A line longer than this is cut in pieces.
LINE_BYTES = 64 * 1024


class LogFile:
    """Appends lines to `path`, with `KEEP` older files beside it. Belongs to `uid`, `gid`; never follows a link."""

    def __init__(self, path: Path, uid: int, gid: int, limit: int = LIMIT_BYTES) -> None:
        self._path = path
        self._owner = (uid, gid)
        self._limit = limit
        self._fd = -1
        self._size = 0
        self._lost = 0

    def write(self, line: bytes) -> None:
        """Append one line. What cannot be written is counted, and the count written once there is room again."""
        try:
            if self._fd < 0 or self._size + len(line) + 1 > self._limit:
                self._turn()
            if self._lost:
                self._append(entry(f"{self._lost} lines lost: the log could not be written", "warning"))
                self._lost = 0
            self._append(line + b"\n")
        except OSError:
            self._lost += 1

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _append(self, data: bytes) -> None:
        self._size += os.write(self._fd, data)

    def _turn(self) -> None:
        rotate = self._fd >= 0
        self.close()
        if rotate:
            self._shift()
        self._open()
        if not rotate and self._size >= self._limit:
            self.close()
            self._shift()
            self._open()

    def _shift(self) -> None:
        for number in range(KEEP, 0, -1):
            older = self._path if number == 1 else self._path.with_suffix(f".log.{number - 1}")
            with suppress(FileNotFoundError):
                os.replace(older, self._path.with_suffix(f".log.{number}"))

    def _open(self) -> None:
        self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        if os.geteuid() == 0:
            os.fchown(self._fd, *self._owner)
        self._size = os.fstat(self._fd).st_size


class ChildLog:
    """The log of one child: takes what comes out of its pipe, in whatever pieces."""

    def __init__(self, file: LogFile, process: str) -> None:
        self._file = file
        self._process = process
        self._rest = b""
        #: what it said last that was not a log line: the traceback of a crash
        self.last_words: list[str] = []

    def feed(self, data: bytes) -> None:
        """Take some output; whole lines are written at once."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._write(line)
        while len(self._rest) > LINE_BYTES:
            self._write(self._rest[:LINE_BYTES])
            self._rest = self._rest[LINE_BYTES:]

    def end(self) -> None:
        """The pipe is closed: what is left is a line."""
        if self._rest:
            self._write(self._rest)
            self._rest = b""

    def note(self, text: str, level: str = "info") -> None:
        """Add a line of the supervisor's own about this child."""
        self._file.write(entry(text, level, self._process).rstrip())

    def close(self) -> None:
        self.end()
        self._file.close()

    def _write(self, line: bytes) -> None:
        if not line.strip():
            return
        if line.startswith(b"{"):
            self._file.write(line)
            return
        text = line.decode(errors="replace").rstrip()
        self.last_words = [*self.last_words[-9:], text]
        self._file.write(entry(text, "error", self._process).rstrip())


def entry(message: str, level: str, process: str = "supervisor") -> bytes:
    """One log line."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"time": now, "level": level, "process": process, "message": message}).encode() + b"\n"
