"""Bodies that clients may send to each operation: what garbage is made from."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from tests.http.whole.simulated import COMPUTE, IDENTITY, IMAGE, NETWORK, TOKENS, password_body

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAIhw7uWBxefKrd91k4y9wXMmuqQd4lRuXVTrtIK+qbS me@example"
_USER_DATA = base64.b64encode(b"#!/bin/sh\necho ran\n").decode()


def bodies(known: Mapping[str, str]) -> dict[str, Any]:
    """ "METHOD template" -> a body; "#..." behind the template tells several for one operation apart."""
    return {
        **_compute(known),
        **{f"POST {COMPUTE}/servers/{{server_id}}/action#{n}": body for n, body in enumerate(_actions())},
        **_networks(known),
        **_reach(known),
        **_image(known),
        **_identity(known),
    }


def _compute(known: Mapping[str, str]) -> dict[str, Any]:
    server = {"name": "s", "imageRef": known["images/image_id"], "flavorRef": known["flavors/flavor_id"]}
    full = {
        "networks": [{"uuid": known["networks/id"], "fixed_ip": "10.0.0.77"}, {"port": known["ports/id"]}],
        "security_groups": [{"name": "default"}],
        "key_name": known["os-keypairs/name"],
        "user_data": _USER_DATA,
        "metadata": {"k": "v"},
        "availability_zone": "nova",
        "min_count": 1,
        "max_count": 2,
        "tags": ["a", "b"],
        "description": "d",
        "hostname": "h",
        "config_drive": False,
        "accessIPv4": "192.0.2.1",
        "accessIPv6": "2001:db8::1",
        "OS-DCF:diskConfig": "AUTO",
        "block_device_mapping_v2": [
            {
                "source_type": "image",
                "destination_type": "local",
                "boot_index": 0,
                "uuid": known["images/image_id"],
                "delete_on_termination": True,
            }
        ],
    }
    servers, flavors, quotas = f"{COMPUTE}/servers", f"{COMPUTE}/flavors", f"{COMPUTE}/os-quota-sets"
    return {
        f"POST {servers}": {"server": server | {"networks": "none"}},
        f"POST {servers}#full": {"server": server | full, "os:scheduler_hints": {"x": ["y"]}},
        f"PUT {servers}/{{server_id}}": {"server": {"name": "t", "description": "d", "hostname": "h"}},
        f"POST {servers}/{{server_id}}/metadata": {"metadata": {"a": "b"}},
        f"PUT {servers}/{{server_id}}/metadata": {"metadata": {"a": "b"}},
        f"PUT {servers}/{{server_id}}/metadata/{{key}}": {"meta": {"k": "b"}},
        f"PUT {servers}/{{server_id}}/tags": {"tags": ["x"]},
        f"POST {flavors}": {
            "flavor": {
                "name": "f",
                "ram": 64,
                "vcpus": 1,
                "disk": 1,
                "id": "auto",
                "swap": 0,
                "rxtx_factor": 1.0,
                "OS-FLV-EXT-DATA:ephemeral": 0,
                "os-flavor-access:is_public": True,
                "description": "d",
            }
        },
        f"PUT {flavors}/{{flavor_id}}": {"flavor": {"description": "d"}},
        f"POST {flavors}/{{flavor_id}}/action": {"addTenantAccess": {"tenant": "x"}},
        f"POST {flavors}/{{flavor_id}}/os-extra_specs": {"extra_specs": {"hw:numa_nodes": "1"}},
        f"PUT {flavors}/{{flavor_id}}/os-extra_specs/{{key}}": {"k": "1"},
        f"POST {COMPUTE}/os-keypairs": {"keypair": {"name": "k2", "type": "ssh"}},
        f"POST {COMPUTE}/os-keypairs#public": {"keypair": {"name": "k3", "public_key": PUBLIC_KEY, "user_id": "x"}},
        f"PUT {quotas}/{{target_id}}": {"quota_set": {"instances": 10, "cores": 20, "ram": 51200, "force": True}},
        f"PUT {COMPUTE}/os-services/{{service_id}}": {"status": "disabled", "disabled_reason": "r"},
    }


def _actions() -> tuple[Any, ...]:
    return (
        {"os-start": None},
        {"os-stop": None},
        {"reboot": {"type": "SOFT"}},
        {"reboot": {"type": "HARD"}},
        {"os-getConsoleOutput": {"length": 10}},
        {"addSecurityGroup": {"name": "default"}},
        {"removeSecurityGroup": {"name": "default"}},
        {"lock": {"locked_reason": "r"}},
        {"unlock": None},
        {"resize": {"flavorRef": "x"}},
        {"rebuild": {"imageRef": "x"}},
    )


def _networks(known: Mapping[str, str]) -> dict[str, Any]:
    """Networks, subnets and ports."""
    network, subnet, group = known["networks/id"], known["subnets/id"], known["security-groups/id"]
    route = {"destination": "192.0.2.0/24", "nexthop": "10.77.0.9"}
    return {
        f"POST {NETWORK}/networks": {"network": {"name": "n", "mtu": 1400, "port_security_enabled": True}},
        f"POST {NETWORK}/networks#bulk": {"networks": [{"name": "a"}, {"name": "b", "admin_state_up": False}]},
        f"PUT {NETWORK}/networks/{{id}}": {"network": {"name": "n", "description": "d", "shared": False}},
        f"POST {NETWORK}/subnets": {
            "subnet": {
                "network_id": network,
                "ip_version": 4,
                "cidr": "10.88.0.0/24",
                "gateway_ip": "10.88.0.1",
                "allocation_pools": [{"start": "10.88.0.10", "end": "10.88.0.20"}],
                "dns_nameservers": ["192.0.2.53"],
                "host_routes": [{"destination": "192.0.2.0/24", "nexthop": "10.88.0.9"}],
                "enable_dhcp": True,
            }
        },
        f"POST {NETWORK}/subnets#v6": {"subnet": {"network_id": network, "ip_version": 6, "cidr": "2001:db8:1::/64"}},
        f"PUT {NETWORK}/subnets/{{id}}": {
            "subnet": {"dns_nameservers": [], "gateway_ip": "10.77.0.1", "host_routes": [route], "name": "x"}
        },
        f"POST {NETWORK}/ports": {
            "port": {
                "network_id": network,
                "fixed_ips": [{"subnet_id": subnet, "ip_address": "10.77.0.77"}],
                "mac_address": "fa:16:3e:00:11:22",
                "security_groups": [group],
                "allowed_address_pairs": [{"ip_address": "10.77.0.99", "mac_address": "fa:16:3e:00:11:33"}],
                "device_id": "d",
                "device_owner": "o",
                "port_security_enabled": True,
                "binding:profile": {},
            }
        },
        f"POST {NETWORK}/ports#bulk": {"ports": [{"network_id": network}, {"network_id": network, "name": "p"}]},
        f"PUT {NETWORK}/ports/{{id}}": {
            "port": {"fixed_ips": [{"subnet_id": subnet}], "security_groups": [group], "name": "p"}
        },
    }


def _reach(known: Mapping[str, str]) -> dict[str, Any]:
    """What joins networks and what may pass: routers, floating IPs, security groups; and quotas and agents."""
    subnet, port, group, public = known["subnets/id"], known["ports/id"], known["security-groups/id"], known["public"]
    route = {"destination": "192.0.2.0/24", "nexthop": "10.77.0.9"}
    gateway = {"network_id": public, "enable_snat": True}
    return {
        f"POST {NETWORK}/routers": {"router": {"name": "r", "external_gateway_info": gateway}},
        f"PUT {NETWORK}/routers/{{id}}": {"router": {"routes": [route], "external_gateway_info": gateway}},
        f"PUT {NETWORK}/routers/{{id}}/add_router_interface": {"subnet_id": subnet},
        f"PUT {NETWORK}/routers/{{id}}/add_router_interface#port": {"port_id": port},
        f"PUT {NETWORK}/routers/{{id}}/remove_router_interface": {"subnet_id": subnet, "port_id": port},
        f"POST {NETWORK}/floatingips": {
            "floatingip": {"floating_network_id": public, "port_id": port, "fixed_ip_address": "10.77.0.5"}
        },
        f"PUT {NETWORK}/floatingips/{{id}}": {"floatingip": {"port_id": port}},
        f"POST {NETWORK}/security-groups": {"security_group": {"name": "g", "description": "d"}},
        f"PUT {NETWORK}/security-groups/{{id}}": {"security_group": {"name": "g"}},
        f"POST {NETWORK}/security-group-rules": {
            "security_group_rule": {
                "security_group_id": group,
                "direction": "ingress",
                "ethertype": "IPv4",
                "protocol": "tcp",
                "port_range_min": 22,
                "port_range_max": 23,
                "remote_ip_prefix": "192.0.2.0/24",
            }
        },
        f"POST {NETWORK}/security-group-rules#group": {
            "security_group_rule": {"security_group_id": group, "direction": "egress", "remote_group_id": group}
        },
        f"PUT {NETWORK}/quotas/{{id}}": {"quota": {"network": 10, "port": 20}},
        f"PUT {NETWORK}/agents/{{id}}": {"agent": {"admin_state_up": False, "description": "d"}},
    }


def _image(known: Mapping[str, str]) -> dict[str, Any]:
    return {
        f"POST {IMAGE}/images": {
            "name": "i",
            "disk_format": "qcow2",
            "container_format": "bare",
            "visibility": "private",
            "tags": ["t"],
            "min_disk": 1,
            "min_ram": 64,
            "protected": False,
            "my_property": "v",
        },
        f"PATCH {IMAGE}/images/{{image_id}}": [
            {"op": "replace", "path": "/name", "value": "n"},
            {"op": "add", "path": "/p~1q", "value": "v"},
            {"op": "remove", "path": "/p"},
        ],
        f"PUT {IMAGE}/images/{{image_id}}/file": "not an image",
    }


def _identity(known: Mapping[str, str]) -> dict[str, Any]:
    user, project = known["users/record_id"], known["projects/record_id"]
    credential = {"name": "c", "roles": [{"name": "member"}], "expires_at": "2099-01-01T00:00:00.000000Z"}
    credential |= {"secret": "s", "unrestricted": False}
    application = {"methods": ["application_credential"], "application_credential": {"id": "x", "secret": "y"}}
    password = password_body("demo", "wrong", "demo")
    right = password_body(known["user"], known["password"], known["user"])
    return {
        f"POST {TOKENS}": right,
        f"POST {TOKENS}#wrong": password,
        f"POST {TOKENS}#token": {"auth": {"identity": {"methods": ["token"], "token": {"id": known["token"]}}}},
        f"POST {TOKENS}#credential": {"auth": {"identity": application}},
        f"POST {TOKENS}#system": {"auth": password["auth"] | {"scope": {"system": {"all": True}}}},
        f"POST {IDENTITY}/domains": {"domain": {"name": "d", "description": "x", "enabled": True}},
        f"PATCH {IDENTITY}/domains/{{record_id}}": {"domain": {"description": "x"}},
        f"POST {IDENTITY}/projects": {"project": {"name": "p", "domain_id": "default", "tags": ["t"]}},
        f"PATCH {IDENTITY}/projects/{{record_id}}": {"project": {"name": "p2", "enabled": True}},
        f"POST {IDENTITY}/users": {
            "user": {"name": "u", "password": "p", "domain_id": "default", "default_project_id": project}
        },
        f"PATCH {IDENTITY}/users/{{record_id}}": {"user": {"name": "u2", "password": "q", "enabled": True}},
        f"POST {IDENTITY}/users/{{record_id}}/password": {"user": {"password": "a", "original_password": "b"}},
        f"POST {IDENTITY}/users/{{record_id}}/application_credentials": {"application_credential": credential},
        f"POST {IDENTITY}/roles": {"role": {"name": "r", "description": "d"}},
        f"PATCH {IDENTITY}/roles/{{record_id}}": {"role": {"name": "r2"}},
        f"POST {IDENTITY}/regions": {"region": {"id": "R2", "description": "d", "parent_region_id": None}},
        f"PATCH {IDENTITY}/regions/{{record_id}}": {"region": {"description": "x"}},
        f"POST {IDENTITY}/services": {"service": {"type": "t", "name": "n"}},
        f"PATCH {IDENTITY}/services/{{record_id}}": {"service": {"name": "n", "enabled": True}},
        f"POST {IDENTITY}/endpoints": {
            "endpoint": {"service_id": known["services/record_id"], "interface": "public", "url": "http://x.test/"}
        },
        f"PATCH {IDENTITY}/endpoints/{{record_id}}": {"endpoint": {"url": "http://y.test/", "enabled": True}},
        f"PUT {IDENTITY}/users/{user}": {},
    }
