"""What the rules of all resources are made of."""

from __future__ import annotations

from kilostack.core.policy import Rule

SCOPES = ("system", "domain", "project")
#: what is about the whole cloud, and so about no domain's own
NOT_DOMAIN = ("system", "project")
PROJECT = ("project",)
ANY_SCOPE: tuple[str, ...] = ()

ADMIN = "rule:admin_required"
VIEWER = "rule:admin_required or rule:system_reader"
USER_READER = "rule:admin_required or rule:system_reader or (role:reader and domain_id:%(target.user.domain_id)s)"
USER_MANAGER = "rule:admin_required or (role:manager and domain_id:%(target.user.domain_id)s)"
OWNER_VIEWER = "rule:admin_required or rule:system_reader or rule:owner"

_PARTS = {
    "admin_required": "role:admin or is_admin:1",
    "service_role": "role:service",
    "service_or_admin": "rule:admin_required or rule:service_role",
    "system_reader": "role:reader and system_scope:all",
    "owner": "user_id:%(target.user.id)s",
    "admin_or_owner": "rule:admin_required or rule:owner",
    "token_subject": "user_id:%(target.token.user_id)s",
    "admin_or_token_subject": "rule:admin_required or rule:token_subject",
    "service_admin_or_token_subject": "rule:service_or_admin or rule:token_subject",
    "domain_managed_target_role": (
        "'manager':%(target.role.name)s or 'member':%(target.role.name)s or 'reader':%(target.role.name)s"
    ),
}
#: what other rules refer to; the names are upstream's, for the sake of operators' files
BASE = tuple(Rule(name, check, scope_types=ANY_SCOPE) for name, check in _PARTS.items())


def resource(singular: str, plural: str, read: str, write: str, listed: str = "") -> dict[str, str]:
    """The five operations of a collection."""
    return {
        f"get_{singular}": read,
        f"list_{plural}": listed or read,
        f"create_{singular}": write,
        f"update_{singular}": write,
        f"delete_{singular}": write,
    }


def rules(checks: dict[str, str], scope_types: tuple[str, ...] = SCOPES) -> tuple[Rule, ...]:
    """A rule for each operation, under the name that upstream gives it."""
    return tuple(Rule(f"identity:{name}", check, scope_types=scope_types) for name, check in checks.items())
