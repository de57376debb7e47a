"""What network tells a host: ports to plug, and the networks, groups and routers that they need.

Keys of the "network" stream: "network/<id>", "port/<id>", "group/<id>", "router/<id>", "fabric". A host gets the
networks and groups that its ports and routers use; entries about other hosts (forwarding, members) come inside them.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Subnet(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    cidr: str
    ip_version: Literal[4, 6]
    gateway_ip: str | None
    enable_dhcp: bool
    dns_nameservers: tuple[str, ...] = ()
    #: (destination cidr, next hop)
    host_routes: tuple[tuple[str, str], ...] = ()


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One bound port of a network, wherever it is: its forwarding entry and its DHCP lease."""

    port_id: str
    mac: str
    #: (subnet id, address)
    fixed_ips: tuple[tuple[str, str], ...]
    #: the host that it is bound to, "" if none
    host: str
    device_id: str
    device_owner: str
    hostname: str = ""


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """A network that this host takes part in."""

    id: str
    revision: int
    project_id: str
    #: VXLAN id; None for the external network, which is the flat uplink
    vni: int | None
    external: bool
    mtu: int
    dns_domain: str = ""
    subnets: tuple[Subnet, ...]
    #: the DHCP port of the network: the same MAC and addresses on each host, answered locally (anycast)
    dhcp: Entry | None
    entries: tuple[Entry, ...]


class Port(msgspec.Struct, frozen=True, kw_only=True):
    """A guest's port bound to this host. The tap's name is `tap_name(id)`."""

    id: str
    revision: int
    network_id: str
    mac: str
    fixed_ips: tuple[tuple[str, str], ...]
    device_id: str
    security_groups: tuple[str, ...]
    port_security: bool = True
    admin_state_up: bool = True
    #: further (address or cidr, mac) that it may send from
    allowed_address_pairs: tuple[tuple[str, str], ...] = ()


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A security group rule, as the network API defines its fields."""

    id: str
    direction: Literal["ingress", "egress"]
    ethertype: Literal["IPv4", "IPv6"]
    protocol: str | None = None
    port_range_min: int | None = None
    port_range_max: int | None = None
    remote_ip_prefix: str | None = None
    remote_group_id: str | None = None


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A security group: its rules, and the addresses of its members on all hosts."""

    id: str
    revision: int
    stateful: bool = True
    rules: tuple[Rule, ...]
    members: tuple[str, ...]


class RouterLeg(msgspec.Struct, frozen=True, kw_only=True):
    """A router's port on a tenant network."""

    port_id: str
    network_id: str
    mac: str
    #: address with prefix length, for example "10.0.0.1/24"
    addresses: tuple[str, ...]


class RouterGateway(msgspec.Struct, frozen=True, kw_only=True):
    """A router's port on the external network."""

    port_id: str
    network_id: str
    mac: str
    addresses: tuple[str, ...]
    #: next hop of the default route
    via: str | None
    enable_snat: bool


class FloatingIp(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    floating_ip: str
    fixed_ip: str


class Router(msgspec.Struct, frozen=True, kw_only=True):
    """A router whose instance lives on this host."""

    id: str
    revision: int
    admin_state_up: bool
    legs: tuple[RouterLeg, ...]
    gateway: RouterGateway | None
    floating_ips: tuple[FloatingIp, ...]
    #: (destination cidr, next hop)
    routes: tuple[tuple[str, str], ...] = ()


class Fabric(msgspec.Struct, frozen=True, kw_only=True):
    """Where the tunnels of the other hosts end: host name -> underlay address."""

    revision: int
    tunnels: dict[str, str]


class PortReport(msgspec.Struct, frozen=True, kw_only=True):
    """A port as its host sees it."""

    id: str
    revision: int
    state: Literal["active", "down"]


class RouterReport(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    revision: int
    #: floating IPs that the router answers for
    floating_ips: tuple[str, ...] = ()
    state: Literal["active", "down"]


def tap_name(port_id: str) -> str:
    """The tap device of a port: 14 characters, as operators of OpenStack know it."""
    return "tap" + port_id[:11]
