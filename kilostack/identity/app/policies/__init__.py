"""Who may do what in identity: upstream's rule names with the defaults of its secure personas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kilostack.core.context import Context
from kilostack.core.errors import Forbidden
from kilostack.core.policy import Policy, Rule
from kilostack.identity.app.policies import (
    application_credentials,
    catalog,
    credentials,
    endpoint_filter,
    federation,
    groups,
    limits,
    oauth1,
    policy_documents,
    projects,
    revocations,
    roles,
    tokens,
    trusts,
    users,
)
from kilostack.identity.app.policies.personas import BASE

RULES: tuple[Rule, ...] = (
    *BASE,
    *application_credentials.RULES,
    *catalog.RULES,
    *credentials.RULES,
    *endpoint_filter.RULES,
    *federation.RULES,
    *groups.RULES,
    *limits.RULES,
    *oauth1.RULES,
    *policy_documents.RULES,
    *projects.RULES,
    *revocations.RULES,
    *roles.RULES,
    *tokens.RULES,
    *trusts.RULES,
    *users.RULES,
)


class Access:
    """The compiled policy, asked in identity's words."""

    def __init__(self, overrides: Mapping[str, str]) -> None:
        self._policy = Policy(RULES, overrides)

    def allows(self, ctx: Context, action: str, target: Mapping[str, Any]) -> bool:
        """Whether `identity:<action>` is allowed on `target` (the value of upstream's `target.`).

        Rules of operators may read the same without `target.`, and the id of each thing as in its path (`user_id`).
        """
        seen: dict[str, Any] = {"target": target}
        for kind, fields in target.items():
            seen[kind] = fields
            if isinstance(fields, Mapping) and "id" in fields:
                seen[f"{kind}_id"] = fields["id"]
        return self._policy.allows(ctx, f"identity:{action}", seen)

    def check(self, ctx: Context, action: str, target: Mapping[str, Any]) -> None:
        """Raise `Forbidden` unless it is."""
        if not self.allows(ctx, action, target):
            raise forbidden(f"identity:{action}")


def forbidden(action: str) -> Forbidden:
    return Forbidden(f"You are not authorized to perform the requested action: {action}.")
