"""The query of a list, read as upstream reads it: filters with operators, two ways to sort, pages."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from typing import Any

from kilostack.core.errors import BadRequest
from kilostack.http.messages import Query
from kilostack.image.store.images import COLLECTION, property_mark, tag_mark
from kilostack.store.lists import Ask, Op, Where

_DEFAULT_LIMIT = 25
_MAX_LIMIT = 1000
_MAX_SIZE = 2**63 - 1
_VISIBILITIES = ("community", "public", "private", "shared", "all")
_SET = ("name", "id", "status", "container_format", "disk_format")
_EXACT = ("owner", "checksum", "os_hash_value")
_NUMBERS = ("min_disk", "min_ram", "size", "virtual_size")
_RANGED = ("size", "virtual_size", "min_disk", "min_ram")
_TIMES = ("created_at", "updated_at")
_FLAGS = ("protected", "os_hidden")
_COMPARISONS: dict[str, Op] = {"eq": "eq", "neq": "ne", "gt": "gt", "gte": "gte", "lt": "lt", "lte": "lte"}
_PAGING = ("limit", "marker", "sort", "sort_key", "sort_dir", "member_status", "visibility", "tag")


def asked(query: Query) -> tuple[Ask, str | None]:
    """What to list, and the visibility that was asked for. Raises `BadRequest`."""
    visibility = query.first("visibility") or None
    if visibility is not None and visibility not in _VISIBILITIES:
        raise BadRequest(f"Invalid visibility value: {visibility}", field="visibility")
    if (status := query.first("member_status")) not in (None, "pending", "accepted", "rejected", "all"):
        raise BadRequest(f"Invalid status: {status}", field="member_status")
    where = [Where("marked", (tag_mark(tag.strip()),)) for tag in query.all("tag")]
    filters = {name: value for name, value in query.items if name not in _PAGING}
    if "changes-since" in filters:
        raise BadRequest('The "changes-since" filter is no longer available on v2.', field="changes-since")
    filters.setdefault("os_hidden", "false")
    for name, value in filters.items():
        where.append(_where(name, value))
    return Ask(where=tuple(where), sort=_sort(query), marker=query.first("marker"), limit=_limit(query)), visibility


def _limit(query: Query) -> int:
    text = query.first("limit")
    if text is None:
        return _DEFAULT_LIMIT
    limit = _number(text, "limit param must be an integer", "limit")
    if limit < 0:
        raise BadRequest("limit param must be positive", field="limit")
    return min(limit, _MAX_LIMIT)


def _number(text: str, message: str, field: str) -> int:
    # int() takes underscores, digits of all scripts, and time without limit
    if not text.removeprefix("-").isascii() or not text.removeprefix("-").isdigit() or len(text) > 20:
        raise BadRequest(message, field=field)
    return max(-_MAX_SIZE, min(int(text), _MAX_SIZE))


def _where(name: str, value: str) -> Where:
    if name in _FLAGS:
        if value.lower() not in ("true", "false"):
            raise BadRequest(
                f"Invalid value '{value}' for '{name}' filter. Valid values are 'true' or 'false'.", field=name
            )
        return Where(name, (value.lower() == "true",))
    if name in _SET:
        return _set(name, value)
    if name in _TIMES:
        return _time(name, value)
    if name in _EXACT:
        return Where(name, (value,))
    if name in _NUMBERS:
        return Where(name, (_number(value, f"Unable to filter {name} on a non-numeric value.", name),))
    column, _, end = name.rpartition("_")
    if end in ("min", "max") and column in _RANGED:
        limit = _number(value, "Unable to filter on a range with a non-numeric value.", name)
        return Where(column, (limit,), "gte" if end == "min" else "lte")
    return Where("marked", (property_mark(name, value),))


def _operator(value: str) -> tuple[str, str]:
    operator, colon, rest = value.partition(":")
    return (operator, rest) if colon else ("eq", value)


def _set(name: str, value: str) -> Where:
    operator, rest = _operator(value)
    if operator == "in":
        try:
            values = next(csv.reader([rest], strict=True), [])
        except csv.Error:
            raise BadRequest(f"Invalid filter value {rest}. The quote is not closed.", field=name) from None
        return Where(name, tuple(values))
    if operator == "eq":
        return Where(name, (rest,))
    raise BadRequest(f"Unable to filter by unknown operator '{operator}'.", field=name)


def _time(name: str, value: str) -> Where:
    operator, rest = value.partition(":")[::2]
    if operator not in _COMPARISONS:
        operator, rest = "eq", value
    try:
        # a plus sign that was not encoded arrives as a space
        parsed = datetime.fromisoformat(rest.replace(" ", "+") if "T" in rest else rest)
    except ValueError:
        raise BadRequest(f'Bad "{name}" query filter format. Use ISO 8601 DateTime notation.', field=name) from None
    seconds = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    return Where(name, (int(seconds * 1_000_000),), _COMPARISONS[operator])


def _sort(query: Query) -> tuple[tuple[str, bool], ...]:
    keys = [key.strip() for key in query.all("sort_key")]
    directions = [direction.strip() for direction in query.all("sort_dir")]
    if (text := query.first("sort")) is not None:
        if keys or directions:
            raise BadRequest("Old and new sorting syntax cannot be combined", field="sort")
        pairs: list[Any] = [part.partition(":")[::2] for part in text.strip().split(",")]
        keys = [key.strip() for key, _ in pairs]
        directions = [direction.strip() or "desc" for _, direction in pairs]
    elif len(directions) > 1 and len(directions) != len(keys):
        raise BadRequest("Number of sort dirs does not match the number of sort keys", field="sort_dir")
    for key in keys:
        if key not in COLLECTION.sorts:
            available = ", ".join(COLLECTION.sorts)
            raise BadRequest(
                f"Invalid sort key: {key}. It must be one of the following: {available}.", field="sort_key"
            )
    for direction in directions:
        if direction not in ("asc", "desc"):
            raise BadRequest(f"Invalid sort direction: {direction}", field="sort_dir")
    keys = keys or ["created_at"]
    directions = directions or ["desc"]
    if len(directions) == 1:
        directions *= len(keys)
    sort: dict[str, bool] = {}
    for key, direction in zip(keys, directions, strict=True):
        sort.setdefault(key, direction == "desc")
    sort.setdefault("created_at", directions[-1] == "desc")
    return tuple(sort.items())
