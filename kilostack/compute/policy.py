"""Who may do what in compute: upstream's rule names with the defaults of its personas."""

from __future__ import annotations

from kilostack.core.policy import Rule

_ADMIN = "rule:context_is_admin"
_MEMBER = "rule:project_member_or_admin"
_READER = "rule:project_reader_or_admin"
_ANYBODY = "@"
_THE_USER = f"({_ADMIN}) or user_id:%(user_id)s"

_BASE = (
    Rule("context_is_admin", "role:admin", "An administrator of the cloud.", scope_types=()),
    Rule("admin_api", "is_admin:True", "Kept for rules of older files.", scope_types=()),
    Rule("project_manager", "role:manager and project_id:%(project_id)s", scope_types=()),
    Rule("project_member", "role:member and project_id:%(project_id)s", scope_types=()),
    Rule("project_reader", "role:reader and project_id:%(project_id)s", scope_types=()),
    Rule("project_manager_or_admin", f"rule:project_manager or {_ADMIN}", scope_types=()),
    Rule("project_member_or_admin", f"rule:project_member or {_ADMIN}", scope_types=()),
    Rule("project_reader_or_admin", f"rule:project_reader or {_ADMIN}", scope_types=()),
)

#: check -> rules below "os_compute_api:"
_DEFAULTS: dict[str, tuple[str, ...]] = {
    _READER: (
        "servers:index",
        "servers:detail",
        "servers:show",
        "servers:show:flavor-extra-specs",
        "ips:index",
        "ips:show",
        "server-metadata:index",
        "server-metadata:show",
        "os-server-tags:index",
        "os-server-tags:show",
        "os-security-groups:get",
        "os-security-groups:list",
        "os-instance-actions:list",
        "os-instance-actions:show",
        "os-attach-interfaces:list",
        "os-attach-interfaces:show",
        "os-flavor-extra-specs:index",
        "os-flavor-extra-specs:show",
        "os-quota-sets:show",
        "os-quota-sets:detail",
    ),
    _MEMBER: (
        "servers:create",
        "servers:create:attach_network",
        "servers:delete",
        "servers:update",
        "servers:start",
        "servers:stop",
        "servers:reboot",
        "server-metadata:create",
        "server-metadata:update",
        "server-metadata:update_all",
        "server-metadata:delete",
        "os-server-tags:update",
        "os-server-tags:update_all",
        "os-server-tags:delete",
        "os-server-tags:delete_all",
        "os-security-groups:add",
        "os-security-groups:remove",
        "os-lock-server:lock",
        "os-lock-server:unlock",
        "os-console-output",
    ),
    _ADMIN: (
        "servers:index:get_all_tenants",
        "servers:detail:get_all_tenants",
        "servers:allow_all_filters",
        "servers:show:host_status",
        "servers:show:host_status:unknown-only",
        "servers:create:forced_host",
        "servers:create:zero_disk_flavor",
        "os-extended-server-attributes",
        "os-instance-actions:events",
        "os-instance-actions:events:details",
        "os-lock-server:unlock:unlock_override",
        "os-flavor-manage:create",
        "os-flavor-manage:update",
        "os-flavor-manage:delete",
        "os-flavor-extra-specs:create",
        "os-flavor-extra-specs:update",
        "os-flavor-extra-specs:delete",
        "os-flavor-access",
        "os-flavor-access:add_tenant_access",
        "os-flavor-access:remove_tenant_access",
        "os-quota-sets:update",
        "os-quota-sets:delete",
        "limits:other_project",
        "os-availability-zone:detail",
        "os-aggregates:index",
        "os-hypervisors:list",
        "os-hypervisors:list-detail",
        "os-hypervisors:show",
        "os-hypervisors:search",
        "os-hypervisors:servers",
        "os-hypervisors:statistics",
        "os-hypervisors:uptime",
        "os-services:list",
        "os-services:update",
    ),
    _ANYBODY: (
        "limits",
        "extensions",
        "os-availability-zone:list",
        "os-quota-sets:defaults",
    ),
    _THE_USER: (
        "os-keypairs:index",
        "os-keypairs:show",
        "os-keypairs:create",
        "os-keypairs:delete",
    ),
}

RULES: tuple[Rule, ...] = (
    *_BASE,
    *(Rule(f"os_compute_api:{name}", check) for check, names in _DEFAULTS.items() for name in names),
    Rule("compute:servers:create:requested_destination", _ADMIN),
    Rule("kilostack:servers:why", _READER, "See the recorded decisions and steps of a server."),
)
