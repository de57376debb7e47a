"""Asking a running cloud: the supervisor by its socket, the control plane by HTTP."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from kilostack.cli.supervisor.control import ask
from kilostack.core.settings import Settings

_ANSWER_BYTES = 1 << 20


def supervisor_status(settings: Settings) -> dict[str, Any] | None:
    """What the supervisor says of itself and its children; None when there is none."""
    with suppress(ConnectionError):
        for answer in ask(settings.run.supervisor_socket, {"do": "status"}):
            return answer
    return None


@dataclass(frozen=True, slots=True)
class Readiness:
    """What `/readyz` says."""

    answers: bool
    #: how many hosts are connected; None when it does not say
    hosts: int | None = None


def readiness(settings: Settings) -> Readiness:
    """Whether the control plane answers, and how many hosts have come to it."""
    try:
        status, body = get(settings.port, "/readyz")
    except OSError:
        return Readiness(answers=False)
    if status != 200:
        return Readiness(answers=False)
    with suppress(ValueError, AttributeError):
        hosts = json.loads(body).get("hosts")
        return Readiness(answers=True, hosts=hosts if isinstance(hosts, int) else None)
    return Readiness(answers=True)


def get(port: int, path: str, timeout_s: float = 2.0) -> tuple[int, bytes]:
    """A plain GET on this machine. Raises `OSError`. (The HTTP client of the library takes longer to import.)"""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        received = b""
        while data := connection.recv(65536):
            received += data
            if len(received) > _ANSWER_BYTES:
                break
    head, _, body = received.partition(b"\r\n\r\n")
    try:
        return int(head.split(None, 2)[1]), body
    except (IndexError, ValueError):
        raise ConnectionError("what answers is not HTTP") from None
