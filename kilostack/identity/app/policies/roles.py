"""Rules about roles and about who has them where."""

from __future__ import annotations

from kilostack.identity.app.policies.personas import ADMIN, NOT_DOMAIN, VIEWER, resource, rules

_ROLE_FITS = "(domain_id:%(target.role.domain_id)s or None:%(target.role.domain_id)s)"


def _within(role: str) -> str:
    """Somebody who has `role` on the domain of both the actor and the place."""
    parts = [
        f"(role:{role} and domain_id:%(target.{actor}.domain_id)s and domain_id:%(target.{place})s)"
        for actor in ("user", "group")
        for place in ("project.domain_id", "domain.id")
    ]
    return f"({' or '.join(parts)})"


# a role of another domain may be called what it likes
_WRITE = (
    f"{ADMIN} or ({_within('admin')} and {_ROLE_FITS}) "
    f"or ({_within('manager')} and rule:domain_managed_target_role and {_ROLE_FITS})"
)
_ASSIGNMENTS = f"{VIEWER} or (role:reader and domain_id:%(target.domain_id)s and not None:%(target.domain_id)s)"

RULES = (
    *rules(
        {
            "get_role": f"{VIEWER} or (role:manager and rule:domain_managed_target_role)",
            "list_roles": f"{VIEWER} or (role:manager and not domain_id:None)",
            "check_grant": f"{VIEWER} or ({_within('reader')} and {_ROLE_FITS})",
            "list_grants": f"{VIEWER} or {_within('reader')}",
            "create_grant": _WRITE,
            "revoke_grant": _WRITE,
            "list_role_assignments": _ASSIGNMENTS,
            "list_role_assignments_for_tree": _ASSIGNMENTS,
        }
    ),
    *rules(
        {
            "create_role": ADMIN,
            "update_role": ADMIN,
            "delete_role": ADMIN,
            **resource("domain_role", "domain_roles", VIEWER, ADMIN),
            **{f"{verb}_implied_role": VIEWER for verb in ("get", "check")},
            **{f"{verb}_implied_role": ADMIN for verb in ("create", "delete")},
            "list_implied_roles": VIEWER,
            "list_role_inference_rules": VIEWER,
            **{
                f"{verb}_for_{actor}": check
                for actor in ("user", "group")
                for verb, check in (
                    ("check_system_grant", VIEWER),
                    ("list_system_grants", VIEWER),
                    ("create_system_grant", ADMIN),
                    ("revoke_system_grant", ADMIN),
                )
            },
        },
        NOT_DOMAIN,
    ),
)
