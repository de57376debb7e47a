"""Rules about unified limits."""

from __future__ import annotations

from kilostack.identity.app.policies.personas import ADMIN, NOT_DOMAIN, SCOPES, VIEWER, rules

_OWN = (
    "domain_id:%(target.limit.domain.id)s or domain_id:%(target.limit.project.domain_id)s "
    "or project_id:%(target.limit.project_id)s"
)

RULES = (
    *rules(
        {
            "get_limit_model": "@",
            "get_registered_limit": "@",
            "list_registered_limits": "@",
            "get_limit": f"{VIEWER} or {_OWN}",
            "list_limits": "@",
        },
        SCOPES,
    ),
    *rules(
        {
            "create_registered_limits": ADMIN,
            "update_registered_limit": ADMIN,
            "delete_registered_limit": ADMIN,
            "create_limits": ADMIN,
            "update_limit": ADMIN,
            "delete_limit": ADMIN,
        },
        NOT_DOMAIN,
    ),
)
