"""Regions, services, endpoints, and the catalog made of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import msgspec

INTERFACES = ("public", "internal", "admin")
#: what a URL may name; whether it is known depends on the token, and the last two only on an installation
FIELDS = frozenset({"tenant_id", "project_id", "user_id", "compute_host", "public_endpoint"})
_FIELD = re.compile(r"%\((\w*)\)s|%%|%")


class Region(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    description: str = ""
    parent_region_id: str | None = None
    extra: dict[str, Any] = {}
    generation: int = 1
    revision: int = 1


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of service; `type` is what clients look for."""

    id: str
    type: str
    name: str = ""
    enabled: bool = True
    extra: dict[str, Any] = {}
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
    extra: dict[str, Any] = {}
    generation: int = 1
    revision: int = 1


class Viewer(msgspec.Struct, frozen=True):
    """For whom a catalog is made: where they reached the cloud, and what their token is about."""

    root: str
    project_id: str = ""
    user_id: str = ""

    def fields(self) -> dict[str, str]:
        """What URLs may name."""
        known = {"tenant_id": self.project_id, "project_id": self.project_id, "user_id": self.user_id}
        return {name: value for name, value in known.items() if value}


def resolved(endpoint: Endpoint, root: str) -> str:
    """The URL as a client that reached the cloud at `root` can use it."""
    return root + endpoint.url if endpoint.url.startswith("/") else endpoint.url


def filled(url: str, fields: Mapping[str, str]) -> str | None:
    """The URL with what it names, as `$(name)s` or `%(name)s`, filled in.

    None when it names something else, or has a per cent sign that is neither doubled nor the beginning of a name.
    """
    parts, last = [], 0
    url = url.replace("$(", "%(")
    for match in _FIELD.finditer(url):
        value = "%" if match[0] == "%%" else fields.get(match[1] or "")
        if value is None:
            return None
        parts += [url[last : match.start()], value]
        last = match.end()
    return "".join(parts) + url[last:]


def is_template(url: str) -> bool:
    """Whether a URL could be filled in for some token."""
    return filled(url, dict.fromkeys(FIELDS, "")) is not None


def names(endpoints: Iterable[Endpoint], *fields: str) -> bool:
    """Whether any URL names one of these fields."""
    return any(f"({field})s" in endpoint.url for endpoint in endpoints for field in fields)


def catalog(
    services: Iterable[Service], endpoints: Iterable[Endpoint], viewer: Viewer, chosen: Collection[str] = ()
) -> list[Any]:
    """The catalog of a token; with ids of `chosen` endpoints, only those and the services that have any of them.

    An endpoint whose URL cannot be filled in, for example because it names the project of a token that has none, is
    left out.
    """
    by_service: dict[str, list[Any]] = {}
    fields = viewer.fields()
    for endpoint in endpoints:
        url = filled(endpoint.url, fields)
        if url is None or not endpoint.enabled or (chosen and endpoint.id not in chosen):
            continue
        by_service.setdefault(endpoint.service_id, []).append(
            {
                **endpoint.extra,
                "id": endpoint.id,
                "interface": endpoint.interface,
                "region": endpoint.region_id,
                "region_id": endpoint.region_id,
                "url": resolved(msgspec.structs.replace(endpoint, url=url), viewer.root),
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
        if service.enabled and (not chosen or service.id in by_service)
    ]


def _order(endpoint: dict[str, Any]) -> tuple[str, int, str]:
    return (endpoint["region_id"] or "", INTERFACES.index(endpoint["interface"]), endpoint["id"])


def parents(regions: Iterable[Region]) -> dict[str, str | None]:
    """Region -> the region around it."""
    return {region.id: region.parent_region_id for region in regions}


def around(region_id: str | None, parent_of: Mapping[str, str | None]) -> Iterator[str]:
    """The region itself and those around it, from the inside out; each once, whatever the records say."""
    seen: set[str] = set()
    while region_id is not None and region_id not in seen:
        seen.add(region_id)
        yield region_id
        region_id = parent_of.get(region_id)


def inside(region_id: str, parent_of: Mapping[str, str | None]) -> set[str]:
    """The region itself and those in it, at any depth."""
    return {each for each in (*parent_of, region_id) if region_id in around(each, parent_of)}
