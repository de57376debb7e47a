"""The routes that every collection of identity has: list, create, show, change, delete."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.http.schemas import Schema
from kilostack.identity.api.queries import asked, check_query
from kilostack.identity.app.resources import Resources
from kilostack.store.lists import Filter

R = TypeVar("R", bound=msgspec.Struct)
_PAGING = ("limit", "marker")


class CollectionApi(Generic[R]):
    """One kind of record over HTTP. `schemas` are those to create and to change; `query` is what its list takes.

    Without `query` a list ignores parameters that are no filter.
    """

    #: what its path begins with
    prefix: ClassVar[str] = ""

    def __init__(
        self,
        resources: Resources[R],
        schemas: tuple[Schema | None, Schema | None],
        render: Callable[[R, str], dict[str, Any]],
        query: Schema | None = None,
    ) -> None:
        self._resources, self._schemas, self._render, self._query = resources, schemas, render, query
        self._singular, self._plural = resources.singular, resources.plural
        self._path = f"{self.prefix}/{self._plural}"
        #: what clients may filter by
        self._filters: Mapping[str, Filter] = resources.collection.filters

    def routes(self) -> tuple[Route, ...]:
        create, change = self._schemas
        one = self._path + "/{record_id}"
        return (
            Route(method="GET", path=self._path, handler=self._list, query=(*self._filters, *_PAGING)),
            Route(method="POST", path=self._path, handler=self._create, body=create),
            Route(method="GET", path=one, handler=self._show),
            Route(method="PATCH", path=one, handler=self._update, body=change),
            Route(method="DELETE", path=one, handler=self._delete),
        )

    async def document(self, request: Request) -> dict[str, Any]:
        """What the body asks for."""
        inner: dict[str, Any] = (await request.json())[self._singular]
        return inner

    async def shown(self, record: R, request: Request) -> dict[str, Any]:
        """One record by itself."""
        return self._render(record, request.base)

    def listed(self, record: R, request: Request) -> dict[str, Any]:
        """One record among others."""
        return self._render(record, request.base)

    async def _list(self, request: Request) -> Response:
        if self._query is not None:
            check_query(request, self._query)
        ask = asked(request, self._filters)
        found = [self.listed(record, request) for record in await self._resources.page(request.ctx, ask)]
        return Response(200, page(request, self._path, self._plural, found, ask.limit))

    async def _create(self, request: Request) -> Response:
        record = await self._resources.create(request.ctx, await self.document(request))
        return Response(201, {self._singular: await self.shown(record, request)})

    async def _show(self, request: Request) -> Response:
        record = await self._resources.show(request.ctx, request.params["record_id"])
        return Response(200, {self._singular: await self.shown(record, request)})

    async def _update(self, request: Request) -> Response:
        document = await self.document(request)
        record = await self._resources.update(request.ctx, request.params["record_id"], document)
        return Response(200, {self._singular: await self.shown(record, request)})

    async def _delete(self, request: Request) -> Response:
        await self._resources.delete(request.ctx, request.params["record_id"])
        return Response(204)


def page(request: Request, path: str, key: str, shown: list[Any], limit: int | None = None) -> dict[str, Any]:
    """The body of a list. A page that is full says that there may be more, and where."""
    links = {"self": request.link(path, request.query.items), "previous": None, "next": None}
    body: dict[str, Any] = {key: shown, "links": links}
    if limit is not None and len(shown) == limit:
        query = [*request.query.without("marker"), ("marker", shown[-1]["id"])]
        links["next"] = request.link(path, query)
        body["truncated"] = True
    return body


def here(request: Request) -> str:
    """The path of a request below the service."""
    return request.path[request.path.index("/v3/") + len("/v3") :]
