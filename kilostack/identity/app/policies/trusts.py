"""Rules about trusts."""

from __future__ import annotations

from kilostack.identity.app.policies.personas import ADMIN, NOT_DOMAIN, PROJECT, VIEWER, rules

_TRUSTOR = "user_id:%(target.trust.trustor_user_id)s"
_TRUSTEE = "user_id:%(target.trust.trustee_user_id)s"

RULES = (
    *rules({"create_trust": _TRUSTOR}, PROJECT),
    *rules(
        {
            "list_trusts": VIEWER,
            "list_trusts_for_trustor": f"{VIEWER} or {_TRUSTOR}",
            "list_trusts_for_trustee": f"{VIEWER} or {_TRUSTEE}",
            "get_trust": f"{VIEWER} or {_TRUSTOR} or {_TRUSTEE}",
            "list_roles_for_trust": f"{VIEWER} or {_TRUSTOR} or {_TRUSTEE}",
            "get_role_for_trust": f"{VIEWER} or {_TRUSTOR} or {_TRUSTEE}",
            "delete_trust": f"{ADMIN} or {_TRUSTOR}",
        },
        NOT_DOMAIN,
    ),
)
