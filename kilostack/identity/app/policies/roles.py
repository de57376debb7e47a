"""Rules about roles and about who has them where."""

from __future__ import annotations

from kilostack.identity.app.policies.personas import ADMIN, VIEWER, resource, rules

RULES = rules(
    {
        **resource("role", "roles", f"{VIEWER} or role:manager", ADMIN),
        "check_grant": f"{VIEWER} or (role:reader and domain_id:%(target.scope.domain_id)s)",
        "list_grants": f"{VIEWER} or (role:reader and domain_id:%(target.scope.domain_id)s)",
        "create_grant": ADMIN,
        "revoke_grant": ADMIN,
        "check_system_grant_for_user": VIEWER,
        "list_system_grants_for_user": VIEWER,
        "create_system_grant_for_user": ADMIN,
        "revoke_system_grant_for_user": ADMIN,
        "list_role_assignments": f"{VIEWER} or (role:reader and domain_id:%(target.domain_id)s)",
    }
)
