"""Rules about tokens, and what their bearers may turn them into."""

from __future__ import annotations

from kilostack.identity.app.policies.personas import ADMIN, ANY_SCOPE, VIEWER, rules

RULES = (
    *rules(
        {
            "check_token": f"{VIEWER} or rule:token_subject",
            "validate_token": f"{VIEWER} or rule:service_role or rule:token_subject",
            "revoke_token": f"{ADMIN} or rule:token_subject",
            "revoke_tokens_for_user": "rule:admin_or_owner",
        }
    ),
    *rules(
        {"get_auth_catalog": "@", "get_auth_projects": "@", "get_auth_domains": "@", "get_auth_system": "@"}, ANY_SCOPE
    ),
)
