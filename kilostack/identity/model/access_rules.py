"""Access rules: requests that application credentials of a user may make."""

from __future__ import annotations

import msgspec


class UserRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, once per user however many of their credentials it is for. The counters are there to be locked."""

    id: str
    user_id: str
    service: str
    path: str
    method: str
    generation: int = 1
    revision: int = 1
