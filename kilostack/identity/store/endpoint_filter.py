"""Records of which endpoints a project's catalog is cut down to."""

from __future__ import annotations

from collections.abc import Sequence

from kilostack.identity.model.catalog import Endpoint
from kilostack.identity.model.endpoint_filter import EndpointGroup, ProjectEndpoint, ProjectEndpointGroup, members
from kilostack.identity.store.tables import endpoint_filter as tables
from kilostack.store.database import Tx
from kilostack.store.lists import Collection
from kilostack.store.records import Records

PROJECT_ENDPOINTS = Records(
    ProjectEndpoint, tables.PROJECT_ENDPOINTS, noun="endpoint of project", key=("project_id", "endpoint_id")
)


ENDPOINT_GROUPS = Records(EndpointGroup, tables.ENDPOINT_GROUPS, noun="endpoint group")


PROJECT_ENDPOINT_GROUPS = Records(
    ProjectEndpointGroup,
    tables.PROJECT_ENDPOINT_GROUPS,
    noun="endpoint group of project",
    key=("project_id", "endpoint_group_id"),
)


ENDPOINT_GROUP_LIST = Collection(
    ENDPOINT_GROUPS,
    filters={"name": "name"},
    sorts={"id": "id", "name": "name"},
    default_sort=(("name", False),),
)


async def groups_of(tx: Tx, project_id: str) -> list[EndpointGroup]:
    """The endpoint groups of a project, by id."""
    given = await PROJECT_ENDPOINT_GROUPS.where(tx, project_id=project_id)
    found = await ENDPOINT_GROUPS.within(tx, "id", [one.endpoint_group_id for one in given])
    return sorted(found, key=lambda group: group.id)


async def endpoints_of(tx: Tx, project_id: str, endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    """Those of `endpoints` that are in a project's catalog, by themselves or through a group; none: all are."""
    own = {one.endpoint_id for one in await PROJECT_ENDPOINTS.where(tx, project_id=project_id)}
    for group in await groups_of(tx, project_id):
        own |= {endpoint.id for endpoint in members(group.filters, endpoints)}
    return [endpoint for endpoint in endpoints if endpoint.id in own]


async def is_any_cut(tx: Tx) -> bool:
    """Whether there is a project that has endpoints of its own."""
    return bool(await PROJECT_ENDPOINTS.count(tx) or await PROJECT_ENDPOINT_GROUPS.count(tx))


async def forget_endpoints(tx: Tx, endpoint_ids: Sequence[str]) -> None:
    """Take endpoints that go out of all projects."""
    await PROJECT_ENDPOINTS.delete_within(tx, "endpoint_id", endpoint_ids)


async def forget_projects(tx: Tx, project_ids: Sequence[str]) -> None:
    """Drop what projects that go had of their own."""
    await PROJECT_ENDPOINTS.delete_within(tx, "project_id", project_ids)
    await PROJECT_ENDPOINT_GROUPS.delete_within(tx, "project_id", project_ids)
