"""Trusts: one user lets another act with some of their roles on one project."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec

#: how often a trust may be handed on, at most
MOST_REDELEGATIONS = 3


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """What the trustor lets the trustee do. `remaining_uses` alone ever changes, and only downwards."""

    id: str
    trustor_user_id: str
    trustee_user_id: str
    #: tokens of it show the trustor as their user
    impersonation: bool
    #: None: nothing can be done with it
    project_id: str | None = None
    role_ids: tuple[str, ...] = ()
    #: microseconds since 1970; None never
    expires_at: int | None = None
    #: None: any number
    remaining_uses: int | None = None
    #: the trust that its trustor was given, and hands on by this one
    redelegated_trust_id: str | None = None
    #: how often it may be handed on
    redelegation_count: int = 0
    #: attributes that clients made up
    extra: dict[str, Any] = {}

    def is_usable(self, now: int) -> bool:
        """Whether it has neither expired nor been used up."""
        return (self.expires_at is None or self.expires_at >= now) and self.remaining_uses != 0


def refusal(parent: Trust, child: Trust) -> str | None:
    """Why `parent` may not be handed on as `child`; None when it may."""
    if not 0 < parent.redelegation_count <= MOST_REDELEGATIONS:
        return f"Remaining redelegation depth of {parent.redelegation_count} is not within 1..{MOST_REDELEGATIONS}"
    if child.remaining_uses is not None:
        return "remaining_uses must not be set in order to redelegate a trust"
    if parent.expires_at is not None and (child.expires_at is None or child.expires_at > parent.expires_at):
        return "Requested expiration time is more than redelegated trust can provide"
    if not set(parent.role_ids).issuperset(child.role_ids):
        return "Some of requested roles are not in redelegated trust"
    if child.project_id != parent.project_id:
        return "A redelegated trust is for the same project"
    if child.impersonation and not parent.impersonation:
        return f"Impersonation is not allowed because redelegated trust {parent.id} does not specify it"
    return None


def chain_refusal(chain: Sequence[Trust]) -> str | None:
    """Why a chain, the newest trust first, does not hold; None when it does."""
    found = (refusal(parent, child) for child, parent in pairwise(chain))
    return next((why for why in found if why is not None), None)
