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
    #: attributes that clients made up, `description` and `email` among them
    extra: dict[str, Any] = {}
    generation: int = 1
    revision: int = 1
