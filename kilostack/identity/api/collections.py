"""The routes that every collection of identity has: list, create, show, change, delete."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import msgspec

from kilostack.core.errors import BadRequest
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.http.schemas import Schema
from kilostack.identity.app.resources import Resources
from kilostack.store.lists import Ask, Filter, Op, Where, literal

R = TypeVar("R", bound=msgspec.Struct)
_MOST = 1000
_PAGING = ("limit", "marker")
_BOOLEANS = frozenset({"enabled", "is_domain"})
_TAGS = frozenset({"tags", "tags-any", "not-tags", "not-tags-any"})
_FALSE = frozenset({"0", "false", "no", "off", "f", "n"})
#: an empty value is true, too: to name such a filter is enough
_TRUE = frozenset({"", "1", "true", "yes", "on", "t", "y"})
_LIKE: Mapping[str, str] = {"contains": "%{}%", "startswith": "{}%", "endswith": "%{}"}


class CollectionApi(Generic[R]):
    """One kind of record over HTTP. `schemas` are those to create and to change."""

    def __init__(
        self, resources: Resources[R], schemas: tuple[Schema, Schema], render: Callable[[R, str], dict[str, Any]]
    ) -> None:
        self._resources, self._schemas, self._render = resources, schemas, render
        self._singular, self._plural = resources.singular, resources.plural

    def routes(self) -> tuple[Route, ...]:
        create, change = self._schemas
        one, path = f"/{self._plural}/{{record_id}}", f"/{self._plural}"
        return (
            Route(method="GET", path=path, handler=self._list, query=(*self._resources.collection.filters, *_PAGING)),
            Route(method="POST", path=path, handler=self._create, body=create),
            Route(method="GET", path=one, handler=self._show),
            Route(method="PATCH", path=one, handler=self._update, body=change),
            Route(method="DELETE", path=one, handler=self._delete),
        )

    async def _list(self, request: Request) -> Response:
        ask = asked(request, self._resources.collection.filters)
        records = await self._resources.page(request.ctx, ask)
        shown = [self._render(record, request.base) for record in records]
        return Response(200, page(request, f"/{self._plural}", self._plural, shown, ask.limit))

    async def _create(self, request: Request) -> Response:
        document = (await request.json())[self._singular]
        record = await self._resources.create(request.ctx, document)
        return Response(201, {self._singular: self._render(record, request.base)})

    async def _show(self, request: Request) -> Response:
        record = await self._resources.show(request.ctx, request.params["record_id"])
        return Response(200, {self._singular: self._render(record, request.base)})

    async def _update(self, request: Request) -> Response:
        document = (await request.json())[self._singular]
        record = await self._resources.update(request.ctx, request.params["record_id"], document)
        return Response(200, {self._singular: self._render(record, request.base)})

    async def _delete(self, request: Request) -> Response:
        await self._resources.delete(request.ctx, request.params["record_id"])
        return Response(204)


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
    if text.lower() in _TRUE:
        return True
    if text.lower() not in _FALSE:
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


def page(request: Request, path: str, key: str, shown: list[Any], limit: int | None = None) -> dict[str, Any]:
    """The body of a list. A page that is full says that there may be more, and where."""
    links = {"self": request.link(path, request.query.items), "previous": None, "next": None}
    body: dict[str, Any] = {key: shown, "links": links}
    if limit is not None and len(shown) == limit:
        query = [*request.query.without("marker"), ("marker", shown[-1]["id"])]
        links["next"] = request.link(path, query)
        body["truncated"] = True
    return body
