"""Rules about credentials, those of EC2 among them, and about who may have signatures checked."""

from __future__ import annotations

from kilostack.identity.app.policies.personas import ADMIN, NOT_DOMAIN, OWNER_VIEWER, VIEWER, rules

_OWNER = "user_id:%(target.credential.user_id)s"

RULES = (
    *rules(
        {
            "get_credential": f"{VIEWER} or {_OWNER}",
            "list_credentials": f"{VIEWER} or {_OWNER}",
            "create_credential": f"{ADMIN} or {_OWNER}",
            "update_credential": f"{ADMIN} or {_OWNER}",
            "delete_credential": f"{ADMIN} or {_OWNER}",
            "ec2tokens_validate": "rule:service_or_admin",
            "s3tokens_validate": "rule:service_or_admin",
        }
    ),
    *rules(
        {
            "ec2_get_credential": f"{VIEWER} or {_OWNER}",
            "ec2_list_credentials": OWNER_VIEWER,
            "ec2_create_credential": f"{ADMIN} or (role:member and {_OWNER})",
            "ec2_delete_credential": f"{ADMIN} or (role:member and {_OWNER})",
        },
        NOT_DOMAIN,
    ),
)
