"""What other services ask of network."""

from __future__ import annotations

import msgspec

from kilostack.wire.calls import Nothing, Op


class WantedNic(msgspec.Struct, frozen=True, kw_only=True):
    """One network card of a new server: exactly one of network and port is set after `CHECK_NICS`."""

    network_id: str | None = None
    port_id: str | None = None
    fixed_ip: str | None = None
    tag: str | None = None


class CheckNics(msgspec.Struct, frozen=True, kw_only=True):
    """What a server create asks for, before anything is written.

    `nics` None asks for the default: the one network that the project can use; none is fine, several are a Conflict.
    """

    project_id: str
    nics: tuple[WantedNic, ...] | None
    #: names or ids; empty means "default"
    security_groups: tuple[str, ...] = ()
    servers: int = 1


class CheckedNics(msgspec.Struct, frozen=True, kw_only=True):
    nics: tuple[WantedNic, ...]
    #: ids, in the order asked for
    security_groups: tuple[str, ...]


class BindPorts(msgspec.Struct, frozen=True, kw_only=True):
    """Create what is missing and bind all to the host; idempotent by (server, index)."""

    server_id: str
    hostname: str
    project_id: str
    host: str
    availability_zone: str
    nics: tuple[WantedNic, ...]
    security_groups: tuple[str, ...]


class BoundPort(msgspec.Struct, frozen=True, kw_only=True):
    port_id: str
    network_id: str
    mac: str
    mtu: int
    #: made for this server, and removed with it
    created: bool


class BoundPorts(msgspec.Struct, frozen=True):
    """In the order of the nics asked for."""

    ports: tuple[BoundPort, ...]


class ServerPorts(msgspec.Struct, frozen=True):
    server_id: str


class AddressesAsked(msgspec.Struct, frozen=True):
    server_ids: tuple[str, ...]


class Address(msgspec.Struct, frozen=True, kw_only=True):
    network: str
    address: str
    version: int
    mac: str
    #: "fixed" or "floating"
    type: str


class ServerNetworking(msgspec.Struct, frozen=True, kw_only=True):
    """What compute shows of a server's ports, in the order of its nics."""

    addresses: tuple[Address, ...] = ()
    #: names of the security groups of its ports, without repeats
    security_groups: tuple[str, ...] = ()


class GroupChange(msgspec.Struct, frozen=True, kw_only=True):
    """Add or remove a security group (name or id) on all ports of a server."""

    server_id: str
    group: str
    add: bool


class ServerPort(msgspec.Struct, frozen=True, kw_only=True):
    """A port of a server, as compute's os-interface shows it."""

    port_id: str
    network_id: str
    mac: str
    #: "ACTIVE", "DOWN", ...
    status: str
    #: (subnet id, address)
    fixed_ips: tuple[tuple[str, str], ...] = ()


class ServerGroupRule(msgspec.Struct, frozen=True, kw_only=True):
    """An ingress rule of a security group."""

    id: str
    protocol: str | None = None
    port_range_min: int | None = None
    port_range_max: int | None = None
    remote_ip_prefix: str | None = None
    #: name and project of the remote group
    remote_group: tuple[str, str] | None = None


class ServerGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A security group of a server's ports."""

    id: str
    name: str
    description: str
    project_id: str
    rules: tuple[ServerGroupRule, ...] = ()


class ServerNetworkDetail(msgspec.Struct, frozen=True, kw_only=True):
    """Ports in the order of the nics, and their groups without repeats."""

    ports: tuple[ServerPort, ...] = ()
    groups: tuple[ServerGroup, ...] = ()


class GroupsAsked(msgspec.Struct, frozen=True):
    project_id: str


class ProjectGroups(msgspec.Struct, frozen=True):
    """The security groups of a project, by name."""

    groups: tuple[ServerGroup, ...]


#: raises BadRequest, NotFound, Conflict (port in use, several networks), Forbidden
CHECK_NICS: Op[CheckNics, CheckedNics] = Op("network.check_nics", CheckNics, CheckedNics)
#: raises Refused (final: no address left, port gone, quota) or Unavailable
BIND_PORTS: Op[BindPorts, BoundPorts] = Op("network.bind_ports", BindPorts, BoundPorts)
#: removes what BIND_PORTS created and frees what it bound; leaves a tombstone for its saga
UNBIND_PORTS: Op[ServerPorts, Nothing] = Op("network.unbind_ports", ServerPorts, Nothing)
#: addresses and groups per server; the feed names "server/<id>" when they may have changed
ADDRESSES: Op[AddressesAsked, dict[str, ServerNetworking]] = Op(
    "network.addresses", AddressesAsked, dict[str, ServerNetworking]
)
#: raises NotFound, Conflict
CHANGE_GROUP: Op[GroupChange, Nothing] = Op("network.change_group", GroupChange, Nothing)
#: a server's ports and groups as they are now; empty for a server that network does not know
DESCRIBE_SERVER: Op[ServerPorts, ServerNetworkDetail] = Op("network.describe_server", ServerPorts, ServerNetworkDetail)
#: for compute's old proxy of security groups
PROJECT_GROUPS: Op[GroupsAsked, ProjectGroups] = Op("network.project_groups", GroupsAsked, ProjectGroups)
