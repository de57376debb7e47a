"""Key pairs of EC2 below their user, and the check of what they signed, over HTTP."""

from __future__ import annotations

from typing import Any

import msgspec

from kilostack.core.errors import BadRequest
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.identity.api.collections import page
from kilostack.identity.api.parts import Shown, links
from kilostack.identity.api.tokens import TokensApi
from kilostack.identity.app.credentials import Credentials, Opened
from kilostack.identity.app.ec2 import KeyPairs
from kilostack.identity.app.ec2_tokens import SignedRequests
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.sign_in import SignIn
from kilostack.identity.app.tokens import Tokens
from kilostack.identity.model.credentials import key_pair

#: under which key clients put what was signed
_SHOWN = ("credentials", "credential", "ec2Credentials")


def show_key_pair(opened: Opened, base: str) -> Shown:
    record, pair = opened.record, key_pair(opened.blob)
    access = None if pair is None else pair.access
    return {
        "user_id": record.user_id,
        "tenant_id": record.project_id,
        "access": access,
        "secret": None if pair is None else pair.secret,
        "trust_id": None if pair is None else pair.trust_id,
        "links": links(base, f"users/{record.user_id}/credentials/OS-EC2", str(access)),
    }


class KeyPairsApi:
    """Key pairs of EC2."""

    def __init__(self, pairs: KeyPairs, tokens: Tokens) -> None:
        self._pairs, self._tokens = pairs, tokens

    def routes(self) -> tuple[Route, ...]:
        path = "/users/{record_id}/credentials/OS-EC2"
        return (
            Route(method="GET", path=path, handler=self._list),
            Route(method="POST", path=path, handler=self._create),
            Route(method="GET", path=path + "/{access}", handler=self._show),
            Route(method="DELETE", path=path + "/{access}", handler=self._delete),
        )

    async def _list(self, request: Request) -> Response:
        user_id = request.params["record_id"]
        found = await self._pairs.page(request.ctx, await self._tokens.caller(request.token), user_id)
        shown = [show_key_pair(opened, request.base) for opened in found]
        return Response(200, page(request, f"/users/{user_id}/credentials/OS-EC2", "credentials", shown))

    async def _create(self, request: Request) -> Response:
        document = await _object(request)
        claims = await self._tokens.caller(request.token)
        user_id, project_id = request.params["record_id"], document.get("tenant_id")
        made = await self._pairs.create(request.ctx, claims, user_id, project_id)
        return Response(201, {"credential": show_key_pair(made, request.base)})

    async def _show(self, request: Request) -> Response:
        claims = await self._tokens.caller(request.token)
        found = await self._pairs.show(request.ctx, claims, request.params["record_id"], request.params["access"])
        return Response(200, {"credential": show_key_pair(found, request.base)})

    async def _delete(self, request: Request) -> Response:
        claims = await self._tokens.caller(request.token)
        await self._pairs.delete(request.ctx, claims, request.params["record_id"], request.params["access"])
        return Response(204)


class SignedRequestsApi:
    """What services of EC2 and gateways of S3 ask about the requests that they get."""

    def __init__(self, requests: SignedRequests, tokens: TokensApi) -> None:
        self._requests, self._tokens = requests, tokens

    def routes(self) -> tuple[Route, ...]:
        return (
            Route(method="POST", path="/ec2tokens", handler=self._ec2),
            Route(method="POST", path="/s3tokens", handler=self._s3),
        )

    async def _ec2(self, request: Request) -> Response:
        issued = await self._requests.ec2(request.ctx, await _signed(request))
        body = await self._tokens.body(request, issued.claims)
        return Response(200, body, headers={"X-Subject-Token": issued.text, "Vary": "X-Auth-Token"})

    async def _s3(self, request: Request) -> Response:
        issued = await self._requests.s3(request.ctx, await _signed(request))
        return Response(200, await self._tokens.body(request, issued.claims), headers={"Vary": "X-Auth-Token"})


async def _signed(request: Request) -> dict[str, Any]:
    document = await _object(request)
    if not document:
        raise BadRequest("request must include a request body")
    found = next((document[name] for name in _SHOWN if document.get(name)), None)
    return found if isinstance(found, dict) else {}


async def _object(request: Request) -> dict[str, Any]:
    """The body; nothing is an empty object."""
    raw = await request.body.read()
    try:
        document = msgspec.json.decode(raw) if raw else {}
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise BadRequest(
            "Expecting to find valid JSON in request body. The server could not comply with the request since it is "
            "either malformed or otherwise incorrect. The client is assumed to be in error."
        )
    return document


def routes(ground: Ground, tokens: Tokens, sign_in: SignIn) -> tuple[Route, ...]:
    """Key pairs of users, and what they signed."""
    credentials = Credentials(ground)
    return (
        *KeyPairsApi(KeyPairs(ground, credentials), tokens).routes(),
        *SignedRequestsApi(SignedRequests(ground, credentials, tokens), TokensApi(ground, tokens, sign_in)).routes(),
    )
