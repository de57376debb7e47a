"""Regions, services and endpoints over HTTP."""

from __future__ import annotations

from typing import Any

from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.http.schemas import Schema, objects
from kilostack.identity.api.collections import CollectionApi
from kilostack.identity.api.parts import BOOLEAN, MAYBE_REGION, Shown, links, pair
from kilostack.identity.app.catalog import Endpoints, Regions, Services
from kilostack.identity.app.ground import Ground
from kilostack.identity.model.catalog import INTERFACES, Endpoint, Region, Service, resolved

_TEXT = {"type": "string"}
_MAYBE_SHORT = {"type": ["string", "null"], "maxLength": 255}
_SHORT = {"type": "string", "minLength": 1, "maxLength": 255}
_URL = {"type": "string", "maxLength": 225, "pattern": "^[a-zA-Z0-9+.-]+:.+"}
_INTERFACE = {"type": "string", "enum": sorted(INTERFACES)}


def _open(key: str, inner: dict[str, Any]) -> Schema:
    """The schema of `{key: inner}`, beside which anything may stand."""
    return Schema(objects({key: inner}, [key], extra=True))


_REGION_FIELDS = {"description": _MAYBE_SHORT, "parent_region_id": MAYBE_REGION}
#: an empty id asks for one
_NEW_ID = {"type": ["string", "null"], "maxLength": 255}
REGION = (
    _open("region", objects(_REGION_FIELDS | {"id": _NEW_ID}, extra=True)),
    pair("region", _REGION_FIELDS, [])[1],
)
REGIONS_QUERY = Schema(objects({"parent_region_id": MAYBE_REGION}))


_SERVICE_FIELDS = {"type": _SHORT, "name": _SHORT, "enabled": BOOLEAN}
SERVICE = (
    _open("service", objects(_SERVICE_FIELDS, ["type"], extra=True)),
    _open("service", objects(_SERVICE_FIELDS, extra=True) | {"minProperties": 1}),
)


ENDPOINT = pair(
    "endpoint",
    {
        "service_id": _TEXT,
        "interface": _INTERFACE,
        "url": _URL,
        "region_id": _MAYBE_SHORT,
        "region": MAYBE_REGION,
        "enabled": BOOLEAN,
        "name": _TEXT,
        "description": {"type": ["string", "null"]},
    },
    ["service_id", "interface", "url"],
)
ENDPOINTS_QUERY = Schema(objects({"interface": _INTERFACE}, extra=True))


def show_region(record: Region, base: str) -> Shown:
    return {
        **record.extra,
        "id": record.id,
        "description": record.description,
        "parent_region_id": record.parent_region_id,
        "links": links(base, "regions", record.id),
    }


def show_service(record: Service, base: str) -> Shown:
    return {
        **record.extra,
        "id": record.id,
        "type": record.type,
        "name": record.name,
        "enabled": record.enabled,
        "links": links(base, "services", record.id),
    }


def show_endpoint(record: Endpoint, base: str, public_url: str | None) -> Shown:
    """`public_url` is the root of relative URLs; None: where the client reached the cloud."""
    return {
        **record.extra,
        "id": record.id,
        "service_id": record.service_id,
        "interface": record.interface,
        "url": resolved(record, public_url or base.removesuffix("/identity/v3")),
        "region": record.region_id,
        "region_id": record.region_id,
        "enabled": record.enabled,
        "links": links(base, "endpoints", record.id),
    }


class RegionsApi(CollectionApi[Region]):
    """A region may also be made under an id in the path."""

    def __init__(self, regions: Regions) -> None:
        super().__init__(regions, REGION, show_region, REGIONS_QUERY)
        self._regions = regions

    def routes(self) -> tuple[Route, ...]:
        create, _ = self._schemas
        put = Route(method="PUT", path="/regions/{record_id}", handler=self._create_as, body=create)
        return (*super().routes(), put)

    async def _create_as(self, request: Request) -> Response:
        document = (await request.json())["region"]
        record = await self._regions.create_as(request.ctx, request.params["record_id"], document)
        return Response(201, {"region": show_region(record, request.base)})


def routes(ground: Ground) -> tuple[Route, ...]:
    """Regions, services and endpoints."""
    public_url = ground.settings.public_url

    def shown(record: Endpoint, base: str) -> Shown:
        return show_endpoint(record, base, public_url)

    return (
        *RegionsApi(Regions(ground)).routes(),
        *CollectionApi(Services(ground), SERVICE, show_service).routes(),
        *CollectionApi(Endpoints(ground), ENDPOINT, shown, ENDPOINTS_QUERY).routes(),
    )
