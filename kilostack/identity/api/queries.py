"""What a query string asks for: filters, pages and switches, as upstream understands them."""

from __future__ import annotations

from collections.abc import Mapping

from kilostack.core.errors import BadRequest
from kilostack.http.messages import Request
from kilostack.http.schemas import Schema
from kilostack.store.lists import Ask, Filter, Op, Where, literal

TRUE = frozenset({"1", "true", "yes", "on", "t", "y"})
FALSE = frozenset({"0", "false", "no", "off", "f", "n"})
_MOST = 1000
_BOOLEANS = frozenset({"enabled", "is_domain"})
_TAGS = frozenset({"tags", "tags-any", "not-tags", "not-tags-any"})
_LIKE: Mapping[str, str] = {"contains": "%{}%", "startswith": "{}%", "endswith": "%{}"}


def check_query(request: Request, schema: Schema) -> None:
    """Raise `BadRequest` for parameters that `schema` does not take; of a repeated one the first value counts."""
    schema.check({name: request.query.first(name) for name in request.query.names()})


def is_asked(request: Request, name: str) -> bool:
    """Whether a switch is on: a parameter without a value counts, and so does every value but 0."""
    return request.query.first(name) not in (None, "0")


def asked(request: Request, filters: Mapping[str, Filter]) -> Ask:
    """The list that a query string asks for; parameters that are no filter are ignored, as upstream does."""
    where = []
    for name in filters:
        if not (values := request.query.all(name)):
            continue
        if name in _BOOLEANS:
            where.append(Where(name, (_truth(name, values[-1]),)))
        elif name in _TAGS:
            where.append(Where(name, tuple(values[0].split(","))))
        else:
            where.append(Where(name, tuple(values)))
    where += [found for found in (_inexact(*item, filters) for item in request.query.items) if found is not None]
    return Ask(where=tuple(where), limit=_limit(request), marker=request.query.first("marker") or None)


def _inexact(key: str, value: str, filters: Mapping[str, Filter]) -> Where | None:
    """The condition of `name__icontains=x` and the like; None for what is none, or compares in a way nobody knows."""
    name, _, comparator = key.partition("__")
    if name in _BOOLEANS or not isinstance(filters.get(name), str | tuple):
        return None
    op: Op = "like"
    if comparator.startswith("i"):
        op, comparator, value = "ilike", comparator[1:], value.lower()
    if (shape := _LIKE.get(comparator)) is None:
        return None
    return Where(name, (shape.format(literal(value)),), op)


def _truth(name: str, text: str) -> bool:
    # to name such a filter is enough
    if not text or text.lower() in TRUE:
        return True
    if text.lower() not in FALSE:
        raise BadRequest(
            f"Invalid input for field/attribute {name}. Value: {text[:40]}. It is neither true nor false.", field=name
        )
    return False


def _limit(request: Request) -> int | None:
    text = request.query.first("limit")
    if not text:
        return None
    if not text.isascii() or not text.isdigit():
        raise BadRequest(
            f"Invalid input for field 'limit': {text[:40]!r} is not a whole number, 0 or more.", field="limit"
        )
    # 0 is no limit
    return min(int(text[:9]), _MOST) or None
