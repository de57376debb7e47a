"""The records of network. Times are microseconds; ids of other records are text."""

from __future__ import annotations

from typing import Any

import msgspec

#: (subnet id, address)
FixedIp = tuple[str, str]

#: `audience` of what every project may see
EVERYBODY = "*"


class Network(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    cell: int = 1
    project_id: str
    name: str = ""
    description: str = ""
    admin_state_up: bool = True
    shared: bool = False
    external: bool = False
    mtu: int
    port_security_enabled: bool = True
    network_type: str
    physical_network: str | None = None
    segmentation_id: int | None = None
    status: str = "ACTIVE"
    #: ids, in the order in which they were made
    subnets: tuple[str, ...] = ()
    #: the project that sees it, or `EVERYBODY`
    audience: str
    created_at: int
    updated_at: int
    generation: int = 1
    revision: int = 1


class Subnet(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    cell: int = 1
    project_id: str
    network_id: str
    name: str = ""
    description: str = ""
    ip_version: int
    cidr: str
    gateway_ip: str | None
    enable_dhcp: bool = True
    dns_nameservers: tuple[str, ...] = ()
    #: (destination cidr, next hop)
    host_routes: tuple[tuple[str, str], ...] = ()
    #: (first, last) address
    allocation_pools: tuple[tuple[str, str], ...]
    #: as its network's
    audience: str
    shared: bool = False
    external: bool = False
    created_at: int
    updated_at: int
    generation: int = 1
    revision: int = 1


class Port(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    cell: int = 1
    #: empty for ports that belong to no project: gateways and floating IPs
    project_id: str
    network_id: str
    network_project_id: str
    name: str = ""
    description: str = ""
    mac_address: str
    admin_state_up: bool = True
    status: str = "DOWN"
    device_id: str = ""
    device_owner: str = ""
    fixed_ips: tuple[FixedIp, ...] = ()
    security_groups: tuple[str, ...] = ()
    port_security_enabled: bool = True
    #: (address or cidr, mac)
    allowed_address_pairs: tuple[tuple[str, str], ...] = ()
    #: the host that it is bound to, "" if none
    host: str = ""
    #: what an administrator gave as binding:profile
    profile: dict[str, Any] = {}
    #: which nic of its server it is; None when no server was given it by compute
    slot: int | None = None
    #: made for its server, and removed with it
    made_for_server: bool = False
    #: the name of its server inside the guest
    hostname: str = ""
    created_at: int
    updated_at: int
    generation: int = 1
    revision: int = 1


class Router(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    cell: int = 1
    project_id: str
    name: str = ""
    description: str = ""
    admin_state_up: bool = True
    status: str = "ACTIVE"
    gateway_network_id: str | None = None
    gateway_port_id: str | None = None
    gateway_fixed_ips: tuple[FixedIp, ...] = ()
    enable_snat: bool = True
    #: (destination cidr, next hop)
    routes: tuple[tuple[str, str], ...] = ()
    #: where its instance lives, "" while it needs none or no host can have it
    host: str = ""
    created_at: int
    updated_at: int
    generation: int = 1
    revision: int = 1


class FloatingIp(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    project_id: str
    description: str = ""
    floating_network_id: str
    floating_ip_address: str
    #: the port that holds the address on the external network
    floating_port_id: str
    port_id: str | None = None
    fixed_ip_address: str | None = None
    router_id: str | None = None
    status: str = "DOWN"
    created_at: int
    updated_at: int
    generation: int = 1
    revision: int = 1


class SecurityGroup(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    project_id: str
    name: str = ""
    description: str = ""
    created_at: int
    updated_at: int
    generation: int = 1
    revision: int = 1


class SecurityGroupRule(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    project_id: str
    security_group_id: str
    description: str = ""
    direction: str
    ethertype: str
    protocol: str | None = None
    port_range_min: int | None = None
    port_range_max: int | None = None
    remote_ip_prefix: str | None = None
    remote_group_id: str | None = None
    created_at: int
    updated_at: int


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a project uses; the row is the lock under which it is counted. `limits` holds only what was changed."""

    project_id: str
    network: int = 0
    subnet: int = 0
    port: int = 0
    router: int = 0
    floatingip: int = 0
    security_group: int = 0
    security_group_rule: int = 0
    limits: dict[str, int] = {}
    default_group_id: str | None = None


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """The lock row of a subnet's addresses, and where the search for a free one goes on."""

    subnet_id: str
    network_id: str
    cursor: str = ""
    turn: int = 0


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """One address in use; `number` is the address as 32 hexadecimal digits, so that it sorts."""

    subnet_id: str
    number: str
    address: str
    port_id: str


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A port that has a security group."""

    group_id: str
    port_id: str


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """A host as its agent's connection left it."""

    name: str
    gateway: str
    epoch: int
    connected: bool
    #: where its tunnels end
    address: str
    created_at: int
    connected_at: int
    #: description and admin_state_up of its agents, by type, where an administrator changed them
    agents: dict[str, AgentChange] = {}


class AgentChange(msgspec.Struct, frozen=True, kw_only=True):
    description: str | None = None
    admin_state_up: bool = True


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway's beat: one row for all hosts that it holds."""

    name: str
    beat: int
    at: int
