"""Who may do what: neutron's rule names with its persona defaults, in oslo.policy's language."""

from __future__ import annotations

from collections.abc import Iterable

from kilostack.core.policy import Rule

_ADMIN = "rule:admin_only"
_READER = "rule:admin_only or (role:reader and project_id:%(project_id)s)"
_MEMBER = "rule:admin_only or (role:member and project_id:%(project_id)s)"
_MANAGER = "rule:admin_only or (role:manager and project_id:%(project_id)s)"
_SERVICE = "rule:admin_only or rule:service_api"
_NETWORK_MEMBER = "(role:member and rule:network_owner)"
_NETWORK_READER = "(role:reader and rule:network_owner)"
_NETWORK_MANAGER = "(role:manager and rule:network_owner)"
_SEEN_BY_ALL = "rule:shared or rule:external"

_BASE = {
    "context_is_admin": "role:admin",
    "admin_only": "rule:context_is_admin",
    "service_api": "role:service",
    "owner": "project_id:%(project_id)s",
    "admin_or_owner": "rule:context_is_admin or rule:owner",
    "network_owner": "project_id:%(network:project_id)s",
    "sg_owner": "project_id:%(security_group:project_id)s",
    "shared": "'True':%(shared)s",
    "external": "'True':%(router:external)s",
    "network_device": "'True':%(network_device)s",
}

_NETWORKS = {
    "create_network": _MEMBER,
    "get_network": f"{_READER} or {_SEEN_BY_ALL} or rule:service_api",
    "update_network": _MEMBER,
    "delete_network": _MEMBER,
    "create_subnet": f"rule:admin_only or {_NETWORK_MEMBER}",
    "get_subnet": f"{_READER} or {_NETWORK_READER} or {_SEEN_BY_ALL} or rule:service_api",
    "update_subnet": f"{_MEMBER} or {_NETWORK_MEMBER}",
    "delete_subnet": f"{_MEMBER} or {_NETWORK_MEMBER}",
    "get_network_ip_availability": _SERVICE,
}
_NETWORK_ADMIN_ATTRIBUTES = (
    "shared",
    "router:external",
    "provider:network_type",
    "provider:physical_network",
    "provider:segmentation_id",
)

_OWN_NETWORK = f"rule:admin_only or rule:service_api or {_NETWORK_MEMBER}"
_MANAGED_NETWORK = f"rule:admin_only or rule:service_api or {_NETWORK_MANAGER} or {_NETWORK_MEMBER}"
_PORTS = {
    "create_port": f"{_MEMBER} or rule:service_api",
    "create_port:device_owner": f"not rule:network_device or {_OWN_NETWORK}",
    "create_port:mac_address": _OWN_NETWORK,
    "create_port:fixed_ips:ip_address": _OWN_NETWORK,
    "create_port:fixed_ips:subnet_id": f"{_OWN_NETWORK} or rule:shared",
    "create_port:port_security_enabled": _MANAGED_NETWORK,
    "create_port:binding:host_id": _SERVICE,
    "create_port:binding:profile": _SERVICE,
    "create_port:allowed_address_pairs": _MANAGED_NETWORK,
    "get_port": f"{_READER} or {_NETWORK_READER} or rule:service_api",
    "get_port:binding:vif_type": _SERVICE,
    "get_port:binding:vif_details": _SERVICE,
    "get_port:binding:host_id": _SERVICE,
    "get_port:binding:profile": _SERVICE,
    "update_port": f"{_MEMBER} or rule:service_api",
    "update_port:device_owner": f"not rule:network_device or {_OWN_NETWORK}",
    "update_port:mac_address": _SERVICE,
    "update_port:fixed_ips:ip_address": _OWN_NETWORK,
    "update_port:fixed_ips:subnet_id": f"{_OWN_NETWORK} or rule:shared",
    "update_port:port_security_enabled": _MANAGED_NETWORK,
    "update_port:binding:host_id": _SERVICE,
    "update_port:binding:profile": _SERVICE,
    "update_port:allowed_address_pairs": _MANAGED_NETWORK,
    "delete_port": f"{_MEMBER} or {_NETWORK_MEMBER} or rule:service_api",
}

_ROUTERS = {
    "create_router": _MEMBER,
    "get_router": _READER,
    "update_router": _MEMBER,
    "delete_router": _MEMBER,
    "add_router_interface": _MEMBER,
    "remove_router_interface": _MEMBER,
    "create_floatingip": _MEMBER,
    "create_floatingip:floating_ip_address": _MANAGER,
    "get_floatingip": _READER,
    "update_floatingip": _MEMBER,
    "delete_floatingip": _MEMBER,
} | {
    f"{action}_router:external_gateway_info:{attribute}": _ADMIN
    for action in ("create", "update")
    for attribute in ("enable_snat", "external_fixed_ips")
}

_GROUPS = {
    "create_security_group": _MEMBER,
    "get_security_group": _READER,
    "update_security_group": _MEMBER,
    "delete_security_group": _MEMBER,
    "create_security_group_rule": "rule:admin_only or (role:member and rule:sg_owner)",
    "get_security_group_rule": f"{_READER} or (role:reader and rule:sg_owner)",
    "delete_security_group_rule": f"{_MEMBER} or (role:member and rule:sg_owner)",
}

_OPERATION = {
    "get_quota": _READER,
    "update_quota": _ADMIN,
    "delete_quota": _ADMIN,
    "get_agent": _ADMIN,
    "update_agent": _ADMIN,
    "delete_agent": _ADMIN,
    "get_availability_zone": "@",
}


def rules() -> Iterable[Rule]:
    """The default of every rule."""
    attributes = {
        f"{action}_network:{attribute}": _ADMIN
        for action in ("create", "update")
        for attribute in _NETWORK_ADMIN_ATTRIBUTES
    } | {
        f"get_network:{attribute}": _ADMIN
        for attribute in _NETWORK_ADMIN_ATTRIBUTES
        if attribute.startswith("provider:")
    }
    tables = (_NETWORKS, attributes, _PORTS, _ROUTERS, _GROUPS, _OPERATION)
    parts = [Rule(name, check, scope_types=()) for name, check in _BASE.items()]
    return parts + [Rule(name, check) for table in tables for name, check in table.items()]
