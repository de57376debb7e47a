"""Cutting the catalogs of projects down: to endpoints, one by one, and to groups of them."""

from __future__ import annotations

from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, Conflict, Duplicate, NotFound
from kilostack.identity.app.documents import given
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.proof import expecting
from kilostack.identity.app.resources import Resources
from kilostack.identity.model.catalog import Endpoint
from kilostack.identity.model.endpoint_filter import (
    FILTERS,
    EndpointGroup,
    ProjectEndpoint,
    ProjectEndpointGroup,
    members,
)
from kilostack.identity.model.projects import Project
from kilostack.identity.store import endpoint_filter as store
from kilostack.identity.store.catalog import ENDPOINTS
from kilostack.identity.store.endpoint_filter import (
    ENDPOINT_GROUP_LIST,
    ENDPOINT_GROUPS,
    PROJECT_ENDPOINT_GROUPS,
    PROJECT_ENDPOINTS,
)
from kilostack.identity.store.projects import DOMAINS, PROJECTS
from kilostack.identity.store.tables.meta import FEED
from kilostack.store.database import Tx


class EndpointGroups(Resources[EndpointGroup]):
    """Descriptions of endpoints."""

    singular, plural = "endpoint_group", "endpoint_groups"
    records, collection = ENDPOINT_GROUPS, ENDPOINT_GROUP_LIST
    in_catalog = True

    async def create(self, ctx: Context, document: dict[str, Any]) -> EndpointGroup:
        self.ground.access.check(ctx, "create_endpoint_group", {})
        if not document["filters"]:
            raise BadRequest("filters field is required and cannot be empty", field="filters")
        _check_filters(document["filters"])
        return await super().create(ctx, document)

    def made(self, ctx: Context, document: dict[str, Any]) -> EndpointGroup:
        return EndpointGroup(
            id=self.ground.new_id(),
            name=document["name"],
            description=document.get("description"),
            filters=document["filters"],
        )

    def changed(self, record: EndpointGroup, document: dict[str, Any]) -> EndpointGroup:
        _check_filters(document.get("filters") or {})
        values = given(document, "name", "filters", description=None)
        return msgspec.structs.replace(record, **values)

    async def cascade(self, tx: Tx, record: EndpointGroup) -> tuple[str, ...]:
        await PROJECT_ENDPOINT_GROUPS.delete_where(tx, endpoint_group_id=record.id)
        return ()

    def missing(self, record_id: str) -> NotFound:
        return NotFound(f"Could not find Endpoint Group: {record_id}.")


def _check_filters(filters: dict[str, Any]) -> None:
    if not filters.keys() <= set(FILTERS):
        raise expecting(" or ".join(FILTERS), "endpoint_group")


