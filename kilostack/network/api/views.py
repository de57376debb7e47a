"""Records as the API shows them."""

from __future__ import annotations

from typing import Any

from kilostack.network.model.agents import Agent
from kilostack.network.model.group_rules import normalized
from kilostack.network.model.records import (
    FixedIp,
    FloatingIp,
    Network,
    Port,
    Router,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
)
from kilostack.network.model.values import time_text

View = dict[str, Any]
_VIF_DETAILS = {"port_filter": True, "connectivity": "l2"}


def _owner(record: Network | Subnet | Port | Router | FloatingIp | SecurityGroup | SecurityGroupRule) -> View:
    return {"project_id": record.project_id, "tenant_id": record.project_id}


def _standard(record: Network | Subnet | Port | Router | FloatingIp | SecurityGroup) -> View:
    return {
        "description": record.description,
        "created_at": time_text(record.created_at),
        "updated_at": time_text(record.updated_at),
        "revision_number": record.revision,
    }


def _routes(routes: tuple[tuple[str, str], ...]) -> list[View]:
    return [{"destination": destination, "nexthop": hop} for destination, hop in routes]


def _fixed(fixed_ips: tuple[FixedIp, ...]) -> list[View]:
    return [{"subnet_id": subnet_id, "ip_address": address} for subnet_id, address in fixed_ips]


def network(record: Network, around: Any) -> View:
    return {
        "id": record.id,
        "name": record.name,
        **_owner(record),
        "admin_state_up": record.admin_state_up,
        "mtu": record.mtu,
        "status": record.status,
        "subnets": list(record.subnets),
        "shared": record.shared,
        "router:external": record.external,
        "port_security_enabled": record.port_security_enabled,
        "provider:network_type": record.network_type,
        "provider:physical_network": record.physical_network,
        "provider:segmentation_id": record.segmentation_id,
        **_standard(record),
    }


def subnet(record: Subnet, around: Any) -> View:
    return {
        "id": record.id,
        "name": record.name,
        **_owner(record),
        "network_id": record.network_id,
        "ip_version": record.ip_version,
        "subnetpool_id": None,
        "enable_dhcp": record.enable_dhcp,
        "ipv6_ra_mode": None,
        "ipv6_address_mode": None,
        "gateway_ip": record.gateway_ip,
        "cidr": record.cidr,
        "allocation_pools": [{"start": start, "end": end} for start, end in record.allocation_pools],
        "host_routes": _routes(record.host_routes),
        "dns_nameservers": list(record.dns_nameservers),
        "router:external": record.external,
        **_standard(record),
    }


def port(record: Port, around: Any) -> View:
    return {
        "id": record.id,
        "name": record.name,
        "network_id": record.network_id,
        **_owner(record),
        "mac_address": record.mac_address,
        "admin_state_up": record.admin_state_up,
        "status": record.status,
        "device_id": record.device_id,
        "device_owner": record.device_owner,
        "fixed_ips": _fixed(record.fixed_ips),
        "allowed_address_pairs": [
            {"ip_address": address, "mac_address": mac} for address, mac in record.allowed_address_pairs
        ],
        "security_groups": list(record.security_groups),
        "port_security_enabled": record.port_security_enabled,
        "binding:vnic_type": "normal",
        "binding:host_id": record.host,
        "binding:profile": record.profile,
        "binding:vif_type": "bridge" if record.host else "unbound",
        "binding:vif_details": _VIF_DETAILS if record.host else {},
        **_standard(record),
    }


def router(record: Router, around: Any) -> View:
    gateway = None
    if record.gateway_network_id is not None:
        gateway = {
            "network_id": record.gateway_network_id,
            "external_fixed_ips": _fixed(record.gateway_fixed_ips),
            "enable_snat": record.enable_snat,
        }
    return {
        "id": record.id,
        "name": record.name,
        **_owner(record),
        "admin_state_up": record.admin_state_up,
        "status": record.status,
        "external_gateway_info": gateway,
        "routes": _routes(record.routes),
        **_standard(record),
    }


def router_interface(record: Router, leg: Port, subnet_id: str) -> View:
    return {
        "id": record.id,
        **_owner(record),
        "port_id": leg.id,
        "network_id": leg.network_id,
        "subnet_id": subnet_id,
        "subnet_ids": [subnet_id],
    }


def floating_ip(record: FloatingIp, around: Port | None) -> View:
    """`around` is the port that it leads to."""
    details = None
    if around is not None:
        details = {
            "name": around.name,
            "network_id": around.network_id,
            "mac_address": around.mac_address,
            "admin_state_up": around.admin_state_up,
            "status": around.status,
            "device_id": around.device_id,
            "device_owner": around.device_owner,
        }
    return {
        "id": record.id,
        **_owner(record),
        "floating_ip_address": record.floating_ip_address,
        "floating_network_id": record.floating_network_id,
        "router_id": record.router_id,
        "port_id": record.port_id,
        "fixed_ip_address": record.fixed_ip_address,
        "status": record.status,
        "port_details": details,
        **_standard(record),
    }


def security_group(record: SecurityGroup, around: list[SecurityGroupRule] | None) -> View:
    """`around` holds its rules."""
    return {
        "id": record.id,
        "name": record.name,
        **_owner(record),
        "security_group_rules": [security_group_rule(rule, None) for rule in around or ()],
        **_standard(record),
    }


def security_group_rule(record: SecurityGroupRule, around: Any) -> View:
    return {
        "id": record.id,
        **_owner(record),
        "security_group_id": record.security_group_id,
        "ethertype": record.ethertype,
        "direction": record.direction,
        "protocol": record.protocol,
        "port_range_min": record.port_range_min,
        "port_range_max": record.port_range_max,
        "remote_ip_prefix": record.remote_ip_prefix,
        "remote_group_id": record.remote_group_id,
        "remote_address_group_id": None,
        "normalized_cidr": normalized(record.remote_ip_prefix),
        "description": record.description,
        "created_at": time_text(record.created_at),
        "updated_at": time_text(record.updated_at),
        # a rule never changes
        "revision_number": 0,
    }


def agent(record: Agent, zone: str) -> View:
    return {
        "id": record.id,
        "agent_type": record.kind.type,
        "binary": record.kind.binary,
        "topic": record.kind.topic,
        "host": record.host.name,
        "availability_zone": zone if record.kind.has_zone else None,
        "admin_state_up": record.change.admin_state_up,
        "alive": record.alive,
        "description": record.change.description,
        "created_at": _agent_time(record.host.created_at),
        "started_at": _agent_time(record.host.connected_at),
        "heartbeat_timestamp": _agent_time(record.heartbeat_at),
        "configurations": {},
        "resource_versions": {},
    }


def _agent_time(micros: int) -> str:
    """Agents alone have times without a zone."""
    return time_text(micros).replace("T", " ").removesuffix("Z")
