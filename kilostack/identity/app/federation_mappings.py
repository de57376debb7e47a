"""Mappings and service providers: what an administrator keeps of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import NotFound
from kilostack.identity.app.documents import given
from kilostack.identity.app.removal import forget_visits
from kilostack.identity.app.resources import Resources
from kilostack.identity.model.federation import Mapping, ServiceProvider
from kilostack.identity.store.federation import (
    FEDERATION_PROTOCOLS,
    MAPPING_LIST,
    MAPPINGS,
    SERVICE_PROVIDER_LIST,
    SERVICE_PROVIDERS,
)
from kilostack.identity.store.tables.meta import FEED
from kilostack.store.database import Tx

_RELAY_STATE = "ss:mem:"


class Mappings(Resources[Mapping]):
    """A change is of all rules at once; who logs in next meets the new ones. With a mapping goes what it has let in."""

    singular, plural = "mapping", "mappings"
    records, collection = MAPPINGS, MAPPING_LIST

    def made(self, ctx: Context, document: dict[str, Any]) -> Mapping:
        return Mapping(id=document["id"], rules=document["rules"], schema_version=document["schema_version"])

    async def cascade(self, tx: Tx, record: Mapping) -> Iterable[str]:
        protocols = await FEDERATION_PROTOCOLS.where(tx, mapping_id=record.id)
        return await forget_visits(tx, sorted({protocol.provider_id for protocol in protocols}))

    def changed(self, record: Mapping, document: dict[str, Any]) -> Mapping:
        return msgspec.structs.replace(record, rules=document["rules"], schema_version=document["schema_version"])


class ServiceProviders(Resources[ServiceProvider]):
    """Other clouds that take our word; the enabled ones are named in every token."""

    singular, plural = "service_provider", "service_providers"
    records, collection = SERVICE_PROVIDERS, SERVICE_PROVIDER_LIST
    in_catalog = True

    def made(self, ctx: Context, document: dict[str, Any]) -> ServiceProvider:
        return ServiceProvider(
            id=document["id"],
            auth_url=document["auth_url"],
            sp_url=document["sp_url"],
            enabled=document.get("enabled", False),
            description=document.get("description"),
            relay_state_prefix=_RELAY_STATE
            if document.get("relay_state_prefix") is None
            else document["relay_state_prefix"],
        )

    def changed(self, record: ServiceProvider, document: dict[str, Any]) -> ServiceProvider:
        values = given(document, "auth_url", "sp_url", "enabled", relay_state_prefix=_RELAY_STATE)
        if "description" in document:
            values["description"] = document["description"]
        return msgspec.structs.replace(record, **values)

    def missing(self, record_id: str) -> NotFound:
        return NotFound(f"Could not find Service Provider: {record_id}.")

    def duplicate(self, record: ServiceProvider) -> str:
        return f"Conflict occurred attempting to store service_provider - Duplicate entry found with ID {record.id}."


class EnabledServiceProviders:
    """Those that tokens name, kept until identity's feed tells of a change."""

    def __init__(self) -> None:
        self._kept: tuple[int, tuple[ServiceProvider, ...]] = (-1, ())

    async def get(self, tx: Tx) -> Iterable[ServiceProvider]:
        head = await FEED.head(tx)
        if self._kept[0] != head:
            self._kept = (head, tuple(await SERVICE_PROVIDERS.where(tx, enabled=True)))
        return self._kept[1]
