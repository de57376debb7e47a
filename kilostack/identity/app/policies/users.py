"""Rules about users."""

from __future__ import annotations

from kilostack.identity.app.policies.personas import USER_MANAGER, USER_READER, VIEWER, resource, rules

RULES = rules(
    {
        **resource(
            "user",
            "users",
            f"{USER_READER} or rule:owner",
            USER_MANAGER,
            listed=f"{VIEWER} or (role:reader and domain_id:%(target.domain_id)s)",
        ),
        "list_user_projects": f"{USER_READER} or rule:owner",
    }
)
