"""Rules about application credentials and what they may be used for."""

from __future__ import annotations

from kilostack.identity.app.policies.personas import ADMIN, NOT_DOMAIN, OWNER_VIEWER, PROJECT, rules

RULES = (
    *rules(
        {
            "get_application_credential": OWNER_VIEWER,
            "list_application_credentials": OWNER_VIEWER,
            "delete_application_credential": f"{ADMIN} or rule:owner",
        },
        NOT_DOMAIN,
    ),
    *rules(
        {
            "get_access_rule": "rule:system_reader or rule:owner",
            "list_access_rules": "rule:system_reader or rule:owner",
            "delete_access_rule": "(role:admin and system_scope:all) or rule:owner",
        },
        NOT_DOMAIN,
    ),
    *rules({"create_application_credential": "rule:owner"}, PROJECT),
)
