"""Rendered parts of answers, kept by what they show: a list is joined from them instead of rendered anew.

What depends on the request (the base of links) is a hole that is filled when the answer is joined. The hole's name is
drawn per process, so that no text of a user can be mistaken for one. The cache knows nothing of membership: callers ask
it for rows that they have just read.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

import msgspec

_LIMIT_BYTES = 32 << 20
#: what an entry costs beside its text
_ENTRY_BYTES = 300


class Fragments:
    """A bounded cache: the least recently used fragments go first."""

    def __init__(self, secret: str, limit_bytes: int = _LIMIT_BYTES) -> None:
        #: stands for the scheme and authority in rendered links
        self.hole = f"hole:{secret}:"
        self._hole = self.hole.encode()
        self._limit = limit_bytes
        self._bytes = 0
        self._kept: OrderedDict[Hashable, tuple[int, bytes]] = OrderedDict()

    def find(self, key: Hashable, revision: int) -> bytes | None:
        """The fragment kept under `key` (the resource's id and the view), if it shows this revision."""
        found = self._kept.get(key)
        if found is None or found[0] != revision:
            return None
        self._kept.move_to_end(key)
        return found[1]

    def keep(self, key: Hashable, revision: int, fragment: bytes) -> None:
        """Remember a fragment, in the place of any other revision of the same view."""
        if (old := self._kept.pop(key, None)) is not None:
            self._bytes -= len(old[1]) + _ENTRY_BYTES
        self._kept[key] = (revision, fragment)
        self._bytes += len(fragment) + _ENTRY_BYTES
        while self._bytes > self._limit:
            _, (_, gone) = self._kept.popitem(last=False)
            self._bytes -= len(gone) + _ENTRY_BYTES

    def filled(self, body: bytes, root: str) -> bytes:
        """`body` with every hole replaced by `root`, written as JSON writes it."""
        return body.replace(self._hole, msgspec.json.encode(root)[1:-1])
