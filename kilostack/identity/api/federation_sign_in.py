"""Where people from elsewhere log in: with a bearer token, or with a browser."""

from __future__ import annotations

import html
from http.cookies import CookieError, SimpleCookie

from kilostack.core.errors import Unauthenticated
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.identity.api.tokens import TokensApi
from kilostack.identity.app.federation_sign_in import FederatedSignIn
from kilostack.identity.app.federation_websso import Journey, WebSso
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.proof import REJECTED, Proof
from kilostack.identity.app.sign_in import SignIn
from kilostack.identity.app.tokens import Tokens

_AUTH = "/OS-FEDERATION/identity_providers/{provider_id}/protocols/{protocol_id}/auth"
_WEBSSO = "/auth/OS-FEDERATION/identity_providers/{provider_id}/protocols/{protocol_id}/websso"
_WEBSSO_OF_ANY = "/auth/OS-FEDERATION/websso/{protocol_id}"
_COOKIE = "kilostack-websso"
_PAGE = """<!DOCTYPE html>
<html>
  <head><meta charset="utf-8"><title>Log in</title></head>
  <body onload="document.forms[0].submit()">
    <form method="post" action="{origin}">
      <input type="hidden" name="token" value="{token}">
      <noscript><input type="submit" value="Continue"></noscript>
    </form>
  </body>
</html>
"""


class FederatedSignInApi:
    """Both ways end with a token without a scope."""

    def __init__(self, ground: Ground, tokens: Tokens, shown: TokensApi) -> None:
        self._tokens, self._shown, self._public_url = tokens, shown, ground.settings.public_url
        self._sign_in = FederatedSignIn(ground)
        self._websso = WebSso(ground, self._sign_in)

    def routes(self) -> tuple[Route, ...]:
        return tuple(
            Route(method=method, path=path, handler=handler, public=True)
            for method in ("GET", "POST")
            for path, handler in (
                (_AUTH, self._auth),
                (_WEBSSO, self._browser),
                (_WEBSSO_OF_ANY, self._browser_of_any),
            )
        )

    async def _auth(self, request: Request) -> Response:
        proof = await self._proved(request)
        return await self._shown.answer(request, await self._tokens.issue(proof, None))

    async def _proved(self, request: Request) -> Proof:
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        shown = bearer.strip() if scheme.lower() == "bearer" else ""
        return await self._sign_in.prove(request.params["provider_id"], request.params["protocol_id"], shown)

    async def _browser_of_any(self, request: Request) -> Response:
        self._websso.check_origin(request.query.first("origin"))
        provider_id = await self._websso.only_provider(request.params["protocol_id"])
        request.params = request.params | {"provider_id": provider_id}
        return await self._browser(request)

    async def _browser(self, request: Request) -> Response:
        provider_id, protocol_id = request.params["provider_id"], request.params["protocol_id"]
        path = _WEBSSO.format(provider_id=provider_id, protocol_id=protocol_id)
        base = request.base if self._public_url is None else self._public_url + request.base.removeprefix(request.root)
        journey = Journey(provider_id=provider_id, protocol_id=protocol_id, return_url=base + path)
        state = request.query.first("state")
        if state is not None:
            if (code := request.query.first("code")) is None:
                raise Unauthenticated(REJECTED)
            proof, origin = await self._websso.arrive(journey, code, state, _cookie(request))
            return await self._page(proof, origin)
        origin = self._websso.check_origin(request.query.first("origin"))
        if "authorization" in request.headers:
            return await self._page(await self._proved(request), origin)
        departure = await self._websso.depart(journey, origin)
        secure = "; Secure" if journey.return_url.startswith("https:") else ""
        cookie = f"{_COOKIE}={departure.cookie}; Max-Age=600; HttpOnly; SameSite=Lax; Path=/{secure}"
        return Response(302, headers={"Location": departure.url, "Set-Cookie": cookie, "Cache-Control": "no-store"})

    async def _page(self, proof: Proof, origin: str) -> Response:
        """A page that hands the token to the dashboard, as dashboards expect it."""
        issued = await self._tokens.issue(proof, None)
        page = _PAGE.format(origin=html.escape(origin), token=html.escape(issued.text))
        headers = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"}
        return Response(200, page.encode(), headers=headers)


def _cookie(request: Request) -> str:
    try:
        found = SimpleCookie(request.headers.get("cookie", "")).get(_COOKIE)
    except CookieError:
        return ""
    return "" if found is None else found.value


def routes(ground: Ground, tokens: Tokens, sign_in: SignIn) -> tuple[Route, ...]:
    """The addresses of protocols."""
    return FederatedSignInApi(ground, tokens, TokensApi(ground, tokens, sign_in)).routes()
