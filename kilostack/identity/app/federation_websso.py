"""Logging in with a browser: to the provider and back (authorization code with PKCE), then to a trusted dashboard.

Nothing is kept here in between: what must be remembered travels sealed in `state`, and only the browser that began,
which has a cookie, can come back with it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import urlencode, urlsplit

import msgspec

from kilostack.core.errors import BadRequest, NotFound, Unauthenticated, Unavailable
from kilostack.core.vault import WrongMasterKey
from kilostack.drivers.web.port import Unreachable
from kilostack.identity.app.federation_rescoping import vouching
from kilostack.identity.app.federation_sign_in import FederatedSignIn
from kilostack.identity.app.federation_tokens import Discovery, discovered
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.proof import REJECTED, Proof
from kilostack.identity.model.federation import IdentityProvider
from kilostack.identity.store.federation import FEDERATION_PROTOCOLS, IDENTITY_PROVIDERS
from kilostack.store.database import Tx

_PURPOSE = "login with a browser"
_SCOPE = "openid profile email"
#: how long somebody may take at the provider, in microseconds
_PATIENCE = 600_000_000


class Journey(msgspec.Struct, frozen=True, kw_only=True):
    """Which provider's protocol a browser uses, and where it comes back to."""

    provider_id: str
    protocol_id: str
    return_url: str


class Departure(msgspec.Struct, frozen=True):
    """Where the browser goes, and the cookie that it must come back with."""

    url: str
    cookie: str


class _State(msgspec.Struct, frozen=True, kw_only=True):
    provider_id: str
    protocol_id: str
    origin: str
    nonce: str
    verifier: str
    cookie_hash: str
    ends_at: int


class _Exchanged(msgspec.Struct, frozen=True):
    id_token: str


class WebSso:
    """`depart`, and later `arrive`."""

    def __init__(self, ground: Ground, sign_in: FederatedSignIn) -> None:
        self._ground, self._sign_in = ground, sign_in

    def check_origin(self, origin: str | None) -> str:
        """The dashboard that asks. Raises `BadRequest` for none, `Unauthenticated` for one that is not trusted."""
        if not origin:
            raise BadRequest("Request must have an origin query parameter", field="origin")
        if _plain(origin) not in {_plain(trusted) for trusted in self._ground.settings.trusted_dashboards}:
            raise Unauthenticated(f"{origin[:200]} is not a trusted dashboard host")
        return origin

    async def only_provider(self, protocol_id: str) -> str:
        """The one provider that offers a protocol. Raises `Unauthenticated` when it must be named."""

        async def unit(tx: Tx) -> list[str]:
            offered = await FEDERATION_PROTOCOLS.where(tx, id=protocol_id)
            names = sorted(one.provider_id for one in offered)
            return [one.id for one in await IDENTITY_PROVIDERS.within(tx, "id", names) if one.enabled]

        found = await self._ground.db.read(unit)
        if len(found) != 1:
            raise Unauthenticated("Missing entity ID from environment")
        return found[0]

    async def depart(self, journey: Journey, origin: str) -> Departure:
        """Raises `NotFound` and `Forbidden` as a login does; `Unavailable` when the provider does not answer."""
        provider, discovery, client_id = await self._provider(journey)
        if not discovery.authorization_endpoint:
            raise NotFound(f"Identity Provider {provider.id} offers no login by browser.")
        nonce, verifier, cookie = self._secret(), self._secret(), self._secret()
        state = _State(
            provider_id=journey.provider_id,
            protocol_id=journey.protocol_id,
            origin=origin,
            nonce=nonce,
            verifier=verifier,
            cookie_hash=_hashed(cookie),
            ends_at=self._ground.world.now() + _PATIENCE,
        )
        asked = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": journey.return_url,
            "scope": _SCOPE,
            "state": self._ground.vault.seal(_PURPOSE, msgspec.json.encode(state)),
            "nonce": nonce,
            "code_challenge": _hashed(verifier),
            "code_challenge_method": "S256",
        }
        separator = "&" if urlsplit(discovery.authorization_endpoint).query else "?"
        return Departure(discovery.authorization_endpoint + separator + urlencode(asked), cookie)

    async def arrive(self, journey: Journey, code: str, sealed: str, cookie: str) -> tuple[Proof, str]:
        """Who has come back with `code`, and the dashboard that they are expected at. Raises `Unauthenticated`."""
        state = self._opened(sealed)
        same = (state.provider_id, state.protocol_id) == (journey.provider_id, journey.protocol_id)
        begun_here = hmac.compare_digest(state.cookie_hash, _hashed(cookie))
        if not same or not begun_here or state.ends_at <= self._ground.world.now():
            raise Unauthenticated(REJECTED)
        _, discovery, client_id = await self._provider(journey)
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": journey.return_url,
            "client_id": client_id,
            "code_verifier": state.verifier,
        }
        if (secret := self._ground.settings.client_secrets.get(discovery.issuer)) is not None:
            fields["client_secret"] = secret.reveal()
        try:
            answer = await self._ground.web.post(discovery.token_endpoint, fields)
            token = msgspec.json.decode(answer, type=_Exchanged).id_token
        except (Unreachable, msgspec.MsgspecError, UnicodeError):
            raise Unauthenticated(REJECTED) from None
        proof = await self._sign_in.prove(journey.provider_id, journey.protocol_id, token, state.nonce)
        return proof, self.check_origin(state.origin)

    async def _provider(self, journey: Journey) -> tuple[IdentityProvider, Discovery, str]:
        """The provider, what it publishes, and as which client we come to it."""
        provider, _ = await self._ground.db.read(lambda tx: vouching(tx, journey.provider_id, journey.protocol_id))
        if not provider.issuers() or not provider.audiences():
            raise NotFound(f"Identity Provider {provider.id} offers no login by browser.")
        try:
            discovery = await discovered(self._ground.web, provider.issuers()[0])
        except (Unreachable, msgspec.MsgspecError, UnicodeError):
            raise Unavailable("The identity provider does not answer at the moment.", retry_after_s=10) from None
        return provider, discovery, provider.audiences()[0]

    def _opened(self, sealed: str) -> _State:
        try:
            return msgspec.json.decode(self._ground.vault.open(_PURPOSE, sealed), type=_State)
        except (WrongMasterKey, msgspec.MsgspecError, UnicodeError):
            raise Unauthenticated(REJECTED) from None

    def _secret(self) -> str:
        return base64.urlsafe_b64encode(self._ground.entropy(32)).decode().rstrip("=")


def _hashed(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


def _plain(url: str) -> str:
    """With the host in lower case."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    return parts._replace(netloc=parts.netloc.lower()).geturl()
