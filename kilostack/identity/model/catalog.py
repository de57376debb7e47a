"""Regions, services, endpoints, and the catalog made of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

INTERFACES = ("public", "internal", "admin")
_PROJECT_FIELDS = ("$(project_id)s", "%(project_id)s", "$(tenant_id)s", "%(tenant_id)s")


class Region(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    description: str = ""
    parent_region_id: str | None = None
    generation: int = 1
    revision: int = 1


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of service; `type` is what clients look for."""

    id: str
    type: str
    name: str = ""
    description: str | None = None
    enabled: bool = True
    generation: int = 1
    revision: int = 1


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where a service answers. A `url` that begins with "/" is relative to where the client reached the cloud."""

    id: str
    service_id: str
    interface: str
    url: str
    region_id: str | None = None
    enabled: bool = True
    generation: int = 1
    revision: int = 1


def resolved(endpoint: Endpoint, root: str) -> str:
    """The URL as a client that reached the cloud at `root` can use it."""
    return root + endpoint.url if endpoint.url.startswith("/") else endpoint.url


def catalog(services: Iterable[Service], endpoints: Iterable[Endpoint], root: str, project_id: str) -> list[Any]:
    """The catalog of a token. An endpoint that names the project is left out when there is none."""
    by_service: dict[str, list[Any]] = {}
    for endpoint in endpoints:
        url = resolved(endpoint, root)
        needs_project = any(field in url for field in _PROJECT_FIELDS)
        if not endpoint.enabled or (needs_project and not project_id):
            continue
        for field in _PROJECT_FIELDS if needs_project else ():
            url = url.replace(field, project_id)
        by_service.setdefault(endpoint.service_id, []).append(
            {
                "id": endpoint.id,
                "interface": endpoint.interface,
                "region": endpoint.region_id,
                "region_id": endpoint.region_id,
                "url": url,
            }
        )
    return [
        {
            "id": service.id,
            "type": service.type,
            "name": service.name,
            "endpoints": sorted(by_service.get(service.id, ()), key=_order),
        }
        for service in sorted(services, key=lambda service: (service.type, service.name, service.id))
        if service.enabled
    ]


def _order(endpoint: dict[str, Any]) -> tuple[str, int, str]:
    return (endpoint["region_id"] or "", INTERFACES.index(endpoint["interface"]), endpoint["id"])
