"""OAuth 2.0 client credentials (RFC 6749, 4.4): a token for an application credential, in that protocol's words."""

from __future__ import annotations

import base64
import binascii
from urllib.parse import parse_qs

from kilostack.core.errors import BadRequest, Error, Forbidden, NotFound, Unauthenticated
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.methods.application_credential import ApplicationCredentialMethod
from kilostack.identity.app.sign_in import SignIn
from kilostack.identity.app.tokens import Tokens

_PATH = "/OS-OAUTH2/token"
_FORM = "application/x-www-form-urlencoded"
_NOT_AUTHENTICATED = "Client authentication failed."


class OAuth2Api:
    """The one route; what it answers is of its own form, errors too."""

    def __init__(self, ground: Ground, tokens: Tokens, sign_in: SignIn) -> None:
        self._ground, self._tokens, self._sign_in = ground, tokens, sign_in

    def routes(self) -> tuple[Route, ...]:
        others = ("GET", "HEAD", "PUT", "PATCH", "DELETE")
        return (
            Route(method="POST", path=_PATH, handler=self._token, public=True),
            *(Route(method=method, path=_PATH, handler=self._not_allowed, public=True) for method in others),
        )

    async def _token(self, request: Request) -> Response:
        form = await _form(request)
        grant = form.get("grant_type")
        if grant is None:
            return _error(400, "invalid_request", "The parameter grant_type is required.")
        if grant != "client_credentials":
            return _error(400, "unsupported_grant_type", f"The parameter grant_type {grant[:64]} is not supported.")
        shown = _basic(request.headers.get("authorization")) or (form.get("client_id"), form.get("client_secret"))
        if not all(shown):
            return self._refused(request, _NOT_AUTHENTICATED)
        name = ApplicationCredentialMethod.name
        identity = {"methods": [name], name: {"id": shown[0], "secret": shown[1]}}
        try:
            issued = await self._tokens.issue(await self._sign_in.prove(identity, request.address), None)
        except Unauthenticated as error:
            return self._refused(request, error.message)
        except BadRequest as error:
            return _error(400, "invalid_request", error.message)
        except (NotFound, Forbidden) as error:
            return _error(_status(error), "other_error", "An unknown error occurred and failed to get an access token.")
        request.facts["user_id"] = issued.claims.user_id
        expires_in = self._ground.token_life // 1_000_000
        return Response(200, {"access_token": issued.text, "token_type": "Bearer", "expires_in": expires_in})

    def _refused(self, request: Request, why: str) -> Response:
        answer = _error(401, "invalid_client", why)
        answer.headers["WWW-Authenticate"] = f'Keystone uri="{request.root}/identity"'
        return answer

    async def _not_allowed(self, request: Request) -> Response:
        answer = _error(405, "other_error", "The method is not allowed for the requested URL.")
        answer.headers["Allow"] = "POST"
        return answer


def _status(error: Error) -> int:
    default = 404 if isinstance(error, NotFound) else 403
    return int(error.facts.get("status", default))


def _error(status: int, error: str, description: str) -> Response:
    return Response(status, {"error": error, "error_description": description})


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form, the first of each name; none of a body that is no form."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return {}
    raw = await request.body.read()
    try:
        fields = parse_qs(raw.decode("utf-8", "replace"), max_num_fields=100)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}


def _basic(authorization: str | None) -> tuple[str, str] | None:
    """Name and password of HTTP's Basic authentication; None when it is not used."""
    scheme, _, value = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    name, _, password = text.partition(":")
    return name, password


def routes(ground: Ground, tokens: Tokens, sign_in: SignIn) -> tuple[Route, ...]:
    """OAuth 2.0 access tokens."""
    return OAuth2Api(ground, tokens, sign_in).routes()
