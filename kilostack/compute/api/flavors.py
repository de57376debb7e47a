"""Flavors over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from kilostack.compute.api import queries
from kilostack.compute.api.formats import flag, whole_number
from kilostack.compute.api.schemas import BOOLEAN, NAME, Document, body, whole
from kilostack.compute.app.flavors import Flavors
from kilostack.compute.app.parts import Parts, allows, is_admin
from kilostack.compute.model.records import Flavor
from kilostack.core.errors import BadRequest
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.http.schemas import Schema

_DESCRIPTION: Document = {"type": ["string", "null"], "maxLength": 65535, "pattern": r"^\P{C}*$"}
_ID: Document = {
    "anyOf": [
        {
            "type": "string",
            "minLength": 1,
            "maxLength": 255,
            "pattern": "^[a-zA-Z0-9._-]([a-zA-Z0-9. _-]*[a-zA-Z0-9._-])?$",
        },
        {"type": ["number", "null"]},
    ]
}
_FACTOR: Document = {
    "anyOf": [
        {"type": "number", "exclusiveMinimum": 0, "maximum": 3.40282e38},
        {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$", "maxLength": 40},
    ]
}


def _create(**added: Document) -> Schema:
    fields = {
        "name": NAME,
        "id": _ID,
        "ram": whole(1),
        "vcpus": whole(1),
        "disk": whole(0),
        "OS-FLV-EXT-DATA:ephemeral": whole(0),
        "swap": whole(0),
        "rxtx_factor": _FACTOR,
        "os-flavor-access:is_public": BOOLEAN,
    }
    return body("flavor", fields | added, ("name", "ram", "vcpus", "disk"))


_CREATE = (("2.1", _create()), ("2.55", _create(description=_DESCRIPTION)))
_UPDATE = body("flavor", {"description": _DESCRIPTION}, ("description",))
_FILTERS = frozenset({"limit", "marker", "is_public", "minRam", "minDisk", "sort_key", "sort_dir"})
_SORTS: dict[str, Callable[[Flavor], Any]] = {
    "created_at": lambda flavor: flavor.created_at,
    "description": lambda flavor: flavor.description or "",
    "disabled": lambda flavor: flavor.disabled,
    "ephemeral_gb": lambda flavor: flavor.ephemeral_gib,
    "flavorid": lambda flavor: flavor.id,
    "id": lambda flavor: flavor.created_at,
    "is_public": lambda flavor: flavor.public,
    "memory_mb": lambda flavor: flavor.memory_mib,
    "name": lambda flavor: flavor.name,
    "root_gb": lambda flavor: flavor.disk_gib,
    "rxtx_factor": lambda flavor: float(flavor.rxtx_factor),
    "swap": lambda flavor: flavor.swap_mib,
    "updated_at": lambda flavor: flavor.created_at,
    "vcpu_weight": lambda flavor: 0,
    "vcpus": lambda flavor: flavor.vcpus,
}


class FlavorsApi:
    """Handlers of /flavors and /flavors/{flavor_id}."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._flavors = parts, Flavors(parts)

    def routes(self) -> tuple[Route, ...]:
        one = "/flavors/{flavor_id}"
        return (
            Route(method="GET", path="/flavors", handler=self.index),
            Route(method="POST", path="/flavors", handler=self.create, body=_CREATE),
            Route(method="GET", path="/flavors/detail", handler=self.detail),
            Route(method="GET", path=one, handler=self.show),
            Route(method="PUT", path=one, handler=self.update, since="2.55", body=_UPDATE),
            Route(method="DELETE", path=one, handler=self.delete),
        )

    async def index(self, request: Request) -> Response:
        return await self._list(request, "/flavors", _basic)

    async def detail(self, request: Request) -> Response:
        return await self._list(request, "/flavors/detail", self._shown)

    async def _list(self, request: Request, path: str, shown: Callable[[Request, Flavor], dict[str, Any]]) -> Response:
        queries.known(request, _FILTERS)
        found = await self._flavors.every(request.ctx, self._public(request))
        least_ram, least_disk = queries.number(request, "minRam", 0) or 0, queries.number(request, "minDisk", 0) or 0
        found = [flavor for flavor in found if flavor.memory_mib >= least_ram and flavor.disk_gib >= least_disk]
        page = _page(request, found)
        answer: dict[str, Any] = {"flavors": [shown(request, flavor) for flavor in page]}
        if links := queries.next_link(request, path, page, page[-1].id if page else ""):
            answer["flavors_links"] = links
        return Response(200, answer)

    def _public(self, request: Request) -> bool | None:
        """Which flavors an administrator asks for: public ones unless told otherwise, None is all."""
        text = request.query.first("is_public")
        if text is None or not is_admin(self._parts, request.ctx):
            return True
        if text.lower() == "none":
            return None
        if (value := flag(text)) is None:
            raise BadRequest(f"Invalid is_public filter [{text[:64]}]", field="is_public")
        return value

    async def show(self, request: Request) -> Response:
        flavor = await self._flavors.get(request.ctx, request.params["flavor_id"])
        return Response(200, {"flavor": self._shown(request, flavor)})

    async def create(self, request: Request) -> Response:
        given = (await request.json())["flavor"]
        world = self._parts.world
        flavor_id = given.get("id")
        flavor = Flavor(
            id=world.new_id() if flavor_id is None else str(flavor_id),
            name=given["name"],
            vcpus=whole_number(given["vcpus"]),
            memory_mib=whole_number(given["ram"]),
            disk_gib=whole_number(given["disk"]),
            ephemeral_gib=whole_number(given.get("OS-FLV-EXT-DATA:ephemeral", 0)),
            swap_mib=whole_number(given.get("swap", 0)),
            rxtx_factor=str(float(given.get("rxtx_factor", 1.0))),
            public=flag(given.get("os-flavor-access:is_public", True)) is not False,
            description=given.get("description"),
            created_at=world.now(),
        )
        _check_sizes(flavor)
        made = await self._flavors.create(request.ctx, flavor)
        return Response(200, {"flavor": self._shown(request, made)})

    async def update(self, request: Request) -> Response:
        given = (await request.json())["flavor"]
        flavor_id = request.params["flavor_id"]
        changed = await self._flavors.describe(request.ctx, flavor_id, given["description"])
        return Response(200, {"flavor": self._shown(request, changed)})

    async def delete(self, request: Request) -> Response:
        await self._flavors.remove(request.ctx, request.params["flavor_id"])
        return Response(202)

    def _shown(self, request: Request, flavor: Flavor) -> dict[str, Any]:
        shown = {
            **_basic(request, flavor),
            "ram": flavor.memory_mib,
            "disk": flavor.disk_gib,
            "swap": flavor.swap_mib or (0 if request.version >= (2, 75) else ""),
            "OS-FLV-EXT-DATA:ephemeral": flavor.ephemeral_gib,
            "OS-FLV-DISABLED:disabled": flavor.disabled,
            "vcpus": flavor.vcpus,
            "os-flavor-access:is_public": flavor.public,
            "rxtx_factor": float(flavor.rxtx_factor),
        }
        if request.version >= (2, 61) and allows(self._parts, request.ctx, "os-flavor-extra-specs:index"):
            shown["extra_specs"] = flavor.extra_specs
        return shown


