"""The supervisor's unix socket: one JSON line asks, JSON lines answer, the last one says `done`."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from kilostack.cli.failure import Failure

ANSWER_TIMEOUT_S = 10.0
#: Longer than a drain may take.
DOWN_TIMEOUT_S = 240.0
REQUEST_BYTES = 4096


def ask(path: Path, request: dict[str, Any], timeout_s: float = ANSWER_TIMEOUT_S) -> Iterator[dict[str, Any]]:
    """Send a request and yield what is answered. Raises `ConnectionError` when nobody listens."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(path))
            connection.sendall(json.dumps(request).encode() + b"\n")
        except (FileNotFoundError, ConnectionError) as error:
            raise ConnectionRefusedError(str(error)) from None
        except PermissionError:
            raise Failure(
                f"{path} belongs to somebody else", "Ask as the user who started the cloud, or as root."
            ) from None
        try:
            yield from _lines(connection)
        except TimeoutError:
            raise Failure(f"the supervisor at {path} does not answer", "Kill it, then run `kilostack up`.") from None


def _lines(connection: socket.socket) -> Iterator[dict[str, Any]]:
    with connection.makefile("rb") as stream:
        for line in stream:
            answer: dict[str, Any] = json.loads(line)
            yield answer
            if answer.get("done"):
                return


class Listener:
    """The supervisor's end. Only root and `uid` are heard."""

    def __init__(self, path: Path, uid: int) -> None:
        self._uid = uid
        self._path = path
        with suppress(FileNotFoundError):
            path.unlink()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen(16)
        self.socket.setblocking(False)

    def accept(self) -> Caller | None:
        """The next caller; None when it went away or may not ask."""
        try:
            connection, _ = self.socket.accept()
        except (BlockingIOError, ConnectionError):
            return None
        if _peer(connection) not in (0, self._uid):
            connection.close()
            return None
        connection.settimeout(1.0)
        return Caller(connection)

    def close(self) -> None:
        self.socket.close()
        with suppress(FileNotFoundError):
            self._path.unlink()


class Caller:
    """One connection. Answering never raises: who asked may have left."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._received = b""

    def read(self) -> dict[str, Any] | None:
        """The request once it is whole; an empty one when there will be none."""
        try:
            data = self.socket.recv(REQUEST_BYTES)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return {}
        self._received += data
        if b"\n" in self._received:
            with suppress(ValueError):
                request = json.loads(self._received)
                return request if isinstance(request, dict) else {}
            return {}
        return {} if not data or len(self._received) > REQUEST_BYTES else None

    def say(self, text: str) -> None:
        """Tell how far it has come."""
        self._send({"say": text})

    def finish(self, answer: dict[str, Any]) -> None:
        """Send the last line and close."""
        self._send({**answer, "done": True})
        self.close()

    def close(self) -> None:
        self.socket.close()

    def _send(self, answer: dict[str, Any]) -> None:
        with suppress(OSError):
            self.socket.sendall(json.dumps(answer).encode() + b"\n")


def _peer(connection: socket.socket) -> int | None:
    """Who is at the other end. Where the system cannot say, the mode of the socket's file has decided already."""
    if not hasattr(socket, "SO_PEERCRED"):
        return 0
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(uid)
