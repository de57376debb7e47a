"""Rendered parts of answers, kept by what they show: a list is joined from them instead of rendered anew.

What depends on the request (the base of links) is a hole. Its name is drawn per process, so that no text of a user can
be mistaken for one. Clients of one cloud nearly always use one base, so each fragment remembers how it was last filled.
The cache knows nothing of membership: callers ask it for rows that they have just read.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

import msgspec

_LIMIT_BYTES = 32 << 20
#: what an entry costs beside its text
_ENTRY_BYTES = 400


class _Entry:
    __slots__ = ("filled", "fragment", "revision", "root")

    def __init__(self, revision: int, fragment: bytes) -> None:
        self.revision, self.fragment = revision, fragment
        self.root = ""
        self.filled = b""

    @property
    def bytes(self) -> int:
        # filled fragments are about as long as the others
        return 2 * len(self.fragment) + _ENTRY_BYTES


class Fragments:
    """A bounded cache: the least recently used fragments go first."""

    def __init__(self, secret: str, limit_bytes: int = _LIMIT_BYTES) -> None:
        #: stands for the scheme and authority in rendered links
        self.hole = f"hole:{secret}:"
        self._hole = self.hole.encode()
        self._limit = limit_bytes
        self._bytes = 0
        self._kept: OrderedDict[Hashable, _Entry] = OrderedDict()

    def find(self, key: Hashable, revision: int, root: str) -> bytes | None:
        """The fragment kept under `key` (the resource's id and the view) if it shows this revision, filled."""
        entry = self._kept.get(key)
        if entry is None or entry.revision != revision:
            return None
        self._kept.move_to_end(key)
        if entry.root != root:
            entry.filled = self._fill(entry.fragment, root)
            entry.root = root
        return entry.filled

    def keep(self, key: Hashable, revision: int, document: object, root: str) -> bytes:
        """Render a document and remember it, in the place of any other revision of the same view; filled."""
        entry = _Entry(revision, msgspec.json.encode(document))
        if (old := self._kept.pop(key, None)) is not None:
            self._bytes -= old.bytes
        self._kept[key] = entry
        self._bytes += entry.bytes
        while self._bytes > self._limit:
            _, gone = self._kept.popitem(last=False)
            self._bytes -= gone.bytes
        entry.root, entry.filled = root, self._fill(entry.fragment, root)
        return entry.filled

    def _fill(self, fragment: bytes, root: str) -> bytes:
        # written as JSON writes it: the root comes from headers
        return fragment.replace(self._hole, msgspec.json.encode(root)[1:-1])
