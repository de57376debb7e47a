"""Which endpoints a project's catalog is cut down to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from kilostack.identity.model.catalog import Endpoint

#: what an endpoint group may ask of endpoints
FILTERS = ("service_id", "region_id", "interface")


class ProjectEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint in the catalog of a project."""

    project_id: str
    endpoint_id: str


class EndpointGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The endpoints that have all values that `filters` names, whichever these are at the time."""

    id: str
    name: str
    description: str | None = None
    filters: dict[str, Any] = {}
    generation: int = 1
    revision: int = 1


class ProjectEndpointGroup(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint group in the catalog of a project."""

    project_id: str
    endpoint_group_id: str


def members(filters: Mapping[str, Any], endpoints: Iterable[Endpoint]) -> list[Endpoint]:
    """The endpoints that have all these values."""
    return [one for one in endpoints if all(getattr(one, name) == value for name, value in filters.items())]
