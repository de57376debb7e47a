"""Regions, services and endpoints over HTTP."""

from __future__ import annotations

from kilostack.http.routes import Route
from kilostack.identity.api.collections import CollectionApi
from kilostack.identity.api.parts import (
    BOOLEAN,
    ID,
    MAYBE_REGION,
    MAYBE_TEXT,
    NAME,
    REGION_ID,
    TEXT,
    URL,
    Shown,
    links,
    pair,
)
from kilostack.identity.app.catalog import Endpoints, Regions, Services
from kilostack.identity.app.ground import Ground
from kilostack.identity.model.catalog import INTERFACES, Endpoint, Region, Service, resolved

REGION = pair(
    "region",
    {"id": REGION_ID, "description": MAYBE_TEXT, "parent_region_id": MAYBE_REGION},
    [],
    extra=False,
)


SERVICE = pair(
    "service",
    {"type": NAME, "name": {"type": "string", "maxLength": 255}, "description": MAYBE_TEXT, "enabled": BOOLEAN},
    ["type"],
    extra=False,
)


ENDPOINT = pair(
    "endpoint",
    {
        "service_id": ID,
        "interface": {"enum": list(INTERFACES)},
        "url": URL,
        "region_id": MAYBE_REGION,
        "region": MAYBE_REGION,
        "enabled": BOOLEAN,
        "name": TEXT,
        "description": MAYBE_TEXT,
    },
    ["service_id", "interface", "url"],
    extra=False,
)


def show_region(record: Region, base: str) -> Shown:
    return {
        "id": record.id,
        "description": record.description,
        "parent_region_id": record.parent_region_id,
        "links": links(base, "regions", record.id),
    }


def show_service(record: Service, base: str) -> Shown:
    shown = {
        "id": record.id,
        "type": record.type,
        "name": record.name,
        "enabled": record.enabled,
        "links": links(base, "services", record.id),
    }
    if record.description is not None:
        shown["description"] = record.description
    return shown


def show_endpoint(record: Endpoint, base: str, root: str) -> Shown:
    return {
        "id": record.id,
        "service_id": record.service_id,
        "interface": record.interface,
        "url": resolved(record, root),
        "region": record.region_id,
        "region_id": record.region_id,
        "enabled": record.enabled,
        "links": links(base, "endpoints", record.id),
    }


def routes(ground: Ground) -> tuple[Route, ...]:
    """Regions, services and endpoints."""
    public_url = ground.settings.public_url

    def shown(record: Endpoint, base: str) -> Shown:
        return show_endpoint(record, base, public_url or base.removesuffix("/identity/v3"))

    return (
        *CollectionApi(Regions(ground), REGION, show_region).routes(),
        *CollectionApi(Services(ground), SERVICE, show_service).routes(),
        *CollectionApi(Endpoints(ground), ENDPOINT, shown).routes(),
    )
