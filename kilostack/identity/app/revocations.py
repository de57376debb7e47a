"""The list of what ended tokens before their time, for those who read it instead of asking about each token."""

from __future__ import annotations

import msgspec

from kilostack.core.context import Context
from kilostack.identity.app.ground import Ground
from kilostack.identity.store import tokens as store
from kilostack.wire.identity_calls import Revocation

#: first word of a subject -> what the list calls it
_NAMES = {
    "audit": "audit_id",
    "chain": "audit_chain_id",
    "user": "user_id",
    "project": "project_id",
    "domain": "domain_id",
    "role": "role_id",
    "trust": "trust_id",
    "consumer": "consumer_id",
}
_SCOPES = {"project": "project_id", "domain": "domain_id"}


class Event(msgspec.Struct, frozen=True):
    """Tokens with all these values that were issued before `at` have ended."""

    about: dict[str, str]
    #: in microseconds
    at: int


class Revocations:
    """What has been revoked and still matters."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def events(self, ctx: Context, since: int | None) -> list[Event]:
        """Events after `since`, oldest first. What upstream has no word for is not in the list."""
        self._ground.access.check(ctx, "list_revoke_events", {})
        now = self._ground.world.now()
        rules = await self._ground.db.read(lambda tx: store.rules(tx, 0, now))
        found = [event for event in (self._event(one, now) for one in rules.revocations) if event is not None]
        return [event for event in found if since is None or event.at > since]

    def _event(self, revocation: Revocation, now: int) -> Event | None:
        kind, _, rest = revocation.subject.partition(" ")
        parts = rest.split(" ")
        if kind not in _NAMES or (len(parts) > 1 and (kind != "user" or len(parts) != 3)):
            return None
        about = {_NAMES[kind]: parts[0]}
        if len(parts) == 3:
            if parts[1] not in _SCOPES:
                return None
            about[_SCOPES[parts[1]]] = parts[2]
        # a revocation is kept for the longest life of a token
        return Event(about, min(now, revocation.until - self._ground.token_life))
