"""Regions, services and endpoints, and the catalog that tokens carry."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, Duplicate, Forbidden, NotFound
from kilostack.identity.app.resources import Resources
from kilostack.identity.model.catalog import Endpoint, Region, Service, catalog
from kilostack.identity.store.catalog import ENDPOINT_LIST, ENDPOINTS, REGION_LIST, REGIONS, SERVICE_LIST, SERVICES
from kilostack.identity.store.tables.meta import FEED
from kilostack.store.database import Tx

_replace = msgspec.structs.replace
_CACHED = 256


class Regions(Resources[Region]):
    """A region with regions or endpoints in it is not deleted."""

    singular, plural = "region", "regions"
    records, collection = REGIONS, REGION_LIST
    in_catalog = True

    def made(self, ctx: Context, document: dict[str, Any]) -> Region:
        return Region(
            id=document.get("id") or self.ground.new_id(),
            description=document.get("description") or "",
            parent_region_id=document.get("parent_region_id"),
        )

    def changed(self, record: Region, document: dict[str, Any]) -> Region:
        if document.get("id", record.id) != record.id:
            raise BadRequest("Cannot change the id of a region.", field="id")
        return _replace(
            record,
            description=document.get("description", record.description) or "",
            parent_region_id=document.get("parent_region_id", record.parent_region_id),
        )

    async def check(self, tx: Tx, record: Region) -> None:
        above: str | None = record.parent_region_id
        while above is not None:
            if above == record.id:
                raise BadRequest("A region cannot be inside itself.", field="parent_region_id")
            parent = await REGIONS.find(tx, id=above)
            if parent is None:
                raise NotFound(f"Could not find region: {above}.")
            above = parent.parent_region_id

    async def cascade(self, tx: Tx, record: Region) -> Iterable[str]:
        if await REGIONS.count(tx, parent_region_id=record.id) or await ENDPOINTS.count(tx, region_id=record.id):
            raise Forbidden(
                f"Unable to delete region {record.id} because it or its child regions have associated endpoints."
            )
        return ()

    def duplicate(self, record: Region) -> str:
        return f"Conflict occurred attempting to store region - Duplicate ID, {record.id}."


class Services(Resources[Service]):
    """A service is deleted with its endpoints."""

    singular, plural = "service", "services"
    records, collection = SERVICES, SERVICE_LIST
    in_catalog = True

    def made(self, ctx: Context, document: dict[str, Any]) -> Service:
        return Service(
            id=self.ground.new_id(),
            type=document["type"],
            name=document.get("name") or "",
            description=document.get("description"),
            enabled=document.get("enabled", True),
        )

    def changed(self, record: Service, document: dict[str, Any]) -> Service:
        known = ("type", "name", "description", "enabled")
        return _replace(record, **{name: document[name] for name in known if name in document})

    async def cascade(self, tx: Tx, record: Service) -> Iterable[str]:
        await ENDPOINTS.delete_where(tx, service_id=record.id)
        return ()


class Endpoints(Resources[Endpoint]):
    """An endpoint's service and region must be there; one that is named as `region`, the older way, is made."""

    singular, plural = "endpoint", "endpoints"
    records, collection = ENDPOINTS, ENDPOINT_LIST
    in_catalog = True

    async def create(self, ctx: Context, document: dict[str, Any]) -> Endpoint:
        return await super().create(ctx, await self._in_region(ctx, "create", document))

    async def update(self, ctx: Context, record_id: str, document: dict[str, Any]) -> Endpoint:
        return await super().update(ctx, record_id, await self._in_region(ctx, "update", document))

    async def _in_region(self, ctx: Context, verb: str, document: dict[str, Any]) -> dict[str, Any]:
        """The document with `region_id` in place of `region`, whose record is there from now on."""
        region_id = document.get("region")
        if region_id is None:
            return document
        self.ground.access.check(ctx, f"{verb}_endpoint", {})

        async def unit(tx: Tx) -> None:
            if await REGIONS.find(tx, id=region_id) is None:
                await REGIONS.insert(tx, Region(id=region_id))

        with suppress(Duplicate):
            await self.ground.db.write(unit)
        return {name: value for name, value in document.items() if name != "region"} | {"region_id": region_id}

    def made(self, ctx: Context, document: dict[str, Any]) -> Endpoint:
        return Endpoint(
            id=self.ground.new_id(),
            service_id=document["service_id"],
            interface=document["interface"],
            url=document["url"],
            region_id=document.get("region_id"),
            enabled=document.get("enabled", True),
        )

    def changed(self, record: Endpoint, document: dict[str, Any]) -> Endpoint:
        known = ("service_id", "interface", "url", "region_id", "enabled")
        return _replace(record, **{name: document[name] for name in known if name in document})

    async def check(self, tx: Tx, record: Endpoint) -> None:
        if await SERVICES.find(tx, id=record.service_id) is None:
            raise BadRequest(f"Could not find service: {record.service_id}.", field="service_id")
        if record.region_id is not None and await REGIONS.find(tx, id=record.region_id) is None:
            raise BadRequest(f"Could not find region: {record.region_id}.", field="region_id")


class Catalogs:
    """Rendered catalogs, kept until something that identity's feed tells of has changed."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, str, str], msgspec.Raw] = {}

    async def get(self, tx: Tx, root: str, project_id: str) -> msgspec.Raw:
        """The catalog as JSON, for a client that reached the cloud at `root`."""
        key = (await FEED.head(tx), root, project_id)
        if (made := self._made.get(key)) is None:
            services, endpoints = await SERVICES.where(tx), await ENDPOINTS.where(tx)
            made = self._made[key] = msgspec.Raw(msgspec.json.encode(catalog(services, endpoints, root, project_id)))
            if len(self._made) > _CACHED:
                del self._made[next(iter(self._made))]
        return made
