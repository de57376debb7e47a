"""OAuth 1.0a over HTTP."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec

from kilostack.core.errors import BadRequest
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.http.schemas import Schema, objects
from kilostack.identity.api.collections import CollectionApi, page
from kilostack.identity.api.parts import MAYBE_TEXT, NAMED_ROLES, Shown, links, named_roles, show_time
from kilostack.identity.api.queries import asked
from kilostack.identity.api.roles import show_role
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.oauth1 import AccessTokens, Consumers, Granted, Handshake, Secrets
from kilostack.identity.app.proof import expecting
from kilostack.identity.app.tokens import Tokens
from kilostack.identity.model.oauth1 import AccessToken, Consumer
from kilostack.identity.model.oauth1_signatures import SignedRequest, Unsigned, read
from kilostack.identity.model.roles import Role

_FIELDS = {"description": MAYBE_TEXT}
_CREATE = Schema(objects(_FIELDS, extra=True))
_CHANGE = Schema(objects(_FIELDS, extra=True) | {"minProperties": 1, "not": {"required": ["secret"]}})
_ROLES = Schema(NAMED_ROLES)


class ConsumersApi(CollectionApi[Consumer]):
    """Programs that may ask to be let in; their secret is shown once."""

    prefix = "/OS-OAUTH1"

    def __init__(self, ground: Ground) -> None:
        # a body that is missing is an empty one
        super().__init__(Consumers(ground), (None, None), _show_consumer)
        self._secrets = Secrets(ground)

    async def document(self, request: Request) -> dict[str, Any]:
        document: dict[str, Any] = await _inner(request, "consumer", {})
        (_CREATE if request.method == "POST" else _CHANGE).check(document)
        return document

    async def _create(self, request: Request) -> Response:
        consumer = await self._resources.create(request.ctx, await self.document(request))
        shown = _show_consumer(consumer, request.base) | {"secret": self._secrets.opened(consumer.secret_sealed)}
        return Response(201, {"consumer": shown})


def _show_consumer(consumer: Consumer, base: str) -> Shown:
    return {
        **consumer.extra,
        "id": consumer.id,
        "description": consumer.description,
        "links": links(base, "OS-OAUTH1/consumers", consumer.id),
    }


class HandshakeApi:
    """How a consumer is let in. What it sends is signed, and has no token."""

    def __init__(self, ground: Ground, tokens: Tokens) -> None:
        self._handshake, self._tokens = Handshake(ground), tokens

    def routes(self) -> tuple[Route, ...]:
        return (
            Route(method="POST", path="/OS-OAUTH1/request_token", handler=self._ask, public=True),
            Route(method="PUT", path="/OS-OAUTH1/authorize/{request_token_id}", handler=self._grant),
            Route(method="POST", path="/OS-OAUTH1/access_token", handler=self._fetch, public=True),
        )

    async def _ask(self, request: Request) -> Response:
        signed = _signed(request, "oauth_consumer_key")
        project_id = request.headers.get("requested-project-id")
        if not project_id:
            raise expecting("Requested-Project-Id", "request")
        return _answer(await self._handshake.ask(signed, project_id))

    async def _grant(self, request: Request) -> Response:
        roles = await _inner(request, "roles", [])
        _ROLES.check(roles)
        verifier = await self._handshake.grant(
            request.ctx,
            await self._tokens.caller(request.token),
            request.params["request_token_id"],
            named_roles(roles),
        )
        return Response(200, {"token": {"oauth_verifier": verifier}})

    async def _fetch(self, request: Request) -> Response:
        signed = _signed(request, "oauth_consumer_key", "oauth_token", "oauth_verifier")
        return _answer(await self._handshake.fetch(signed))


def signed_part(request: Request) -> dict[str, Any]:
    """What of a request a consumer signs, as the `oauth1` method wants it."""
    return {"url": _url(request), "authorization": request.headers.get("authorization")}


def _url(request: Request) -> str:
    query = urlencode(request.query.items)
    return f"{request.root}{request.path}" + (f"?{query}" if query else "")


def _signed(request: Request, *needed: str) -> SignedRequest:
    try:
        signed = read(_url(request), request.headers.get("authorization"))
    except Unsigned as error:
        raise BadRequest(f"{error}.", field="Authorization") from None
    for name in needed:
        if not signed.parameters.get(name):
            raise expecting(name, "request")
    return signed


def _answer(granted: Granted) -> Response:
    """A form, as OAuth has it."""
    text = (
        f"oauth_token={granted.id}&oauth_token_secret={granted.secret}&oauth_expires_at={show_time(granted.expires_at)}"
    )
    return Response(201, text.encode(), headers={"Content-Type": "application/x-www-form-urlencoded"})


class AccessTokensApi:
    """What users have granted."""

    def __init__(self, ground: Ground, tokens: Tokens) -> None:
        self._access_tokens, self._tokens = AccessTokens(ground), tokens

    def routes(self) -> tuple[Route, ...]:
        path = "/users/{record_id}/OS-OAUTH1/access_tokens"
        one = path + "/{access_token_id}"
        return (
            Route(method="GET", path=path, handler=self._list),
            Route(method="GET", path=one, handler=self._show),
            Route(method="DELETE", path=one, handler=self._delete),
            Route(method="GET", path=one + "/roles", handler=self._roles),
            Route(method="GET", path=one + "/roles/{role_id}", handler=self._role),
        )

    async def _list(self, request: Request) -> Response:
        user_id, ask = request.params["record_id"], asked(request, {})
        claims = await self._tokens.caller(request.token)
        found = await self._access_tokens.page(request.ctx, claims, user_id, ask)
        shown = [_show_access_token(token, request.base) for token in found]
        return Response(200, page(request, _tokens_path(user_id), "access_tokens", shown, ask.limit))

    async def _show(self, request: Request) -> Response:
        claims = await self._tokens.caller(request.token)
        found = await self._access_tokens.show(request.ctx, claims, *_ids(request))
        return Response(200, {"access_token": _show_access_token(found, request.base)})

    async def _delete(self, request: Request) -> Response:
        await self._access_tokens.delete(request.ctx, await self._tokens.caller(request.token), *_ids(request))
        return Response(204)

    async def _roles(self, request: Request) -> Response:
        user_id, token_id = _ids(request)
        found = await self._access_tokens.roles(request.ctx, user_id, token_id)
        shown = [_show_role(role, request.base) for role in found]
        return Response(200, page(request, f"{_tokens_path(user_id)}/{token_id}/roles", "roles", shown))

    async def _role(self, request: Request) -> Response:
        found = await self._access_tokens.role(request.ctx, *_ids(request), request.params["role_id"])
        return Response(200, {"role": _show_role(found, request.base)})


def _ids(request: Request) -> tuple[str, str]:
    return request.params["record_id"], request.params["access_token_id"]


def _tokens_path(user_id: str) -> str:
    return f"/users/{user_id}/OS-OAUTH1/access_tokens"


def _show_access_token(token: AccessToken, base: str) -> Shown:
    path = f"{base}{_tokens_path(token.authorizing_user_id)}/{token.id}"
    return {
        "id": token.id,
        "consumer_id": token.consumer_id,
        "authorizing_user_id": token.authorizing_user_id,
        "project_id": token.project_id,
        "expires_at": show_time(token.expires_at),
        "links": {"self": path, "roles": f"{path}/roles"},
    }


def _show_role(role: Role, base: str) -> Shown:
    """Without its description, as upstream has it here alone."""
    return {name: value for name, value in show_role(role, base).items() if name != "description"}


async def _inner(request: Request, key: str, default: Any) -> Any:
    """The value under the only key of a body that may be left out."""
    raw = await request.body.read()
    if not raw:
        return default
    try:
        document = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequest("The request body is not valid JSON.") from None
    return document.get(key, default) if isinstance(document, dict) else default


def routes(ground: Ground, tokens: Tokens) -> tuple[Route, ...]:
    """Consumers, the way in, and what was granted."""
    return (
        *ConsumersApi(ground).routes(),
        *HandshakeApi(ground, tokens).routes(),
        *AccessTokensApi(ground, tokens).routes(),
    )
