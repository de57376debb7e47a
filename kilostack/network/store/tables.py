"""Every table of network."""

from __future__ import annotations

from sqlalchemy import Index, MetaData, Table, UniqueConstraint

from kilostack.network.model.records import (
    Address,
    FloatingIp,
    Gateway,
    Host,
    Member,
    Network,
    Pool,
    Port,
    Router,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    Usage,
)
from kilostack.store.feed import Feed
from kilostack.store.records import Records
from kilostack.store.sql import boolean, counters, integer, json, text, uuid
from kilostack.workflow.fence import Fence

SCHEMA_NUMBER = 1
META = MetaData()

#: keys: "network/<id>", "port/<id>", "group/<id>", "router/<id>", "fabric", "host/<name>", "server/<id>"
FEED = Feed(META, "network.feed")
FENCE = Fence(META)

#: revisions of the objects that hosts are given, by key of the stream; rows are also the locks of "is it in use"
streams = Table("streams", META, text("name", 80, key=True), integer("revision"))
#: the next number to try, by what is numbered
cursors = Table("cursors", META, text("name", 32, key=True), integer("next"))

networks = Table(
    "networks",
    META,
    uuid("id", key=True),
    integer("cell"),
    uuid("project_id"),
    text("name"),
    text("description"),
    boolean("admin_state_up"),
    boolean("shared"),
    boolean("external"),
    integer("mtu"),
    boolean("port_security_enabled"),
    text("network_type", 16),
    text("physical_network", null=True),
    integer("segmentation_id", null=True),
    text("status", 16),
    json("subnets"),
    uuid("audience"),
    integer("created_at"),
    integer("updated_at"),
    *counters(),
    Index("networks_by_project", "cell", "project_id"),
    Index("networks_by_audience", "cell", "audience"),
    UniqueConstraint("segmentation_id", name="networks_one_segment"),
    # only flat networks have one
    UniqueConstraint("physical_network", name="networks_one_flat"),
)
subnets = Table(
    "subnets",
    META,
    uuid("id", key=True),
    integer("cell"),
    uuid("project_id"),
    uuid("network_id", index=True),
    text("name"),
    text("description"),
    integer("ip_version"),
    text("cidr", 64),
    text("gateway_ip", 64, null=True),
    boolean("enable_dhcp"),
    json("dns_nameservers"),
    json("host_routes"),
    json("allocation_pools"),
    uuid("audience"),
    boolean("shared"),
    boolean("external"),
    integer("created_at"),
    integer("updated_at"),
    *counters(),
    Index("subnets_by_project", "cell", "project_id"),
)
pools = Table(
    "pools",
    META,
    uuid("subnet_id", key=True),
    uuid("network_id", index=True),
    text("cursor", 32),
    # raised by every lock, so that a unit whose snapshot is older than the lock finds out and runs again
    integer("turn"),
)
addresses = Table(
    "addresses",
    META,
    uuid("subnet_id", key=True),
    text("number", 32, key=True),
    text("address", 64, index=True),
    uuid("port_id", index=True),
)
ports = Table(
    "ports",
    META,
    uuid("id", key=True),
    integer("cell"),
    uuid("project_id"),
    uuid("network_id"),
    uuid("network_project_id"),
    text("name"),
    text("description"),
    text("mac_address", 17),
    boolean("admin_state_up"),
    text("status", 16),
    text("device_id", index=True),
    text("device_owner"),
    json("fixed_ips"),
    json("security_groups"),
    boolean("port_security_enabled"),
    json("allowed_address_pairs"),
    text("host", index=True),
    json("profile"),
    integer("slot", null=True),
    boolean("made_for_server"),
    text("hostname"),
    integer("created_at"),
    integer("updated_at"),
    *counters(),
    Index("ports_by_project", "cell", "project_id"),
    Index("ports_by_network_owner", "cell", "network_project_id"),
    UniqueConstraint("network_id", "mac_address", name="ports_one_mac"),
    UniqueConstraint("device_id", "slot", name="ports_one_slot"),
)
members = Table("members", META, uuid("group_id", key=True), uuid("port_id", key=True), Index("by_port", "port_id"))
routers = Table(
    "routers",
    META,
    uuid("id", key=True),
    integer("cell"),
    uuid("project_id"),
    text("name"),
    text("description"),
    boolean("admin_state_up"),
    text("status", 16),
    uuid("gateway_network_id", null=True, index=True),
    uuid("gateway_port_id", null=True),
    json("gateway_fixed_ips"),
    boolean("enable_snat"),
    json("routes"),
    text("host", index=True),
    integer("created_at"),
    integer("updated_at"),
    *counters(),
    Index("routers_by_project", "cell", "project_id"),
)
floating_ips = Table(
    "floating_ips",
    META,
    uuid("id", key=True),
    uuid("project_id", index=True),
    text("description"),
    uuid("floating_network_id"),
    text("floating_ip_address", 64, index=True),
    uuid("floating_port_id"),
    uuid("port_id", null=True),
    text("fixed_ip_address", 64, null=True),
    uuid("router_id", null=True, index=True),
    text("status", 16),
    integer("created_at"),
    integer("updated_at"),
    *counters(),
    UniqueConstraint("port_id", "fixed_ip_address", name="floating_ips_one_each"),
)
groups = Table(
    "security_groups",
    META,
    uuid("id", key=True),
    uuid("project_id", index=True),
    text("name"),
    text("description"),
    integer("created_at"),
    integer("updated_at"),
    *counters(),
)
rules = Table(
    "security_group_rules",
    META,
    uuid("id", key=True),
    uuid("project_id", index=True),
    uuid("security_group_id", index=True),
    text("description"),
    text("direction", 8),
    text("ethertype", 8),
    text("protocol", 40, null=True),
    integer("port_range_min", null=True),
    integer("port_range_max", null=True),
    text("remote_ip_prefix", 64, null=True),
    uuid("remote_group_id", null=True, index=True),
    integer("created_at"),
    integer("updated_at"),
)
usage = Table(
    "project_usage",
    META,
    uuid("project_id", key=True),
    integer("network"),
    integer("subnet"),
    integer("port"),
    integer("router"),
    integer("floatingip"),
    integer("security_group"),
    integer("security_group_rule"),
    json("limits"),
    uuid("default_group_id", null=True),
)
hosts = Table(
    "hosts",
    META,
    text("name", key=True),
    text("gateway"),
    integer("epoch"),
    boolean("connected"),
    text("address", 64),
    integer("created_at"),
    integer("connected_at"),
    json("agents"),
)
gateways = Table("gateways", META, text("name", key=True), integer("beat"), integer("at"))

NETWORKS = Records(Network, networks, noun="Network")
SUBNETS = Records(Subnet, subnets, noun="Subnet")
POOLS = Records(Pool, pools, noun="Pool", key=("subnet_id",))
ADDRESSES = Records(Address, addresses, noun="Address", key=("subnet_id", "number"))
PORTS = Records(Port, ports, noun="Port")
MEMBERS = Records(Member, members, noun="Member", key=("group_id", "port_id"))
ROUTERS = Records(Router, routers, noun="Router")
FLOATING_IPS = Records(FloatingIp, floating_ips, noun="Floating IP")
GROUPS = Records(SecurityGroup, groups, noun="Security group")
RULES = Records(SecurityGroupRule, rules, noun="Security group rule")
USAGE = Records(Usage, usage, noun="Usage", key=("project_id",))
HOSTS = Records(Host, hosts, noun="Host", key=("name",))
GATEWAYS = Records(Gateway, gateways, noun="Gateway", key=("name",))
