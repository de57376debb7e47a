"""What the rules of all resources are made of."""

from __future__ import annotations

from kilostack.core.policy import Rule

SCOPES = ("system", "domain", "project")

ADMIN = "rule:admin_required"
VIEWER = "rule:admin_required or rule:system_reader"
USER_READER = "rule:admin_required or rule:system_reader or (role:reader and domain_id:%(target.user.domain_id)s)"
PROJECT_MANAGER = "rule:admin_required or (role:manager and domain_id:%(target.project.domain_id)s)"
USER_MANAGER = "rule:admin_required or (role:manager and domain_id:%(target.user.domain_id)s)"
OWNER_VIEWER = "rule:admin_required or rule:system_reader or rule:owner"

BASE = (
    Rule("admin_required", "role:admin"),
    Rule("system_reader", "role:reader and system_scope:all"),
    Rule("owner", "user_id:%(target.user.id)s"),
    Rule("token_subject", "user_id:%(target.token.user_id)s"),
    Rule("service_role", "role:service"),
)


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