def _basic(request: Request, flavor: Flavor) -> dict[str, Any]:
    path = f"/flavors/{quote(flavor.id)}"
    shown: dict[str, Any] = {
        "id": flavor.id,
        "name": flavor.name,
        "links": [
            {"rel": "self", "href": request.link(path)},
            {"rel": "bookmark", "href": f"{request.root}/compute{path}"},
        ],
    }
    if request.version >= (2, 55):
        shown["description"] = flavor.description
    return shown


def _page(request: Request, found: list[Flavor]) -> list[Flavor]:
    key = request.query.first("sort_key") or "flavorid"
    if key not in _SORTS:
        raise BadRequest(f"Invalid input for query parameters sort_key. Value: {key[:64]}.", field="sort_key")
    direction = request.query.first("sort_dir") or "asc"
    if direction not in ("asc", "desc"):
        raise BadRequest(f"Invalid input for query parameters sort_dir. Value: {direction[:16]}.", field="sort_dir")
    of = _SORTS[key]
    found = sorted(found, key=lambda flavor: (of(flavor), flavor.id), reverse=direction == "desc")
    if (marker := queries.marker(request)) is not None:
        at = next((at for at, flavor in enumerate(found) if flavor.id == marker), None)
        if at is None:
            raise BadRequest(f"marker [{marker[:64]}] not found", field="marker")
        found = found[at + 1 :]
    return found[: queries.limit(request)]


def _check_sizes(flavor: Flavor) -> None:
    """Numbers given as text pass the schema: hold them to the same bounds."""
    for name, least, value in (
        ("vcpus", 1, flavor.vcpus),
        ("ram", 1, flavor.memory_mib),
        ("disk", 0, flavor.disk_gib),
        ("OS-FLV-EXT-DATA:ephemeral", 0, flavor.ephemeral_gib),
        ("swap", 0, flavor.swap_mib),
    ):
        if not least <= value <= 0x7FFFFFFF:
            raise BadRequest(f"Invalid input for field/attribute {name}. Value: {value}.", field=name)
    if not 0 < float(flavor.rxtx_factor) <= 3.40282e38:
        raise BadRequest(f"Invalid input for field/attribute rxtx_factor. Value: {flavor.rxtx_factor}.")
