"""What a credential may be used for, when its owner has said so: requests to some services, methods and paths only."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

import msgspec

_TOKENS = re.compile(r"(?P<part>\{[^}]*\})|(?P<any>\*{2,})|(?P<star>\*)|(?P<literal>.)", re.DOTALL)


class AccessRule(msgspec.Struct, frozen=True, array_like=True):
    """Requests that a credential may make.

    In `path`, `*` and `{anything}` stand for one part between slashes, `**` for any text.
    """

    service: str
    method: str
    path: str
    id: str = ""


def permits(rules: Iterable[AccessRule], service: str, method: str, path: str) -> bool:
    """Whether one of the rules lets that request to that service through."""
    return any(
        rule.service == service and rule.method == method and _pattern(rule.path).matches(path) for rule in rules
    )


class _Pattern:
    """All ways to read a path at once, a bit for each place in the pattern: whoever writes patterns and paths cannot
    make this take longer than the path is long, as they could with a regular expression."""

    def __init__(self, text: str) -> None:
        self._literals: dict[str, int] = {}
        self._parts = self._anything = 0
        bit = 1
        for token in _TOKENS.finditer(text):
            if token["literal"] is not None:
                self._literals[token["literal"]] = self._literals.get(token["literal"], 0) | bit
            elif token["any"] is not None:
                self._anything |= bit
            else:
                self._parts |= bit
            bit <<= 1
        self._end = bit

    def matches(self, path: str) -> bool:
        places = self._skipped(1)
        for character in path:
            after = (places & self._literals.get(character, 0)) << 1 | places & self._anything
            if character != "/":
                inside = places & self._parts
                after |= inside | inside << 1
            places = self._skipped(after)
        return bool(places & self._end)

    def _skipped(self, places: int) -> int:
        """`**` may stand for nothing; two of them never follow each other."""
        return places | (places & self._anything) << 1


@lru_cache(maxsize=1024)
def _pattern(path: str) -> _Pattern:
    return _Pattern(path)
