"""Groups of users."""

from __future__ import annotations

from typing import Any

import msgspec


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Users who are given roles together. Names are unique per domain."""

    id: str
    name: str
    domain_id: str
    description: str | None = ""
    #: attributes that clients made up
    extra: dict[str, Any] = {}
    generation: int = 1
    revision: int = 1


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A user is in a group."""

    group_id: str
    user_id: str
