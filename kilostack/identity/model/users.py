"""Users."""

from __future__ import annotations

from typing import Any

import msgspec


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who can log in. `password_hash` is argon2's own text; None cannot log in by password."""

    id: str
    name: str
    domain_id: str
    enabled: bool = True
    default_project_id: str | None = None
    password_hash: str | None = None
    #: microseconds since 1970; None without a password
    password_created_at: int | None = None
    #: microseconds since 1970; None never
    password_expires_at: int | None = None
    #: the user has chosen the password, not an administrator
    password_self_chosen: bool = False
    #: what an administrator has set of `OPTIONS`, by upstream's names
    options: dict[str, Any] = {}
    #: microseconds since 1970; 0: not known
    created_at: int = 0
    #: when the user last logged in or was enabled, to the day; None: not yet, or nobody asks for it
    active_at: int | None = None
    #: attributes that clients made up, `description` and `email` among them
    extra: dict[str, Any] = {}
    generation: int = 1
    revision: int = 1


#: options that are on or off, as upstream calls them
SWITCHES = (
    "ignore_change_password_upon_first_use",
    "ignore_lockout_failure_attempts",
    "ignore_password_expiry",
    "ignore_user_inactivity",
    "lock_password",
    "multi_factor_auth_enabled",
)
#: the option that lists combinations of methods, of which a login must show one
MULTI_FACTOR_RULES = "multi_factor_auth_rules"
OPTIONS = (*SWITCHES, MULTI_FACTOR_RULES)


def with_options(options: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Options after a change: what is null is taken away, what is not named stays."""
    changed = options | wanted
    return {name: changed[name] for name in OPTIONS if changed.get(name) is not None}
