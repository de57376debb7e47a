"""Rules about groups and their members."""

from __future__ import annotations

from kilostack.identity.app.policies.personas import USER_READER, resource, rules

_READER = "rule:admin_required or rule:system_reader or (role:reader and domain_id:%(target.group.domain_id)s)"
_MANAGER = "rule:admin_required or (role:manager and domain_id:%(target.group.domain_id)s)"
_BOTH = "domain_id:%(target.group.domain_id)s and domain_id:%(target.user.domain_id)s"

RULES = rules(
    {
        **resource("group", "groups", _READER, _MANAGER),
        "list_groups_for_user": f"{USER_READER} or rule:owner",
        "list_users_in_group": _READER,
        "check_user_in_group": f"rule:admin_required or rule:system_reader or (role:reader and {_BOTH})",
        "add_user_to_group": f"rule:admin_required or (role:manager and {_BOTH})",
        "remove_user_from_group": f"rule:admin_required or (role:manager and {_BOTH})",
    }
)
