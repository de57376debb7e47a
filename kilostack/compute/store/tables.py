"""Every table of compute."""

from __future__ import annotations

from sqlalchemy import Index, MetaData, Table, UniqueConstraint

from kilostack.compute.model.records import Decision, Flavor, Host, Keypair, Placed, ServerAction, Usage
from kilostack.compute.model.server import Server
from kilostack.store.feed import Feed
from kilostack.store.records import Records
from kilostack.store.sql import boolean, counters, integer, json, long_text, text, uuid
from kilostack.workflow.fence import Fence
from kilostack.workflow.follower import Places
from kilostack.workflow.lease import LeaseTables
from kilostack.workflow.log import SagaTables

SCHEMA_NUMBER = 1
META = MetaData()

#: keys: "server/<id>", "host/<name>", "guest/<server id>"
FEED = Feed(META, "compute.feed")
FENCE = Fence(META)
LEASES = LeaseTables(META)
SAGAS = SagaTables(META, "compute.sagas")
PLACES = Places(META)
#: the follower of network's feed
FOLLOWS_NETWORK = "network"

servers = Table(
    "servers",
    META,
    uuid("id", key=True),
    integer("cell"),
    uuid("project_id"),
    uuid("user_id"),
    text("name"),
    text("hostname"),
    text("description", null=True),
    json("flavor"),
    uuid("image_id"),
    json("image_properties"),
    text("key_name", null=True),
    json("keys"),
    long_text("user_data", null=True),
    json("metadata"),
    text("state", 16),
    text("task_state", 64, null=True),
    uuid("saga_id", null=True),
    text("host", null=True, index=True),
    text("wanted_zone", null=True),
    json("fault", null=True),
    integer("created_at"),
    integer("updated_at"),
    integer("launched_at", null=True),
    uuid("reservation_id"),
    integer("launch_index"),
    json("nics"),
    json("wanted_groups"),
    json("networking"),
    text("disk_config", 16),
    boolean("config_drive"),
    text("access_ip_v4", 64),
    text("access_ip_v6", 64),
    boolean("locked"),
    boolean("locked_by_admin"),
    text("locked_reason", null=True),
    json("tags"),
    *counters(),
)
Index("servers_by_project", servers.c.cell, servers.c.project_id, servers.c.created_at, servers.c.id)

flavors = Table(
    "flavors",
    META,
    uuid("id", key=True),
    text("name"),
    integer("vcpus"),
    integer("memory_mib"),
    integer("disk_gib"),
    integer("ephemeral_gib"),
    integer("swap_mib"),
    text("rxtx_factor", 16),
    boolean("public"),
    boolean("disabled"),
    long_text("description", null=True),
    json("extra_specs"),
    integer("created_at"),
    *counters(),
    UniqueConstraint("name", name="flavors_name"),
)

#: projects that may use a flavor that is not public
flavor_access = Table("flavor_access", META, uuid("flavor_id", key=True), uuid("project_id", key=True))

keypairs = Table(
    "keypairs",
    META,
    uuid("user_id", key=True),
    text("name", key=True),
    integer("number"),
    text("type", 16),
    long_text("public_key"),
    text("fingerprint"),
    integer("created_at"),
)

#: one lock row per user: how many key pairs there are, and the last number given out
key_counts = Table("key_counts", META, uuid("user_id", key=True), integer("used"), integer("last"))

hosts = Table(
    "hosts",
    META,
    text("name", key=True),
    uuid("id"),
    uuid("service_id"),
    integer("number"),
    json("facts"),
    text("zone"),
    text("gateway"),
    integer("epoch"),
    boolean("connected"),
    boolean("disabled"),
    text("disabled_reason", null=True),
    boolean("forced_down"),
    integer("created_at"),
    integer("updated_at"),
    *counters(),
)

gateways = Table("gateways", META, text("name", key=True), integer("beat"))

guests = Table(
    "guests",
    META,
    uuid("server_id", key=True),
    text("host", index=True),
    integer("revision"),
    json("guest"),
    boolean("removing"),
    text("observed", 16),
    integer("observed_revision"),
    integer("observed_boot"),
    integer("updated_at"),
)

actions = Table(
    "actions",
    META,
    uuid("server_id", key=True),
    uuid("request_id", key=True),
    text("action", 64),
    uuid("user_id"),
    uuid("project_id"),
    integer("started_at"),
    integer("updated_at"),
    text("message", null=True),
    json("events"),
)

decisions = Table(
    "decisions",
    META,
    uuid("server_id", key=True),
    uuid("saga_id", key=True),
    integer("at", key=True),
    text("outcome", 1024),
    text("host", null=True),
    json("record"),
)

usages = Table(
    "usages",
    META,
    uuid("project_id", key=True),
    integer("servers"),
    integer("cores"),
    integer("memory_mib"),
    json("limits"),
)

SERVERS = Records(Server, servers, noun="Instance")
FLAVORS = Records(Flavor, flavors, noun="Flavor")
KEYPAIRS = Records(Keypair, keypairs, noun="Keypair", key=("user_id", "name"))
HOSTS = Records(Host, hosts, noun="Compute host", key=("name",))
GUESTS = Records(Placed, guests, noun="Guest", key=("server_id",))
ACTIONS = Records(ServerAction, actions, noun="Action", key=("server_id", "request_id"))
DECISIONS = Records(Decision, decisions, noun="Decision", key=("server_id", "saga_id", "at"))
USAGES = Records(Usage, usages, noun="Quota", key=("project_id",))
