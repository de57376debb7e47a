"""Bearer tokens of OpenID providers, verified with the keys that these publish.

A provider's issuer is one of its remote ids, and so is, marked `aud:`, whom its tokens must be for. Its keys are found
by the discovery document of the issuer, kept, and asked for again when a token names one that is not known.
"""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Mapping
from typing import Any

import msgspec
from joserfc import jwk, jws, jwt
from joserfc.errors import JoseError, SecurityWarning

from kilostack.core.errors import Forbidden, Unauthenticated, Unavailable
from kilostack.core.world import World
from kilostack.drivers.web.port import Unreachable, Web
from kilostack.identity.app.proof import REJECTED
from kilostack.identity.model.federation import IdentityProvider

_LOG = logging.getLogger("kilostack.identity")
#: signatures whose verifier cannot sign
_ALGORITHMS = [f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512)] + ["EdDSA", "Ed25519"]
#: how far the provider's clock may be from ours
_SKEW_S = 60
_KEPT_S = 3600.0
#: how long keys are used whose provider does not answer any more
_STALE_S = 24 * 3600.0
#: how long after a look at the keys nobody can make us look again
_PAUSE_S = 10.0
_LONGEST = 32_768


class Discovery(msgspec.Struct, frozen=True):
    """What an issuer publishes of itself."""

    issuer: str
    jwks_uri: str
    authorization_endpoint: str = ""
    token_endpoint: str = ""


class _Keys(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


class _Known(msgspec.Struct):
    """What is known of one issuer's keys."""

    lock: asyncio.Lock
    keys: tuple[jwk.Key, ...] = ()
    #: on the monotonic clock; None never
    fetched: float | None = None
    tried: float | None = None


class ProviderKeys:
    """The published keys of issuers, kept."""

    def __init__(self, web: Web, world: World) -> None:
        self._web, self._world = web, world
        self._known: dict[str, _Known] = {}

    async def candidates(self, issuer: str, kid: str | None) -> tuple[jwk.Key, ...]:
        """The keys that a token of `issuer` may be signed with. Raises `Unavailable` when they cannot be had."""
        known = self._known.setdefault(issuer, _Known(lock=asyncio.Lock()))
        async with known.lock:
            age = self._age(known.fetched)
            if age > _KEPT_S or not _named(known.keys, kid):
                await self._refresh(issuer, known)
            if self._age(known.fetched) > _STALE_S:
                raise Unavailable("The identity provider does not publish its keys at the moment.", retry_after_s=10)
            return _named(known.keys, kid)

    def _age(self, since: float | None) -> float:
        return float("inf") if since is None else self._world.monotonic() - since

    async def _refresh(self, issuer: str, known: _Known) -> None:
        if self._age(known.tried) < _PAUSE_S:
            return
        try:
            known.keys = await self._published(issuer)
            known.fetched = self._world.monotonic()
        except (Unreachable, msgspec.MsgspecError, UnicodeError) as error:
            _LOG.warning("the keys of an identity provider cannot be had", extra={"issuer": issuer, "why": str(error)})
        known.tried = self._world.monotonic()

    async def _published(self, issuer: str) -> tuple[jwk.Key, ...]:
        discovery = await discovered(self._web, issuer)
        published = msgspec.json.decode(await self._web.get(discovery.jwks_uri), type=_Keys)
        return tuple(key for document in published.keys if (key := _key(document)) is not None)


async def discovered(web: Web, issuer: str) -> Discovery:
    """What `issuer` publishes. Raises `Unreachable`, or `MsgspecError` and `UnicodeError` for what makes no sense."""
    found = await web.get(issuer.rstrip("/") + "/.well-known/openid-configuration")
    discovery = msgspec.json.decode(found, type=Discovery)
    if discovery.issuer != issuer:
        raise Unreachable(f"who answers there is {discovery.issuer}")
    return discovery


class BearerTokens:
    """Checks what somebody brings from an identity provider."""

    def __init__(self, web: Web, world: World) -> None:
        self._world = world
        self._keys = ProviderKeys(web, world)

    async def verified(self, provider: IdentityProvider, text: str) -> Mapping[str, Any]:
        """The claims of a token that `provider` has signed for this cloud.

        Raises `Unauthenticated`; `Forbidden` for somebody else's token; `Unavailable` when its keys cannot be had.
        """
        header, claims = _opened(text)
        issuer = claims.get("iss")
        if issuer not in provider.issuers():
            raise Forbidden("Incoming identity provider identifier not included among the accepted identifiers.")
        kid = header.get("kid")
        keys = await self._keys.candidates(str(issuer), kid if isinstance(kid, str) else None)
        if not any(_signed(text, key) for key in keys):
            raise _refused("no key of the provider has signed it", provider)
        now = self._world.now() // 1_000_000
        if (why := wrong_claims(claims, provider.audiences(), now)) is not None:
            raise _refused(why, provider)
        return claims


def wrong_claims(claims: Mapping[str, Any], audiences: tuple[str, ...], now: int) -> str | None:
    """Why a signed token is not to be taken at `now` (seconds since 1970); None when it is."""
    if not _is_time(claims.get("exp")) or claims["exp"] + _SKEW_S <= now:
        return "it has expired, or never does"
    for name in ("nbf", "iat"):
        if name in claims and not (_is_time(claims[name]) and claims[name] - _SKEW_S <= now):
            return "it is not valid yet"
    wanted = claims.get("aud")
    named = wanted if isinstance(wanted, list) else [wanted]
    if not any(audience in named for audience in audiences):
        return "it is for somebody else, or nobody has said whom tokens must be for"
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        return "it does not say whom it is about"
    # a note that somebody has logged out is signed for us, too
    return "it is no token to log in with" if "events" in claims else None


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _opened(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, unverified. Raises `Unauthenticated`."""
    try:
        if len(text) > _LONGEST:
            raise ValueError("too long")
        found = jws.extract_compact(text.encode("ascii"))
        claims = msgspec.json.decode(found.payload, type=dict[str, Any])
    except (JoseError, msgspec.MsgspecError, ValueError, TypeError, RecursionError):
        raise Unauthenticated(REJECTED) from None
    return dict(found.headers()), claims


def _signed(text: str, key: jwk.Key) -> bool:
    try:
        with warnings.catch_warnings():
            # old names of algorithms are the provider's affair
            warnings.simplefilter("ignore", SecurityWarning)
            jwt.decode(text, key, algorithms=_ALGORITHMS)
    except (JoseError, ValueError, TypeError, RecursionError):
        return False
    return True


def _key(document: dict[str, Any]) -> jwk.Key | None:
    """A published key that signatures can be checked with."""
    if document.get("kty") not in ("RSA", "EC", "OKP") or document.get("use", "sig") != "sig":
        return None
    try:
        return jwk.import_key(document)
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def _named(keys: tuple[jwk.Key, ...], kid: str | None) -> tuple[jwk.Key, ...]:
    """A token that names no key may be signed with any."""
    return keys if kid is None else tuple(key for key in keys if key.kid == kid)


def _refused(why: str, provider: IdentityProvider) -> Unauthenticated:
    _LOG.info("a token of an identity provider is refused", extra={"identity_provider": provider.id, "why": why})
    return Unauthenticated(REJECTED)
