"""`/OS-EP-FILTER`: endpoints and groups of them in the catalogs of projects."""

from __future__ import annotations

from collections.abc import Iterable

from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.http.schemas import Schema, objects, wrapped
from kilostack.identity.api.catalog import show_endpoint
from kilostack.identity.api.collections import CollectionApi, here, page
from kilostack.identity.api.parts import NAME, Shown, links
from kilostack.identity.api.projects import show_project
from kilostack.identity.app.endpoint_filter import EndpointFilter, EndpointGroups
from kilostack.identity.app.ground import Ground
from kilostack.identity.model.catalog import INTERFACES, Endpoint
from kilostack.identity.model.endpoint_filter import EndpointGroup
from kilostack.identity.model.projects import Project

PREFIX = "/OS-EP-FILTER"


_FILTERS = objects(
    {
        "interface": {"type": "string", "enum": sorted(INTERFACES)},
        "service_id": {"type": "string"},
        "region_id": {"type": ["string", "null"]},
    },
    extra=True,
)
_FIELDS = {"name": NAME, "description": {"type": ["string", "null"]}, "filters": _FILTERS}
CREATE = wrapped("endpoint_group", objects(_FIELDS, ["name", "filters"]))
# the official client sends null for what it does not change
CHANGE = wrapped(
    "endpoint_group",
    objects(_FIELDS | {"filters": {"anyOf": [_FILTERS, {"type": "null"}]}}) | {"minProperties": 1},
)
GROUPS_QUERY = Schema(objects({"name": NAME}))


def show_group(record: EndpointGroup, base: str) -> Shown:
    return {
        "id": record.id,
        "name": record.name,
        "description": record.description,
        "filters": record.filters,
        "links": links(base + PREFIX, "endpoint_groups", record.id),
    }


class EndpointGroupsApi(CollectionApi[EndpointGroup]):
    """Groups of endpoints."""

    prefix = PREFIX


class EndpointFilterApi:
    """What is in the catalogs of projects."""

    def __init__(self, ground: Ground) -> None:
        self._filter, self._public_url = EndpointFilter(ground), ground.settings.public_url

    def routes(self) -> tuple[Route, ...]:
        endpoint = f"{PREFIX}/projects/{{project_id}}/endpoints/{{endpoint_id}}"
        group = f"{PREFIX}/endpoint_groups/{{record_id}}"
        in_project = group + "/projects/{project_id}"
        project = f"{PREFIX}/projects/{{project_id}}"
        return (
            Route(method="GET", path=endpoint, handler=self._check_endpoint),
            Route(method="PUT", path=endpoint, handler=self._add_endpoint),
            Route(method="DELETE", path=endpoint, handler=self._remove_endpoint),
            Route(method="GET", path=project + "/endpoints", handler=self._endpoints),
            Route(method="GET", path=project + "/endpoint_groups", handler=self._groups),
            Route(method="GET", path=f"{PREFIX}/endpoints/{{endpoint_id}}/projects", handler=self._projects),
            Route(method="GET", path=in_project, handler=self._show_group),
            Route(method="PUT", path=in_project, handler=self._add_group),
            Route(method="DELETE", path=in_project, handler=self._remove_group),
            Route(method="GET", path=group + "/projects", handler=self._projects_of_group),
            Route(method="GET", path=group + "/endpoints", handler=self._endpoints_of_group),
        )

    async def _check_endpoint(self, request: Request) -> Response:
        await self._filter.check_endpoint(request.ctx, request.params["project_id"], request.params["endpoint_id"])
        return Response(204)

    async def _add_endpoint(self, request: Request) -> Response:
        await self._filter.add_endpoint(request.ctx, request.params["project_id"], request.params["endpoint_id"])
        return Response(204)

    async def _remove_endpoint(self, request: Request) -> Response:
        await self._filter.remove_endpoint(request.ctx, request.params["project_id"], request.params["endpoint_id"])
        return Response(204)

    async def _endpoints(self, request: Request) -> Response:
        found = await self._filter.endpoints(request.ctx, request.params["project_id"])
        return self._shown_endpoints(request, found)

    async def _groups(self, request: Request) -> Response:
        return _groups(request, await self._filter.groups(request.ctx, request.params["project_id"]))

    async def _projects(self, request: Request) -> Response:
        return _projects(request, await self._filter.projects_of_endpoint(request.ctx, request.params["endpoint_id"]))

    async def _show_group(self, request: Request) -> Response:
        found = await self._filter.group(request.ctx, request.params["record_id"], request.params["project_id"])
        # relative, as upstream shows it
        link = f"{PREFIX}/endpoint_groups/{found.endpoint_group_id}/projects/{found.project_id}"
        shown = {
            "endpoint_group_id": found.endpoint_group_id,
            "project_id": found.project_id,
            "links": {"self": link},
        }
        return Response(200, {"project_endpoint_group": shown})

    async def _add_group(self, request: Request) -> Response:
        await self._filter.add_group(request.ctx, request.params["record_id"], request.params["project_id"])
        return Response(204)

    async def _remove_group(self, request: Request) -> Response:
        await self._filter.remove_group(request.ctx, request.params["record_id"], request.params["project_id"])
        return Response(204)

    async def _projects_of_group(self, request: Request) -> Response:
        return _projects(request, await self._filter.projects_of_group(request.ctx, request.params["record_id"]))

    async def _endpoints_of_group(self, request: Request) -> Response:
        found = await self._filter.endpoints_of_group(request.ctx, request.params["record_id"])
        return self._shown_endpoints(request, found)

    def _shown_endpoints(self, request: Request, found: Iterable[Endpoint]) -> Response:
        shown = [show_endpoint(record, request.base, self._public_url) for record in found]
        return Response(200, page(request, here(request), "endpoints", shown))


def _groups(request: Request, found: Iterable[EndpointGroup]) -> Response:
    shown = [show_group(record, request.base) for record in found]
    return Response(200, page(request, here(request), "endpoint_groups", shown))


def _projects(request: Request, found: Iterable[Project]) -> Response:
    shown = [show_project(record, request.base) for record in found]
    return Response(200, page(request, here(request), "projects", shown))


def routes(ground: Ground) -> tuple[Route, ...]:
    """Everything under `/OS-EP-FILTER`."""
    return (
        *EndpointGroupsApi(EndpointGroups(ground), (CREATE, CHANGE), show_group, GROUPS_QUERY).routes(),
        *EndpointFilterApi(ground).routes(),
    )
