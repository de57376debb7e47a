"""Identity providers, protocols, mappings and service providers over HTTP: each is put under the id that it gets."""

from __future__ import annotations

from typing import Any

from kilostack.core.errors import BadRequest
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.identity.api.collections import CollectionApi, R, page
from kilostack.identity.api.federation_schemas import (
    IDENTITY_PROVIDER,
    MAPPING,
    MAPPING_RULES,
    PROTOCOL,
    SERVICE_PROVIDER,
    as_boolean,
)
from kilostack.identity.api.parts import Shown, links
from kilostack.identity.app.federation_mappings import Mappings, ServiceProviders
from kilostack.identity.app.federation_providers import IdentityProviders, Protocols
from kilostack.identity.app.ground import Ground
from kilostack.identity.model.federation import FederationProtocol, IdentityProvider, Mapping, ServiceProvider

_ROOT = "/OS-FEDERATION"
_LONGEST_ID = 64


class PutCollectionApi(CollectionApi[R]):
    """One kind of record whose ids clients choose."""

    prefix = _ROOT

    def routes(self) -> tuple[Route, ...]:
        create, _ = self._schemas
        put = Route(method="PUT", path=self._path + "/{record_id}", handler=self._create, body=create)
        return (put, *(route for route in super().routes() if route.method != "POST"))

    async def document(self, request: Request) -> dict[str, Any]:
        """What the body says, with `enabled` as a truth value. A null that says nothing is dropped."""
        inner: dict[str, Any] = (await request.json()).get(self._singular) or {}
        if "enabled" in inner:
            inner = inner | {"enabled": as_boolean(inner["enabled"])}
        return inner

    async def _list(self, request: Request) -> Response:
        if (enabled := request.query.first("enabled")) is not None and "enabled" in self._filters:
            as_boolean(enabled)
        return await super()._list(request)

    async def _create(self, request: Request) -> Response:
        document = await self.document(request) | {"id": checked_id(request.params["record_id"])}
        record = await self._resources.create(request.ctx, document)
        return Response(201, {self._singular: await self.shown(record, request)})


class IdentityProviderApi(PutCollectionApi[IdentityProvider]):
    """A list says where the protocols of each are."""

    def listed(self, record: IdentityProvider, request: Request) -> Shown:
        shown = super().listed(record, request)
        return shown | {"links": shown["links"] | {"protocols": shown["links"]["self"] + "/protocols"}}


class MappingApi(PutCollectionApi[Mapping]):
    """The rules are checked by the schema of the version that they name."""

    async def document(self, request: Request) -> dict[str, Any]:
        # whatever else is in it says nothing, and may be of any form
        inner: dict[str, Any] = (await request.json()).get(self._singular) or {}
        version = inner.get("schema_version") or "1.0"
        if (rules := MAPPING_RULES.get(version)) is None:
            raise BadRequest(
                f"Invalid input for field/attribute schema_version: use one of {', '.join(MAPPING_RULES)}.",
                field="schema_version",
            )
        rules.check(inner | {"schema_version": version})
        return {"rules": inner["rules"], "schema_version": version}


class ProtocolApi:
    """The protocols of an identity provider."""

    def __init__(self, protocols: Protocols) -> None:
        self._protocols = protocols

    def routes(self) -> tuple[Route, ...]:
        create, change = PROTOCOL
        path = _ROOT + "/identity_providers/{record_id}/protocols"
        one = path + "/{protocol_id}"
        return (
            Route(method="GET", path=path, handler=self._list),
            Route(method="PUT", path=one, handler=self._create, body=create),
            Route(method="GET", path=one, handler=self._show),
            Route(method="PATCH", path=one, handler=self._update, body=change),
            Route(method="DELETE", path=one, handler=self._delete),
        )

    async def _list(self, request: Request) -> Response:
        provider_id = request.params["record_id"]
        found = await self._protocols.page(request.ctx, provider_id)
        more = [{"idp_id": one.provider_id, "remote_id_attribute": one.remote_id_attribute} for one in found]
        shown = [show_protocol(one, request.base) | extra for one, extra in zip(found, more, strict=True)]
        path = f"{_ROOT}/identity_providers/{provider_id}/protocols"
        return Response(200, page(request, path, "protocols", shown))

    async def _create(self, request: Request) -> Response:
        document = (await request.json())["protocol"]
        provider_id, protocol_id = request.params["record_id"], checked_id(request.params["protocol_id"])
        record = await self._protocols.create(request.ctx, provider_id, protocol_id, document)
        return Response(201, {"protocol": show_protocol(record, request.base)})

    async def _show(self, request: Request) -> Response:
        record = await self._protocols.show(request.ctx, request.params["record_id"], request.params["protocol_id"])
        return Response(200, {"protocol": show_protocol(record, request.base)})

    async def _update(self, request: Request) -> Response:
        document = (await request.json())["protocol"]
        provider_id, protocol_id = request.params["record_id"], request.params["protocol_id"]
        record = await self._protocols.update(request.ctx, provider_id, protocol_id, document)
        return Response(200, {"protocol": show_protocol(record, request.base)})

    async def _delete(self, request: Request) -> Response:
        await self._protocols.delete(request.ctx, request.params["record_id"], request.params["protocol_id"])
        return Response(204)


def checked_id(record_id: str) -> str:
    """The id that a client chose. Raises `BadRequest`."""
    if len(record_id) > _LONGEST_ID or not record_id.isprintable():
        raise BadRequest(f"An id has at most {_LONGEST_ID} characters, all of them printable.", field="id")
    return record_id


def show_identity_provider(record: IdentityProvider, base: str) -> Shown:
    return {
        "id": record.id,
        "domain_id": record.domain_id,
        "enabled": record.enabled,
        "description": record.description,
        "remote_ids": record.remote_ids,
        "authorization_ttl": record.authorization_ttl,
        "links": links(base + _ROOT, "identity_providers", record.id),
    }


def show_protocol(record: FederationProtocol, base: str) -> Shown:
    provider = links(base + _ROOT, "identity_providers", record.provider_id)["self"]
    return {
        "id": record.id,
        "mapping_id": record.mapping_id,
        "links": {"self": f"{provider}/protocols/{record.id}", "identity_provider": provider},
    }


def show_mapping(record: Mapping, base: str) -> Shown:
    return {
        "id": record.id,
        "rules": record.rules,
        "schema_version": record.schema_version,
        "links": links(base + _ROOT, "mappings", record.id),
    }


def show_service_provider(record: ServiceProvider, base: str) -> Shown:
    return {
        "id": record.id,
        "auth_url": record.auth_url,
        "sp_url": record.sp_url,
        "enabled": record.enabled,
        "description": record.description,
        "relay_state_prefix": record.relay_state_prefix,
        "links": links(base + _ROOT, "service_providers", record.id),
    }


def routes(ground: Ground) -> tuple[Route, ...]:
    """What an administrator keeps under `/OS-FEDERATION`."""
    return (
        *IdentityProviderApi(IdentityProviders(ground), IDENTITY_PROVIDER, show_identity_provider).routes(),
        *ProtocolApi(Protocols(ground)).routes(),
        *MappingApi(Mappings(ground), (MAPPING, MAPPING), show_mapping).routes(),
        *PutCollectionApi(ServiceProviders(ground), SERVICE_PROVIDER, show_service_provider).routes(),
    )
