"""Who bears a token, answered from public keys and the revocations that identity tells: no call per request."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import msgspec

from kilostack.bus.hints import Hints
from kilostack.core import context, errors
from kilostack.core.context import Context
from kilostack.core.token import BadToken, Claims, PublicKeys, UnknownKey
from kilostack.core.world import World
from kilostack.wire.calls import Actor, Calls
from kilostack.wire.hosts import ChangesAsked
from kilostack.wire.identity_calls import CHANGES, TOPIC, Revocation, TokenRules

_LOG = logging.getLogger("kilostack.http.verifier")
_CACHED = 20_000
_POLL_S = 1.0
_SHORTEST_S = 0.1
#: a feed that is older than this may hide a revocation for too long: writes stop
_STALE_S = 30.0
_NO = "The request you have made requires authentication."


class Revocations:
    """What is revoked: per subject the number below which its tokens are void."""

    def __init__(self) -> None:
        self._before: dict[str, Revocation] = {}

    def add(self, revocations: Iterable[Revocation], now: int) -> None:
        for revocation in revocations:
            known = self._before.get(revocation.subject)
            if known is None or known.before < revocation.before:
                self._before[revocation.subject] = revocation
        if len(self._before) > 1000:
            self._before = {name: found for name, found in self._before.items() if found.until > now}

    def clear(self) -> None:
        self._before.clear()

    def voids(self, claims: Claims) -> bool:
        """Whether something that `claims` depend on was revoked after they were read."""
        for subject in claims.subjects():
            found = self._before.get(subject)
            if found is not None and claims.number < found.before:
                return True
        return False


class _Entry(msgspec.Struct):
    claims: Claims
    context: Context
    #: number of the feed up to which revocations were looked at
    checked: int


class Verifier:
    """An `Authenticator` that follows identity's feed through `calls`; every process has one."""

    def __init__(self, calls: Calls, hints: Hints, world: World) -> None:
        self._calls, self._hints, self._world = calls, hints, world
        self._keys = PublicKeys()
        self._known: tuple[bytes, ...] = ()
        self._revocations = Revocations()
        self._cache: dict[str, _Entry] = {}
        self._last = 0
        self._fresh_at: float | None = None

    async def start(self) -> None:
        """Follow identity from now on. Returns after the first try, whether or not identity answered."""
        listener = self._hints.listen(TOPIC)
        await self._try_follow()

        async def follow() -> None:
            try:
                while True:
                    await listener.wait(_POLL_S)
                    await self._try_follow()
            finally:
                listener.close()

        self._world.spawn(follow(), "token-rules")

    async def context(self, token: str, *, writing: bool) -> Context:
        """The caller (request ids left empty). Raises `Unauthenticated`, or `Unavailable` as `Authenticator` says."""
        entry = self._cache.get(token)
        if entry is None:
            entry = await self._entered(token)
        if entry.claims.expires_at <= self._world.now():
            self._cache.pop(token, None)
            raise errors.Unauthenticated(_NO)
        if entry.checked != self._last:
            if self._revocations.voids(entry.claims):
                raise errors.Unauthenticated(_NO)
            entry.checked = self._last
        if writing:
            self._check_fresh()
        return entry.context

    async def _entered(self, token: str) -> _Entry:
        if self._fresh_at is None:
            raise errors.Unavailable("Tokens cannot be checked yet; try again.", retry_after_s=1)
        try:
            claims = self._keys.read(token)
        except UnknownKey:
            # a key can be younger than the last look; whoever makes such tokens up must not make us ask each time
            if self._world.monotonic() - self._fresh_at > _SHORTEST_S:
                await self._try_follow()
            claims = self._read_again(token)
        except BadToken:
            raise errors.Unauthenticated(_NO) from None
        # -1: the revocations are yet to be looked at
        entry = self._cache[token] = _Entry(claims, claims.context(), -1)
        if len(self._cache) > _CACHED:
            del self._cache[next(iter(self._cache))]
        return entry

    def _read_again(self, token: str) -> Claims:
        try:
            return self._keys.read(token)
        except BadToken:
            raise errors.Unauthenticated(_NO) from None

    def _check_fresh(self) -> None:
        if self._fresh_at is None or self._world.monotonic() - self._fresh_at > _STALE_S:
            raise errors.Unavailable(
                "Changes are refused for now: the identity service cannot say which tokens were revoked.",
                retry_after_s=1,
            )

    async def _try_follow(self) -> None:
        try:
            await self._follow()
        except errors.Error as error:
            _LOG.warning("identity does not tell its revocations: %s", error.message)
        except Exception:
            # whatever came back, the next look may be better; until then the feed ages and stops writes
            _LOG.exception("what identity tells cannot be followed")

    async def _follow(self) -> None:
        asked_at = self._world.monotonic()
        actor = Actor(ctx=context.internal("req-" + self._world.new_id()))
        rules = await self._calls.call(CHANGES, ChangesAsked(self._last), actor)
        if rules.last < self._last:
            # identity was restored from a backup: its numbers began anew
            self._revocations.clear()
            self._cache.clear()
            self._last = 0
            rules = await self._calls.call(CHANGES, ChangesAsked(0), actor)
        self._take(rules)
        self._fresh_at = asked_at if self._fresh_at is None else max(asked_at, self._fresh_at)

    def _take(self, rules: TokenRules) -> None:
        known = tuple(key.public for key in rules.keys)
        if known != self._known:
            self._keys, self._known = PublicKeys.of(*known), known
            self._cache.clear()
        self._revocations.add(rules.revocations, self._world.now())
        self._last = max(self._last, rules.last)
