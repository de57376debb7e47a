"""Regions, services and endpoints, and the catalog that tokens carry."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, Duplicate, Forbidden, NotFound
from kilostack.identity.app.documents import check_fixed, extra, made_up
from kilostack.identity.app.proof import expecting
from kilostack.identity.app.resources import Resources
from kilostack.identity.model.catalog import (
    Endpoint,
    Region,
    Service,
    inside,
    is_template,
    parents,
)
from kilostack.identity.store.catalog import ENDPOINT_LIST, ENDPOINTS, REGION_LIST, REGIONS, SERVICE_LIST, SERVICES
from kilostack.identity.store.endpoint_filter import forget_endpoints
from kilostack.identity.store.limits import forget_subjects
from kilostack.identity.store.policy_documents import ASSOCIATIONS
from kilostack.store.database import Tx

_replace = msgspec.structs.replace
_LONGEST_ID = 255


async def _forget(tx: Tx, endpoints: Iterable[Endpoint]) -> None:
    """Remove what says something about endpoints that go."""
    ids = [endpoint.id for endpoint in endpoints]
    await forget_endpoints(tx, ids)
    await ASSOCIATIONS.delete_within(tx, "endpoint_id", ids)


class Regions(Resources[Region]):
    """A region is deleted with those in it, unless there are endpoints in any of them."""

    singular, plural = "region", "regions"
    records, collection = REGIONS, REGION_LIST
    in_catalog = True
    _known = frozenset({*Region.__struct_fields__, "links"})

    def made(self, ctx: Context, document: dict[str, Any]) -> Region:
        return Region(
            id=document.get("id") or self.ground.new_id(),
            description=document.get("description") or "",
            parent_region_id=document.get("parent_region_id"),
            extra=made_up(document, self._known),
        )

    async def create_as(self, ctx: Context, region_id: str, document: dict[str, Any]) -> Region:
        """A new region, whose id is given beside the document."""
        self.ground.access.check(ctx, "create_region", {})
        if document.get("id", region_id) != region_id:
            raise BadRequest(f'Conflicting region IDs specified: "{region_id}" != "{document["id"]}"', field="id")
        if len(region_id) > _LONGEST_ID:
            raise BadRequest(f"The id of a region has at most {_LONGEST_ID} characters.", field="id")
        return await self.create(ctx, document | {"id": region_id})

    def changed(self, record: Region, document: dict[str, Any]) -> Region:
        check_fixed(record.id, document, "id", "ID")
        return _replace(
            record,
            description=document.get("description", record.description) or "",
            parent_region_id=document.get("parent_region_id", record.parent_region_id),
            extra=extra(record.extra, document, self._known),
        )

    async def check(self, tx: Tx, record: Region) -> None:
        if record.parent_region_id is None:
            return
        parent_of = parents(await REGIONS.where(tx))
        above: str | None = record.parent_region_id
        while above is not None:
            if above == record.id:
                raise BadRequest(
                    f"The specified parent region {above} would create a circular region hierarchy.",
                    field="parent_region_id",
                )
            if above not in parent_of:
                raise NotFound(f"Could not find region: {above}.")
            above = parent_of[above]

    async def cascade(self, tx: Tx, record: Region) -> Iterable[str]:
        gone = sorted(inside(record.id, parents(await REGIONS.where(tx))))
        if await ENDPOINTS.within(tx, "region_id", gone):
            raise Forbidden(
                f"Unable to delete region {record.id} because it or its child regions have associated endpoints."
            )
        await forget_subjects(tx, "region_id", gone)
        await ASSOCIATIONS.delete_within(tx, "region_id", gone)
        await REGIONS.delete_within(tx, "id", gone)
        return ()

    def duplicate(self, record: Region) -> str:
        return f"Conflict occurred attempting to store region - Duplicate ID, {record.id}.."


class Services(Resources[Service]):
    """A service is deleted with its endpoints and limits."""

    singular, plural = "service", "services"
    records, collection = SERVICES, SERVICE_LIST
    in_catalog = True
    _known = frozenset({*Service.__struct_fields__, "links"})

    def made(self, ctx: Context, document: dict[str, Any]) -> Service:
        return Service(
            id=self.ground.new_id(),
            type=document["type"],
            name=document.get("name") or "",
            enabled=document.get("enabled", True),
            extra=made_up(document, self._known),
        )

    def changed(self, record: Service, document: dict[str, Any]) -> Service:
        check_fixed(record.id, document, "id", "ID")
        values = {name: document[name] for name in ("type", "name", "enabled") if name in document}
        return _replace(record, **values, extra=extra(record.extra, document, self._known))

    async def cascade(self, tx: Tx, record: Service) -> Iterable[str]:
        await _forget(tx, await ENDPOINTS.where(tx, service_id=record.id))
        await ENDPOINTS.delete_where(tx, service_id=record.id)
        await forget_subjects(tx, "service_id", [record.id])
        await ASSOCIATIONS.delete_where(tx, service_id=record.id)
        return ()


class Endpoints(Resources[Endpoint]):
    """An endpoint's service and region must be there; one that is named as `region`, the older way, is made."""

    singular, plural = "endpoint", "endpoints"
    records, collection = ENDPOINTS, ENDPOINT_LIST
    in_catalog = True
    _known = frozenset({*Endpoint.__struct_fields__, "links", "region", "legacy_endpoint_id"})

    async def create(self, ctx: Context, document: dict[str, Any]) -> Endpoint:
        self.ground.access.check(ctx, "create_endpoint", {})
        if not is_template(document["url"]):
            raise BadRequest(f"Cannot create an endpoint with an invalid URL: {document['url']}.", field="url")
        return await super().create(ctx, await self._in_region(document))

    async def update(self, ctx: Context, record_id: str, document: dict[str, Any]) -> Endpoint:
        self.ground.access.check(ctx, "update_endpoint", {})
        check_fixed(record_id, document, "id", "ID")
        return await super().update(ctx, record_id, await self._in_region(document))

    async def _in_region(self, document: dict[str, Any]) -> dict[str, Any]:
        """The document with `region_id` in place of `region`, whose record is there from now on."""
        region_id = document.get("region")
        if region_id is None or document.get("region_id") is not None:
            return document

        async def unit(tx: Tx) -> None:
            if await REGIONS.find(tx, id=region_id) is None:
                await REGIONS.insert(tx, Region(id=region_id))

        with suppress(Duplicate):
            await self.ground.db.write(unit)
        return document | {"region_id": region_id}

    def made(self, ctx: Context, document: dict[str, Any]) -> Endpoint:
        return Endpoint(
            id=self.ground.new_id(),
            service_id=document["service_id"],
            interface=document["interface"],
            url=document["url"],
            region_id=document.get("region_id"),
            enabled=document.get("enabled", True),
            extra=made_up(document, self._known),
        )

    def changed(self, record: Endpoint, document: dict[str, Any]) -> Endpoint:
        known = ("service_id", "interface", "url", "region_id", "enabled")
        values = {name: document[name] for name in known if name in document}
        return _replace(record, **values, extra=extra(record.extra, document, self._known))

    async def check(self, tx: Tx, record: Endpoint) -> None:
        if record.region_id is not None and await REGIONS.find(tx, id=record.region_id) is None:
            raise expecting("endpoint region_id", "region table")
        if await SERVICES.find(tx, id=record.service_id) is None:
            raise expecting("endpoint service_id", "service table")

    async def cascade(self, tx: Tx, record: Endpoint) -> Iterable[str]:
        await _forget(tx, [record])
        return ()
