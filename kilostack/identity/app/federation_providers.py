"""Identity providers and the protocols by which their word comes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, Conflict, Duplicate, NotFound
from kilostack.identity.app.documents import given
from kilostack.identity.app.domains import Domains
from kilostack.identity.app.federation_rescoping import get_protocol
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.removal import forget_visits, remove_protocol, remove_providers
from kilostack.identity.app.resources import Resources
from kilostack.identity.model.federation import FederationProtocol, IdentityProvider
from kilostack.identity.model.projects import Domain
from kilostack.identity.store.federation import (
    FEDERATION_PROTOCOLS,
    IDENTITY_PROVIDER_LIST,
    IDENTITY_PROVIDERS,
    MAPPINGS,
    write_remote_ids,
)
from kilostack.identity.store.projects import DOMAINS
from kilostack.identity.store.tokens import revoke
from kilostack.store.database import Tx

_replace = msgspec.structs.replace


class IdentityProviders(Resources[IdentityProvider]):
    """A provider's users are in a domain, one of their own when none is named; its remote ids are its alone."""

    singular, plural = "identity_provider", "identity_providers"
    records, collection = IDENTITY_PROVIDERS, IDENTITY_PROVIDER_LIST

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._domains = Domains(ground)

    async def create(self, ctx: Context, document: dict[str, Any]) -> IdentityProvider:
        before: list[Callable[[Tx], Awaitable[object]]] = []
        if not document.get("domain_id"):
            domain_id = self.ground.new_id()
            text = f"Auto generated federated domain for Identity Provider: {document['id']}"
            domain = Domain(id=domain_id, name=domain_id, description=text)
            document = document | {"domain_id": domain_id}
            before.append(lambda tx: self._domains.insert(tx, domain))
        record = self.made(ctx, document)
        self.ground.access.check(ctx, "create_identity_provider", self.target(record))
        return await self.stored(record, *before)

    def made(self, ctx: Context, document: dict[str, Any]) -> IdentityProvider:
        return IdentityProvider(
            id=document["id"],
            domain_id=document["domain_id"],
            enabled=document.get("enabled", False),
            description=document.get("description"),
            authorization_ttl=document.get("authorization_ttl"),
            remote_ids=tuple(document.get("remote_ids") or ()),
        )

    def changed(self, record: IdentityProvider, document: dict[str, Any]) -> IdentityProvider:
        values = given(document, "enabled") | {
            name: document[name] for name in ("description", "authorization_ttl") if name in document
        }
        if "remote_ids" in document:
            values["remote_ids"] = tuple(document["remote_ids"] or ())
        return _replace(record, **values)

    async def check(self, tx: Tx, record: IdentityProvider) -> None:
        if await DOMAINS.find(tx, id=record.domain_id) is None:
            raise NotFound(f"Could not find domain: {record.domain_id}.")

    async def insert(self, tx: Tx, record: IdentityProvider) -> None:
        await super().insert(tx, record)
        await self._named(tx, record)

    async def check_change(self, tx: Tx, old: IdentityProvider, new: IdentityProvider) -> None:
        if old.remote_ids != new.remote_ids:
            await self._named(tx, new)

    async def _named(self, tx: Tx, record: IdentityProvider) -> None:
        try:
            await write_remote_ids(tx, record)
        except Duplicate:
            raise Conflict(
                "Conflict occurred attempting to store identity_provider - Duplicate remote ID: "
                f"{', '.join(record.remote_ids)}."
            ) from None

    async def rewrite(self, tx: Tx, old: IdentityProvider, document: dict[str, Any], until: int) -> IdentityProvider:
        new = await super().rewrite(tx, old, document, until)
        if old.enabled and not new.enabled:
            await revoke(tx, await forget_visits(tx, [old.id]), until)
        return new

    async def cascade(self, tx: Tx, record: IdentityProvider) -> Iterable[str]:
        return await remove_providers(tx, [record.id])

    def missing(self, record_id: str) -> NotFound:
        return NotFound(f"Could not find Identity Provider: {record_id}.")

    def duplicate(self, record: IdentityProvider) -> str:
        return f"Conflict occurred attempting to store identity_provider - Duplicate entry: {record.id}."


class Protocols:
    """The protocols of a provider, each with the mapping that reads what comes by it."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def create(
        self, ctx: Context, provider_id: str, protocol_id: str, document: dict[str, Any]
    ) -> FederationProtocol:
        self._ground.access.check(ctx, "create_protocol", {})
        record = FederationProtocol(
            provider_id=provider_id,
            id=protocol_id,
            mapping_id=document["mapping_id"],
            remote_id_attribute=document.get("remote_id_attribute"),
        )

        async def unit(tx: Tx) -> FederationProtocol:
            await _check_mapping(tx, record.mapping_id)
            if await IDENTITY_PROVIDERS.find(tx, id=provider_id) is None:
                raise NotFound(f"Could not find Identity Provider: {provider_id}.")
            return await FEDERATION_PROTOCOLS.insert(tx, record)

        try:
            return await self._ground.db.write(unit)
        except Duplicate:
            raise Conflict(
                "Conflict occurred attempting to store federation_protocol - "
                f"Duplicate entry found with ID {protocol_id}."
            ) from None

    async def page(self, ctx: Context, provider_id: str) -> list[FederationProtocol]:
        self._ground.access.check(ctx, "list_protocols", {})
        return await self._ground.db.read(lambda tx: FEDERATION_PROTOCOLS.where(tx, provider_id=provider_id))

    async def show(self, ctx: Context, provider_id: str, protocol_id: str) -> FederationProtocol:
        self._ground.access.check(ctx, "get_protocol", {})
        return await self._ground.db.read(lambda tx: get_protocol(tx, provider_id, protocol_id))

    async def update(
        self, ctx: Context, provider_id: str, protocol_id: str, document: dict[str, Any]
    ) -> FederationProtocol:
        self._ground.access.check(ctx, "update_protocol", {})

        async def unit(tx: Tx) -> FederationProtocol:
            await _check_mapping(tx, document["mapping_id"])
            old = await get_protocol(tx, provider_id, protocol_id)
            return await FEDERATION_PROTOCOLS.update(tx, _replace(old, **document))

        return await self._ground.db.write(unit)

    async def delete(self, ctx: Context, provider_id: str, protocol_id: str) -> None:
        """With those users who came by it and by nothing else."""
        self._ground.access.check(ctx, "delete_protocol", {})
        until = self._ground.until()

        async def unit(tx: Tx) -> None:
            await get_protocol(tx, provider_id, protocol_id)
            subjects = await remove_protocol(tx, provider_id, protocol_id)
            await revoke(tx, subjects, until)

        await self._ground.db.write(unit)


async def _check_mapping(tx: Tx, mapping_id: str) -> None:
    if await MAPPINGS.find(tx, id=mapping_id) is None:
        raise BadRequest(f"Invalid mapping id: {mapping_id}", field="mapping_id")
