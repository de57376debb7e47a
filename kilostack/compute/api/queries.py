"""Query strings of compute: paging, sorting, and what each version refuses."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from kilostack.compute.api.formats import flag
from kilostack.core.errors import BadRequest
from kilostack.http.messages import Request

#: from this version on, parameters that an operation does not know are refused
STRICT = (2, 75)
MAX_LIMIT = 1000


def known(request: Request, names: Collection[str]) -> None:
    """Refuse other parameters where the version says so."""
    if request.version >= STRICT:
        for name in request.query.names():
            if name not in names:
                raise BadRequest(
                    f"Invalid input for query parameters {name[:64]}. "
                    f"Additional properties are not allowed ('{name[:64]}' was unexpected)",
                    field=name,
                )


def number(request: Request, name: str, default: int | None = None) -> int | None:
    """A whole number that is not negative. Raises `BadRequest`."""
    text = request.query.first(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise BadRequest(
            f"Invalid input for query parameters {name}. Value: {text[:64]}. It must be a whole number of 0 or more.",
            field=name,
        )
    return int(text)


def boolean(request: Request, name: str) -> bool | None:
    """A flag, None when it is not given. Raises `BadRequest`."""
    text = request.query.first(name)
    if text is None:
        return None
    if (value := flag(text)) is None:
        raise BadRequest(f"Invalid value '{text[:64]}' for query parameter {name}: use true or false.", field=name)
    return value


def limit(request: Request) -> int:
    """How many items at most; never more than `MAX_LIMIT`."""
    return min(number(request, "limit", MAX_LIMIT) or 0, MAX_LIMIT)


def marker(request: Request) -> str | None:
    return request.query.first("marker") or None


def next_link(request: Request, path: str, items: Sequence[Any], last: str) -> list[dict[str, str]]:
    """The link to the page that follows, if this one is full; `last` names its last item."""
    bound = limit(request)
    if not items or len(items) < bound:
        return []
    return [{"rel": "next", "href": request.link(path, [*request.query.without("marker"), ("marker", last)])}]
