"""Credentials over HTTP."""

from __future__ import annotations

from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.http.schemas import objects, wrapped
from kilostack.identity.api.collections import page
from kilostack.identity.api.parts import MAYBE_ID, Shown, links
from kilostack.identity.api.queries import asked
from kilostack.identity.app.credentials import Credentials, Opened
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.tokens import Tokens
from kilostack.identity.store.credentials import CREDENTIAL_LIST

_BLOB = {"type": "string", "maxLength": 65535}
_TYPE = {"type": "string", "maxLength": 255}
_OWNER = {"type": "string", "minLength": 1, "maxLength": 64}

_FIELDS = {"id": {"type": "string"}, "blob": _BLOB, "type": _TYPE, "user_id": _OWNER, "project_id": MAYBE_ID}
CREATE = wrapped(
    "credential",
    objects(_FIELDS, ["blob", "type", "user_id"], extra=True)
    | {"if": {"properties": {"type": {"const": "ec2"}}, "required": ["type"]}, "then": {"required": ["project_id"]}},
)
UPDATE = wrapped(
    "credential",
    objects({name: _FIELDS[name] for name in ("blob", "type", "user_id", "project_id")}) | {"minProperties": 1},
)


def show_credential(opened: Opened, base: str) -> Shown:
    record = opened.record
    return {
        **record.extra,
        "id": record.id,
        "user_id": record.user_id,
        "project_id": record.project_id,
        "type": record.type,
        "blob": opened.blob,
        "links": links(base, "credentials", record.id),
    }


class CredentialsApi:
    """Credentials of any type."""

    def __init__(self, credentials: Credentials, tokens: Tokens) -> None:
        self._credentials, self._tokens = credentials, tokens

    def routes(self) -> tuple[Route, ...]:
        one = "/credentials/{record_id}"
        return (
            Route(method="GET", path="/credentials", handler=self._list),
            Route(method="POST", path="/credentials", handler=self._create, body=CREATE),
            Route(method="GET", path=one, handler=self._show),
            Route(method="PATCH", path=one, handler=self._update, body=UPDATE),
            Route(method="DELETE", path=one, handler=self._delete),
        )

    async def _list(self, request: Request) -> Response:
        ask = asked(request, CREDENTIAL_LIST.filters)
        claims = await self._tokens.caller(request.token)
        found = await self._credentials.page(request.ctx, claims, ask)
        shown = [show_credential(opened, request.base) for opened in found]
        return Response(200, page(request, "/credentials", "credentials", shown, ask.limit))

    async def _create(self, request: Request) -> Response:
        document = (await request.json())["credential"]
        claims = await self._tokens.caller(request.token)
        made = await self._credentials.create(request.ctx, claims, document)
        return Response(201, {"credential": show_credential(made, request.base)})

    async def _show(self, request: Request) -> Response:
        claims = await self._tokens.caller(request.token)
        found = await self._credentials.show(request.ctx, claims, request.params["record_id"])
        return Response(200, {"credential": show_credential(found, request.base)})

    async def _update(self, request: Request) -> Response:
        document = (await request.json())["credential"]
        claims = await self._tokens.caller(request.token)
        changed = await self._credentials.update(request.ctx, claims, request.params["record_id"], document)
        return Response(200, {"credential": show_credential(changed, request.base)})

    async def _delete(self, request: Request) -> Response:
        claims = await self._tokens.caller(request.token)
        await self._credentials.delete(request.ctx, claims, request.params["record_id"])
        return Response(204)


def routes(ground: Ground, tokens: Tokens) -> tuple[Route, ...]:
    """Credentials of users."""
    return CredentialsApi(Credentials(ground), tokens).routes()
