"""What every process follows of identity: the keys that tokens are signed with, and what was revoked."""

from __future__ import annotations

import msgspec

from kilostack.wire.calls import Op
from kilostack.wire.hosts import ChangesAsked

#: hinted after each commit that revokes something or adds a key
TOPIC = "identity.feed"


class TokenKey(msgspec.Struct, frozen=True):
    """The public half of a signing key."""

    public: bytes


class Revocation(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of `subject` (as `core.token.Claims.subjects` names it) with a number below `before` are void."""

    subject: str
    before: int
    #: microseconds since 1970; later, every such token has expired anyway
    until: int


class TokenRules(msgspec.Struct, frozen=True, kw_only=True):
    """All keys, and the revocations after the number asked for."""

    last: int
    keys: tuple[TokenKey, ...]
    revocations: tuple[Revocation, ...] = ()


#: idempotent; `after` 0 asks for every revocation that still matters
CHANGES: Op[ChangesAsked, TokenRules] = Op("identity.changes", ChangesAsked, TokenRules)
