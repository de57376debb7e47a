"""Rules about OAuth 1."""

from __future__ import annotations

from kilostack.identity.app.policies.personas import ADMIN, NOT_DOMAIN, PROJECT, VIEWER, resource, rules

RULES = (
    *rules(resource("consumer", "consumers", VIEWER, ADMIN), NOT_DOMAIN),
    *rules(
        dict.fromkeys(
            (
                "authorize_request_token",
                "get_access_token",
                "get_access_token_role",
                "list_access_tokens",
                "list_access_token_roles",
                "delete_access_token",
            ),
            ADMIN,
        ),
        PROJECT,
    ),
)