class EndpointFilter:
    """Which project has which endpoints and groups. A project that has none has all that there are."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def add_endpoint(self, ctx: Context, project_id: str, endpoint_id: str) -> None:
        """Raises `Conflict` when it is there already."""
        self._check(ctx, "add_endpoint_to_project")

        async def unit(tx: Tx) -> None:
            await _endpoint(tx, endpoint_id)
            await _project(tx, project_id)
            await PROJECT_ENDPOINTS.insert(tx, ProjectEndpoint(project_id=project_id, endpoint_id=endpoint_id))
            await FEED.append(tx, ["catalog"])

        try:
            await self._ground.db.write(unit)
        except Duplicate:
            raise _taken("project_endpoint") from None

    async def check_endpoint(self, ctx: Context, project_id: str, endpoint_id: str) -> None:
        """Raises `NotFound` unless the project has the endpoint by itself."""
        self._check(ctx, "check_endpoint_in_project")

        async def unit(tx: Tx) -> None:
            await _endpoint(tx, endpoint_id)
            await _project(tx, project_id)
            if await PROJECT_ENDPOINTS.find(tx, project_id=project_id, endpoint_id=endpoint_id) is None:
                raise _not_in_project(project_id, endpoint_id)

        await self._ground.db.read(unit)

    async def remove_endpoint(self, ctx: Context, project_id: str, endpoint_id: str) -> None:
        self._check(ctx, "remove_endpoint_from_project")

        async def unit(tx: Tx) -> None:
            if not await PROJECT_ENDPOINTS.delete(tx, project_id=project_id, endpoint_id=endpoint_id):
                raise _not_in_project(project_id, endpoint_id)
            await FEED.append(tx, ["catalog"])

        await self._ground.db.write(unit)

    async def endpoints(self, ctx: Context, project_id: str) -> list[Endpoint]:
        """What the project has, by itself and through groups."""
        self._check(ctx, "list_endpoints_for_project")

        async def unit(tx: Tx) -> list[Endpoint]:
            await _project(tx, project_id)
            return await store.endpoints_of(tx, project_id, await ENDPOINTS.where(tx))

        return await self._ground.db.read(unit)

    async def projects_of_endpoint(self, ctx: Context, endpoint_id: str) -> list[Project]:
        """Projects that have the endpoint by itself."""
        self._check(ctx, "list_projects_for_endpoint")

        async def unit(tx: Tx) -> list[Project]:
            await _endpoint(tx, endpoint_id)
            rows = await PROJECT_ENDPOINTS.where(tx, endpoint_id=endpoint_id)
            return await _projects(tx, [row.project_id for row in rows])

        return await self._ground.db.read(unit)

    async def add_group(self, ctx: Context, group_id: str, project_id: str) -> None:
        """Raises `Conflict` when it is there already."""
        self._check(ctx, "add_endpoint_group_to_project")

        async def unit(tx: Tx) -> None:
            await _project(tx, project_id)
            await _group(tx, group_id)
            await PROJECT_ENDPOINT_GROUPS.insert(
                tx, ProjectEndpointGroup(project_id=project_id, endpoint_group_id=group_id)
            )
            await FEED.append(tx, ["catalog"])

        try:
            await self._ground.db.write(unit)
        except Duplicate:
            raise _taken("project_endpoint_group") from None

    async def group(self, ctx: Context, group_id: str, project_id: str) -> ProjectEndpointGroup:
        """Raises `NotFound` unless the project has the group."""
        self._check(ctx, "get_endpoint_group_in_project")

        async def unit(tx: Tx) -> ProjectEndpointGroup:
            await _project(tx, project_id)
            await _group(tx, group_id)
            found = await PROJECT_ENDPOINT_GROUPS.find(tx, project_id=project_id, endpoint_group_id=group_id)
            if found is None:
                raise NotFound("Endpoint Group Project Association not found")
            return found

        return await self._ground.db.read(unit)

    async def remove_group(self, ctx: Context, group_id: str, project_id: str) -> None:
        self._check(ctx, "remove_endpoint_group_from_project")

        async def unit(tx: Tx) -> None:
            await _project(tx, project_id)
            await _group(tx, group_id)
            if not await PROJECT_ENDPOINT_GROUPS.delete(tx, project_id=project_id, endpoint_group_id=group_id):
                raise NotFound("Endpoint Group Project Association not found")
            await FEED.append(tx, ["catalog"])

        await self._ground.db.write(unit)

    async def groups(self, ctx: Context, project_id: str) -> list[EndpointGroup]:
        self._check(ctx, "list_endpoint_groups_for_project")

        async def unit(tx: Tx) -> list[EndpointGroup]:
            await _project(tx, project_id)
            return await store.groups_of(tx, project_id)

        return await self._ground.db.read(unit)

    async def projects_of_group(self, ctx: Context, group_id: str) -> list[Project]:
        """Nothing for a group that is not there, as upstream."""
        self._check(ctx, "list_projects_associated_with_endpoint_group")

        async def unit(tx: Tx) -> list[Project]:
            rows = await PROJECT_ENDPOINT_GROUPS.where(tx, endpoint_group_id=group_id)
            return await _projects(tx, [row.project_id for row in rows])

        return await self._ground.db.read(unit)

    async def endpoints_of_group(self, ctx: Context, group_id: str) -> list[Endpoint]:
        self._check(ctx, "list_endpoints_associated_with_endpoint_group")

        async def unit(tx: Tx) -> list[Endpoint]:
            group = await _group(tx, group_id)
            return members(group.filters, await ENDPOINTS.where(tx))

        return await self._ground.db.read(unit)

    def _check(self, ctx: Context, action: str) -> None:
        self._ground.access.check(ctx, action, {})


async def _endpoint(tx: Tx, endpoint_id: str) -> None:
    if await ENDPOINTS.find(tx, id=endpoint_id) is None:
        raise NotFound(f"Could not find endpoint: {endpoint_id}.")


async def _project(tx: Tx, project_id: str) -> None:
    if not await _projects(tx, [project_id]):
        raise NotFound(f"Could not find project: {project_id}.")


async def _projects(tx: Tx, ids: list[str]) -> list[Project]:
    """Those that are there; a domain may be named as a project."""
    projects, domains = await PROJECTS.within(tx, "id", ids), await DOMAINS.within(tx, "id", ids)
    return sorted((*projects, *(domain.as_project() for domain in domains)), key=lambda project: project.id)


async def _group(tx: Tx, group_id: str) -> EndpointGroup:
    if (group := await ENDPOINT_GROUPS.find(tx, id=group_id)) is None:
        raise NotFound(f"Could not find Endpoint Group: {group_id}.")
    return group


def _not_in_project(project_id: str, endpoint_id: str) -> NotFound:
    return NotFound(f"Endpoint {endpoint_id} not found in project {project_id}")


def _taken(kind: str) -> Conflict:
    return Conflict(f"Conflict occurred attempting to store {kind} - Duplicate entry.")
