"""What a place for contents offers: a blob is written once, under its name only when it is whole, and then read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

#: How much of a blob's beginning is kept aside while it arrives.
HEAD_BYTES = 256 * 1024


class NoSpace(Exception):
    """The place is full; the text says how full. What was being written must be dropped."""


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """What has arrived so far."""

    size_bytes: int
    #: hexadecimal digests
    md5: str
    sha512: str
    #: the first `HEAD_BYTES`
    head: bytes


class Incoming(Protocol):
    """A blob on its way in; ends by exactly one `keep` or by `drop`."""

    async def write(self, parts: Sequence[bytes]) -> None:
        """Append. Raises `NoSpace`."""

    async def received(self) -> Received: ...

    async def keep(self) -> None:
        """Make it durable and give it its name; replaces a blob of that name. Raises `NoSpace`."""

    async def drop(self) -> None:
        """Leave nothing of it; may be called at any time, again, and after a failed `keep`."""


class Reader(Protocol):
    """An open blob: readable to its end even when it is removed meanwhile."""

    @property
    def size_bytes(self) -> int: ...

    async def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes; fewer only at the end."""

    def close(self) -> None: ...


class Blobs(Protocol):
    """Blobs by name; a name is a UUID. What a crash leaves of an unfinished one is listed by `unfinished`."""

    async def room(self) -> int:
        """How many bytes may still be written."""

    async def receive(self, name: str, attempt: str) -> Incoming:
        """Begin to write a blob; attempts with different names do not disturb each other."""

    async def open(self, name: str) -> Reader:
        """Raises `FileNotFoundError`."""

    async def remove(self, name: str) -> None:
        """Remove it if it is there."""

    async def names(self) -> list[str]:
        """The names of all whole blobs."""

    async def clear_unfinished(self) -> int:
        """Drop what earlier processes were writing; how many. Only before the first `receive`."""
