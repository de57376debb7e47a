"""Who bears a token, answered from public keys and the revocations that identity tells: no call per request."""

from __future__ import annotations

import asyncio
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
#: for how long a key that identity did not know is not asked about again
_STRANGE_S = 60.0
_MOST_STRANGE = 1000
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
        #: how often identity was asked, when last, and the last time of these that it answered
        self._asked, self._asked_at, self._answered = 0, 0.0, 0
        self._look: asyncio.Task[None] | None = None
        #: keys that identity does not know, and since when
        self._strange: dict[bytes, float] = {}

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
        except UnknownKey as error:
            claims = await self._read_later(token, error.key)
        except BadToken:
            raise errors.Unauthenticated(_NO) from None
        # -1: the revocations are yet to be looked at
        entry = self._cache[token] = _Entry(claims, claims.context(), -1)
        if len(self._cache) > _CACHED:
            del self._cache[next(iter(self._cache))]
        return entry

    async def _read_later(self, token: str, key: bytes) -> Claims:
        """The claims of a token whose key may be younger than the last look."""
        strange_since = self._strange.get(key)
        if strange_since is not None and self._world.monotonic() - strange_since < _STRANGE_S:
            raise errors.Unauthenticated(_NO)
        await self._look_again()
        try:
            return self._keys.read(token)
        except UnknownKey:
            # a key is known to identity before it signs anything: what is unknown now never was one
            self._strange[key] = self._world.monotonic()
            if len(self._strange) > _MOST_STRANGE:
                del self._strange[next(iter(self._strange))]
            raise errors.Unauthenticated(_NO) from None
        except BadToken:
            raise errors.Unauthenticated(_NO) from None

    async def _look_again(self) -> None:
        """Return when identity has been asked, and has answered, after now. Raises `Unavailable`.

        However many wait, identity is asked once for all of them, and never faster than one time in `_SHORTEST_S`.
        """
        asked = self._asked
        for _ in range(2):
            if self._look is None or self._look.done():
                self._look = self._world.spawn(self._look_soon(), "token-keys")
            # the first may have asked before now
            await asyncio.shield(self._look)
            if self._answered > asked:
                return
        raise errors.Unavailable("The token cannot be checked yet; try again.", retry_after_s=1)

    async def _look_soon(self) -> None:
        await self._world.sleep(max(0.0, self._asked_at + _SHORTEST_S - self._world.monotonic()))
        await self._try_follow()

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
        asked_at = self._asked_at = self._world.monotonic()
        asked = self._asked = self._asked + 1
        actor = Actor(ctx=context.internal("req-" + self._world.new_id()))
        rules = await self._calls.call(CHANGES, ChangesAsked(self._last), actor)
        if rules.last < self._last:
            # identity was restored from a backup: its numbers began anew
            self._revocations.clear()
            self._cache.clear()
            self._last = 0
            rules = await self._calls.call(CHANGES, ChangesAsked(0), actor)
        self._take(rules)
        self._answered = max(self._answered, asked)
        self._fresh_at = asked_at if self._fresh_at is None else max(asked_at, self._fresh_at)

    def _take(self, rules: TokenRules) -> None:
        known = tuple(key.public for key in rules.keys)
        if known != self._known:
            self._keys, self._known = PublicKeys.of(*known), known
            self._cache.clear()
        self._revocations.add(rules.revocations, self._world.now())
        self._last = max(self._last, rules.last)
