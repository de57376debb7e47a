"""Policy documents, and which of them endpoints have."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import NotFound
from kilostack.identity.app.documents import check_fixed, extra, made_up
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.resources import Resources
from kilostack.identity.model.catalog import Endpoint, parents
from kilostack.identity.model.policy_documents import (
    Association,
    PolicyDocument,
    Subject,
    document_of,
    endpoints_of,
)
from kilostack.identity.store.catalog import ENDPOINTS, REGIONS, SERVICES
from kilostack.identity.store.policy_documents import ASSOCIATIONS, POLICY_DOCUMENTS, POLICY_LIST
from kilostack.store.database import Tx


class PolicyDocuments(Resources[PolicyDocument]):
    """Documents, which nobody here looks into."""

    singular, plural = "policy", "policies"
    records, collection = POLICY_DOCUMENTS, POLICY_LIST
    _known = frozenset({*PolicyDocument.__struct_fields__, "links"})

    def check_may(self, ctx: Context, action: str) -> None:
        """Raise `Forbidden` for who may not do this to any document."""
        self.ground.access.check(ctx, action, {})

    def made(self, ctx: Context, document: dict[str, Any]) -> PolicyDocument:
        return PolicyDocument(
            id=self.ground.new_id(),
            blob=document["blob"],
            type=document["type"],
            extra=made_up(document, self._known),
        )

    def changed(self, record: PolicyDocument, document: dict[str, Any]) -> PolicyDocument:
        check_fixed(record.id, document, "id", "policy ID")
        values = {name: document[name] for name in ("blob", "type") if name in document}
        return msgspec.structs.replace(record, **values, extra=extra(record.extra, document, self._known))

    async def cascade(self, tx: Tx, record: PolicyDocument) -> tuple[str, ...]:
        await ASSOCIATIONS.delete_where(tx, policy_id=record.id)
        return ()


class PolicyAssociations:
    """Which subject has which document. Another document for a subject takes the place of the one before."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def create(self, ctx: Context, policy_id: str, subject: Subject) -> None:
        self._check(ctx, "create", subject)
        association = Association(policy_id=policy_id, **_key(subject))

        async def unit(tx: Tx) -> None:
            await _present(tx, policy_id, subject)
            await ASSOCIATIONS.delete(tx, **_key(subject))
            await ASSOCIATIONS.insert(tx, association)

        await self._ground.db.write(unit)

    async def check(self, ctx: Context, policy_id: str, subject: Subject) -> None:
        """Raises `NotFound` unless the subject has this document."""
        self._check(ctx, "check", subject)

        async def unit(tx: Tx) -> None:
            await _present(tx, policy_id, subject)
            found = await ASSOCIATIONS.find(tx, **_key(subject))
            if found is None or found.policy_id != policy_id:
                raise NotFound("Could not find policy association.")

        await self._ground.db.read(unit)

    async def delete(self, ctx: Context, policy_id: str, subject: Subject) -> None:
        """May be done twice."""
        self._check(ctx, "delete", subject)

        async def unit(tx: Tx) -> None:
            await _present(tx, policy_id, subject)
            await ASSOCIATIONS.delete_where(tx, policy_id=policy_id, **_key(subject))

        await self._ground.db.write(unit)

    async def endpoints(self, ctx: Context, policy_id: str) -> list[Endpoint]:
        """Every endpoint that a document is about; once for each association that says so."""
        self._ground.access.check(ctx, "list_endpoints_for_policy", {})

        async def unit(tx: Tx) -> list[Endpoint]:
            await _policy(tx, policy_id)
            associations = await ASSOCIATIONS.where(tx, policy_id=policy_id)
            return endpoints_of(associations, await ENDPOINTS.where(tx), parents(await REGIONS.where(tx)))

        return await self._ground.db.read(unit)

    async def policy_of(self, ctx: Context, endpoint_id: str) -> PolicyDocument:
        """The document nearest to an endpoint. Raises `NotFound` when there is none."""
        self._ground.access.check(ctx, "get_policy_for_endpoint", {})

        async def unit(tx: Tx) -> PolicyDocument:
            endpoint = await ENDPOINTS.find(tx, id=endpoint_id)
            if endpoint is None:
                raise NotFound(f"Could not find endpoint: {endpoint_id}.")
            own = await ASSOCIATIONS.where(tx, endpoint_id=endpoint_id)
            services = await ASSOCIATIONS.where(tx, service_id=endpoint.service_id)
            found = document_of(endpoint, [*own, *services], parents(await REGIONS.where(tx)))
            if found is None:
                raise NotFound(f"No policy is associated with endpoint {endpoint_id}.")
            return await _policy(tx, found)

        return await self._ground.db.read(unit)

    def _check(self, ctx: Context, verb: str, subject: Subject) -> None:
        kind = "endpoint" if subject.endpoint_id else "region_and_service" if subject.region_id else "service"
        self._ground.access.check(ctx, f"{verb}_policy_association_for_{kind}", {})


def _key(subject: Subject) -> dict[str, str]:
    return msgspec.structs.asdict(subject)


async def _policy(tx: Tx, policy_id: str) -> PolicyDocument:
    if (found := await POLICY_DOCUMENTS.find(tx, id=policy_id)) is None:
        raise NotFound(f"Could not find policy: {policy_id}.")
    return found


async def _present(tx: Tx, policy_id: str, subject: Subject) -> None:
    await _policy(tx, policy_id)
    wanted: tuple[tuple[str, str, Callable[..., Awaitable[object]]], ...] = (
        ("endpoint", subject.endpoint_id, ENDPOINTS.find),
        ("service", subject.service_id, SERVICES.find),
        ("region", subject.region_id, REGIONS.find),
    )
    for kind, record_id, find in wanted:
        if record_id and await find(tx, id=record_id) is None:
            raise NotFound(f"Could not find {kind}: {record_id}.")
