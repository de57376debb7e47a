"""Policy documents: texts that other services may fetch, and which endpoint has which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from kilostack.identity.model.catalog import Endpoint, around, inside


class PolicyDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A text of any kind; identity does not look into it."""

    id: str
    blob: str
    type: str
    extra: dict[str, Any] = {}
    generation: int = 1
    revision: int = 1


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What a document is about: an endpoint, a service, or a service in a region; the rest is empty."""

    endpoint_id: str = ""
    service_id: str = ""
    region_id: str = ""


class Association(msgspec.Struct, frozen=True, kw_only=True):
    """The document of a subject; each has at most one."""

    endpoint_id: str
    service_id: str
    region_id: str
    policy_id: str

    @property
    def subject(self) -> Subject:
        return Subject(endpoint_id=self.endpoint_id, service_id=self.service_id, region_id=self.region_id)


def document_of(
    endpoint: Endpoint, associations: Iterable[Association], parent_of: Mapping[str, str | None]
) -> str | None:
    """The id of the document for an endpoint: its own, else its service's in the nearest region, else its service's."""
    known = {association.subject: association.policy_id for association in associations}
    regions = around(endpoint.region_id, parent_of)
    subjects = (
        Subject(endpoint_id=endpoint.id),
        *(Subject(service_id=endpoint.service_id, region_id=region_id) for region_id in regions),
        Subject(service_id=endpoint.service_id),
    )
    return next((known[subject] for subject in subjects if subject in known), None)


def endpoints_of(
    associations: Iterable[Association], endpoints: Iterable[Endpoint], parent_of: Mapping[str, str | None]
) -> list[Endpoint]:
    """The endpoints that a document's associations are about, whether or not another document is nearer to them."""
    endpoints, found = list(endpoints), []
    for one in associations:
        if one.endpoint_id:
            found += [endpoint for endpoint in endpoints if endpoint.id == one.endpoint_id]
            continue
        regions = inside(one.region_id, parent_of) if one.region_id else None
        found += [
            endpoint
            for endpoint in endpoints
            if endpoint.service_id == one.service_id and (regions is None or endpoint.region_id in regions)
        ]
    return found
