"""What is asked of the web."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Unreachable(Exception):
    """Nobody answered with the document; says why."""


class Web(Protocol):
    """Each call ends within seconds, whatever the other side does, and follows nobody's redirection."""

    async def get(self, url: str) -> bytes:
        """The document there. Raises `Unreachable`."""

    async def post(self, url: str, fields: Mapping[str, str]) -> bytes:
        """What a form is answered with. Raises `Unreachable`."""
