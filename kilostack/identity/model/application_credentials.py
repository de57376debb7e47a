"""Application credentials: a secret that stands for a user on one project, with some of their roles."""

from __future__ import annotations

import msgspec


class ApplicationCredential(msgspec.Struct, frozen=True, kw_only=True):
    """Names are unique per user. Only a keyed hash of the secret is kept."""

    id: str
    user_id: str
    project_id: str
    name: str
    secret_hash: str
    role_ids: tuple[str, ...]
    description: str | None = None
    #: may manage application credentials itself; None where nobody said so, which means no
    unrestricted: bool | None = None
    #: what it may be used for, and nothing else; none at all stands for everything
    access_rule_ids: tuple[str, ...] = ()
    #: microseconds since 1970; None never expires
    expires_at: int | None = None
