"""Who may do what in identity: upstream's rule names with the defaults of its secure personas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kilostack.core.context import Context
from kilostack.core.errors import Forbidden
from kilostack.core.policy import Policy, Rule

_SCOPES = ("system", "domain", "project")

_ADMIN = "rule:admin_required"
_VIEWER = "rule:admin_required or rule:system_reader"
_USER_READER = "rule:admin_required or rule:system_reader or (role:reader and domain_id:%(target.user.domain_id)s)"
_PROJECT_MANAGER = "rule:admin_required or (role:manager and domain_id:%(target.project.domain_id)s)"
_USER_MANAGER = "rule:admin_required or (role:manager and domain_id:%(target.user.domain_id)s)"
_OWNER_VIEWER = "rule:admin_required or rule:system_reader or rule:owner"

_BASE = (
    Rule("admin_required", "role:admin"),
    Rule("system_reader", "role:reader and system_scope:all"),
    Rule("owner", "user_id:%(target.user.id)s"),
    Rule("token_subject", "user_id:%(target.token.user_id)s"),
    Rule("service_role", "role:service"),
)


def _resource(singular: str, plural: str, read: str, write: str, listed: str = "") -> dict[str, str]:
    return {
        f"get_{singular}": read,
        f"list_{plural}": listed or read,
        f"create_{singular}": write,
        f"update_{singular}": write,
        f"delete_{singular}": write,
    }


_CHECKS = {
    **_resource("region", "regions", "@", _ADMIN),
    **_resource("service", "services", _VIEWER, _ADMIN),
    **_resource("endpoint", "endpoints", _VIEWER, _ADMIN),
    **_resource(
        "domain",
        "domains",
        f"{_VIEWER} or domain_id:%(target.domain.id)s or project_domain_id:%(target.domain.id)s",
        _ADMIN,
        listed=_VIEWER,
    ),
    **_resource(
        "project",
        "projects",
        f"{_VIEWER} or (role:reader and domain_id:%(target.project.domain_id)s) or project_id:%(target.project.id)s",
        _PROJECT_MANAGER,
        listed=f"{_VIEWER} or (role:reader and domain_id:%(target.project.domain_id)s)",
    ),
    **_resource("user", "users", f"{_USER_READER} or rule:owner", _USER_MANAGER, listed=_USER_READER),
    **_resource("role", "roles", f"{_VIEWER} or role:manager", _ADMIN),
    "list_user_projects": f"{_USER_READER} or rule:owner",
    "check_grant": f"{_VIEWER} or (role:reader and domain_id:%(target.scope.domain_id)s)",
    "list_grants": f"{_VIEWER} or (role:reader and domain_id:%(target.scope.domain_id)s)",
    "create_grant": _ADMIN,
    "revoke_grant": _ADMIN,
    "check_system_grant_for_user": _VIEWER,
    "list_system_grants_for_user": _VIEWER,
    "create_system_grant_for_user": _ADMIN,
    "revoke_system_grant_for_user": _ADMIN,
    "list_role_assignments": f"{_VIEWER} or (role:reader and domain_id:%(target.domain_id)s)",
    "get_application_credential": _OWNER_VIEWER,
    "list_application_credentials": _OWNER_VIEWER,
    "create_application_credential": "rule:owner",
    "delete_application_credential": f"{_ADMIN} or rule:owner",
    "check_token": f"{_VIEWER} or rule:token_subject",
    "validate_token": f"{_VIEWER} or rule:service_role or rule:token_subject",
    "revoke_token": f"{_ADMIN} or rule:token_subject",
    "get_auth_catalog": "@",
    "get_auth_projects": "@",
    "get_auth_domains": "@",
    "get_auth_system": "@",
}

RULES = (*_BASE, *(Rule(f"identity:{name}", check, scope_types=_SCOPES) for name, check in _CHECKS.items()))


class Access:
    """The compiled policy, asked in identity's words."""

    def __init__(self, overrides: Mapping[str, str]) -> None:
        self._policy = Policy(RULES, overrides)

    def allows(self, ctx: Context, action: str, target: Mapping[str, Any]) -> bool:
        """Whether `identity:<action>` is allowed on `target` (the value of upstream's `target.`)."""
        return self._policy.allows(ctx, f"identity:{action}", {"target": target})

    def check(self, ctx: Context, action: str, target: Mapping[str, Any]) -> None:
        """Raise `Forbidden` unless it is."""
        if not self.allows(ctx, action, target):
            raise forbidden(f"identity:{action}")


def forbidden(action: str) -> Forbidden:
    return Forbidden(f"You are not authorized to perform the requested action: {action}.")
