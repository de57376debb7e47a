"""Queries of lists: filters, sorting, pages and fields, as neutron reads them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from kilostack.http.messages import Query, Request
from kilostack.network import failures
from kilostack.network.model.values import Wrong, shown
from kilostack.store.database import Tx
from kilostack.store.lists import Ask, Collection, Where

#: the most items of one page; a client that asks for more gets a link to the rest
MOST = 1000
_CONTROL = {"fields", "sort_key", "sort_dir", "limit", "marker", "page_reverse"}
_REVISION = re.compile(r"\"?revision_number=(\d+)\"?")

Parse = Callable[[str], Any]
#: ids of the records that a filter over other tables leaves
Narrow = Callable[[Tx, Sequence[str]], Awaitable[set[str]]]


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What a collection can be filtered by."""

    collection: Collection[Any]
    #: how values are read, where they are not plain texts
    parse: Mapping[str, Parse] = {}
    narrow: Mapping[str, Narrow] = {}


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """One list request."""

    ask: Ask
    narrowed: tuple[tuple[str, tuple[str, ...]], ...]
    fields: tuple[str, ...]


def read(query: Query, filters: Filters, seen_by: tuple[str, ...] | None) -> Listing:
    """The request as data. `seen_by` restricts to what these audiences see; None is everything."""
    where: list[Where] = []
    if seen_by is not None:
        where.append(Where("seen_by", seen_by))
    unknown, narrowed = [], []
    for name in dict.fromkeys(name for name, _ in query.items):
        public = "project_id" if name == "tenant_id" else name
        if name in _CONTROL:
            continue
        if name in filters.narrow:
            narrowed.append((name, tuple(query.all(name))))
        elif public in filters.collection.filters and public != "seen_by":
            where.append(_where(public, query.all(name), filters.parse))
        else:
            unknown.append(name)
    if unknown:
        raise failures.malformed(f"{[shown(name) for name in unknown]} is invalid attribute for filtering")
    limit, marker = _page(query)
    ask = Ask(
        where=tuple(where),
        sort=_sort(query, filters.collection),
        marker=marker,
        limit=limit,
        reverse=(query.first("page_reverse") or "").lower() == "true",
    )
    return Listing(ask=ask, narrowed=tuple(narrowed), fields=fields(query))


def fields(query: Query) -> tuple[str, ...]:
    """The attributes that the caller wants to see; all when none is named."""
    return tuple(name for name in query.all("fields") if name)


def _where(name: str, texts: list[str], parse: Mapping[str, Parse]) -> Where:
    reader = parse.get(name)
    try:
        values = tuple(texts) if reader is None else tuple(reader(text) for text in texts)
    except Wrong as error:
        raise failures.invalid(str(error)) from None
    if name == "changed_since":
        return Where(name, values[:1], "gte")
    return Where(name, values)


def _page(query: Query) -> tuple[int | None, str | None]:
    text = query.first("limit") or "0"
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise failures.bad("limit", f"Limit must be an integer 0 or greater and not '{shown(text)}'")
    if not (limit := int(text)):
        return None, None
    return min(limit, MOST), query.first("marker") or None


def _sort(query: Query, collection: Collection[Any]) -> tuple[tuple[str, bool], ...]:
    keys = ["project_id" if key == "tenant_id" else key for key in query.all("sort_key") if key]
    ways = [way for way in query.all("sort_dir") if way]
    if len(keys) != len(ways):
        raise failures.malformed("The number of sort_keys and sort_dirs must be same")
    if unknown := [shown(key) for key in keys if key not in collection.sorts]:
        raise failures.malformed(f"{unknown} is invalid attribute for sort_keys")
    if wrong := [shown(way) for way in ways if way not in ("asc", "desc")]:
        raise failures.malformed(f"{wrong} is invalid value for sort_dirs, valid value is 'asc' and 'desc'")
    return tuple((key, way == "desc") for key, way in zip(keys, ways, strict=True))


async def page(tx: Tx, filters: Filters, listing: Listing) -> list[Any]:
    """The records of the page."""
    ask = listing.ask
    if listing.narrowed:
        ids: set[str] | None = None
        for name, texts in listing.narrowed:
            found = await filters.narrow[name](tx, texts)
            ids = found if ids is None else ids & found
        if not ids:
            return []
        ask = msgspec.structs.replace(ask, where=(*ask.where, Where("id", tuple(sorted(ids)))))
    found_records: list[Any] = await filters.collection.page(tx, ask)
    return found_records


def links(request: Request, ask: Ask, ids: Sequence[str]) -> list[dict[str, str]]:
    """Where the next and the previous page are; empty when the list was not asked for in pages."""
    if ask.limit is None:
        return []
    path = request.path[request.path.index("/v2.0") + len("/v2.0") :]
    rest = request.query.without("marker", "page_reverse")
    is_full = len(ids) >= ask.limit
    made = []
    if is_full or ask.reverse:
        marker = [("marker", ids[-1])] if ids else []
        made.append({"rel": "next", "href": request.link(path, [*rest, *marker])})
    if is_full or not ask.reverse:
        marker = [("marker", ids[0])] if ids else []
        made.append({"rel": "previous", "href": request.link(path, [*rest, *marker, ("page_reverse", "True")])})
    return made


def expected_revision(request: Request) -> int | None:
    """The revision that an If-Match of the request names."""
    text = request.headers.get("if-match", "")
    found = _REVISION.findall(text)
    if len(found) > 1:
        raise failures.bad("if-match", "Multiple revision_number etags are not supported")
    if "revision_number" in text and not found:
        raise failures.bad("if-match", "Revision number etag must be in the format of revision_number=<int>")
    return int(found[0]) if found else None
