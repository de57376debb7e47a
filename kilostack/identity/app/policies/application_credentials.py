"""Rules about application credentials."""

from __future__ import annotations

from kilostack.identity.app.policies.personas import ADMIN, OWNER_VIEWER, rules

RULES = rules(
    {
        "get_application_credential": OWNER_VIEWER,
        "list_application_credentials": OWNER_VIEWER,
        "create_application_credential": "rule:owner",
        "delete_application_credential": f"{ADMIN} or rule:owner",
    }
)
