"""The engine of collections: list, show, create (also many at once), update and delete, as one declaration each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import NotFound
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.network.api import listing
from kilostack.network.api.attributes import Attributes
from kilostack.network.app.access import Access
from kilostack.network.app.parts import Parts
from kilostack.network.model.records import EVERYBODY
from kilostack.store.database import Tx

View = dict[str, Any]


class UseCases(Protocol):
    """What the app layer offers for one resource."""

    async def create(self, ctx: Context, wanted: list[dict[str, Any]]) -> list[Any]: ...

    async def update(self, ctx: Context, record_id: str, given: dict[str, Any], expect: int | None, /) -> Any: ...

    async def delete(self, ctx: Context, record_id: str, expect: int | None, /) -> None: ...


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One collection of the API."""

    attributes: Attributes
    filters: listing.Filters
    cases: UseCases
    #: the view of a record, with what `around` has found for it
    render: Callable[[Any, Any], View]
    #: policy target of a record
    target: Callable[[Any], dict[str, Any]]
    missing: Callable[[str], NotFound]
    #: more about records that their views need, by id
    around: Callable[[Tx, Sequence[Any]], Awaitable[Mapping[str, Any]]] | None = None
    #: called before a list is read, with the project that it is asked for
    prepare: Callable[[Context, str | None], Awaitable[None]] | None = None
    updatable: bool = True

    @property
    def path(self) -> str:
        return "/" + self.attributes.plural.replace("_", "-")

    @property
    def name(self) -> tuple[str, str]:
        """Singular and plural, for the list of resources."""
        return self.attributes.noun, self.attributes.plural


class Engine:
    """Serves resources."""

    def __init__(self, parts: Parts, rights: Access) -> None:
        self._parts, self._rights = parts, rights

    def routes(self, resource: Resource) -> list[Route]:
        path, item = resource.path, resource.path + "/{id}"

        async def many(request: Request) -> Response:
            return await self._list(resource, request)

        async def one(request: Request) -> Response:
            return await self._show(resource, request)

        async def create(request: Request) -> Response:
            return await self._create(resource, request)

        async def update(request: Request) -> Response:
            given = resource.attributes.changed(await request.json())
            expect = listing.expected_revision(request)
            record = await resource.cases.update(request.ctx, request.params["id"], given, expect)
            return Response(200, {resource.attributes.noun: (await self._views(resource, request.ctx, [record]))[0]})

        async def delete(request: Request) -> Response:
            await resource.cases.delete(request.ctx, request.params["id"], listing.expected_revision(request))
            return Response(204)

        made = [
            Route(method="GET", path=path, handler=many),
            Route(method="POST", path=path, handler=create),
            Route(method="GET", path=item, handler=one),
            Route(method="DELETE", path=item, handler=delete),
        ]
        if resource.updatable:
            made.append(Route(method="PUT", path=item, handler=update))
        return made

    async def _list(self, resource: Resource, request: Request) -> Response:
        ctx = request.ctx
        if resource.prepare is not None:
            query = request.query
            await resource.prepare(ctx, query.first("project_id") or query.first("tenant_id"))
        asked = listing.read(request.query, resource.filters, audiences(ctx))

        async def unit(tx: Tx) -> tuple[list[Any], Mapping[str, Any]]:
            records = await listing.page(tx, resource.filters, asked)
            return records, await resource.around(tx, records) if resource.around else {}

        records, around = await self._parts.db.read(unit)
        views = self._rendered(resource, ctx, records, around, asked.fields)
        body: dict[str, Any] = {resource.attributes.plural: views}
        if links := listing.links(request, asked.ask, [record.id for record in records]):
            body[f"{resource.attributes.plural}_links"] = links
        return Response(200, body)

    async def _show(self, resource: Resource, request: Request) -> Response:
        record_id = request.params["id"]

        async def unit(tx: Tx) -> tuple[Any, Mapping[str, Any]]:
            found = await resource.filters.collection.records.find(tx, id=record_id)
            if found is None:
                raise resource.missing(record_id)
            return found, await resource.around(tx, [found]) if resource.around else {}

        record, around = await self._parts.db.read(unit)
        noun = resource.attributes.noun
        self._rights.check_seen(request.ctx, noun, resource.target(record), resource.missing(record_id))
        views = self._rendered(resource, request.ctx, [record], around, listing.fields(request.query))
        return Response(200, {noun: views[0]})

    async def _create(self, resource: Resource, request: Request) -> Response:
        wanted, is_bulk = resource.attributes.created(await request.json(), request.ctx)
        records = await resource.cases.create(request.ctx, wanted)
        views = await self._views(resource, request.ctx, records)
        if is_bulk:
            return Response(201, {resource.attributes.plural: views})
        return Response(201, {resource.attributes.noun: views[0]})

    async def _views(self, resource: Resource, ctx: Context, records: Sequence[Any]) -> list[View]:
        around: Mapping[str, Any] = {}
        if (find := resource.around) is not None:
            around = await self._parts.db.read(lambda tx: find(tx, records))
        return self._rendered(resource, ctx, records, around, ())

    def _rendered(
        self,
        resource: Resource,
        ctx: Context,
        records: Sequence[Any],
        around: Mapping[str, Any],
        fields: tuple[str, ...],
    ) -> list[View]:
        views = [resource.render(record, around.get(record.id)) for record in records]
        if self._rights.has_finer(resource.attributes.noun):
            # records of one list have few different targets
            known: dict[tuple[Any, ...], frozenset[str]] = {}
            for record, view in zip(records, views, strict=True):
                target = resource.target(record)
                key = tuple(target.values())
                if (hidden := known.get(key)) is None:
                    hidden = known[key] = self._rights.hidden(ctx, resource.attributes.noun, view, target)
                for name in hidden:
                    del view[name]
        if fields:
            views = [{name: view[name] for name in fields if name in view} for view in views]
        return views


def audiences(ctx: Context) -> tuple[str, ...] | None:
    """Whose resources the caller's lists hold: everybody's for an administrator."""
    if ctx.is_admin or "service" in ctx.roles:
        return None
    if "reader" not in ctx.roles and "member" not in ctx.roles and "manager" not in ctx.roles:
        # without a role only what everybody sees is left
        return (EVERYBODY,)
    return (ctx.project_id or EVERYBODY, EVERYBODY)
