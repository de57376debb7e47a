"""Tables of identity providers, what is known of their users, and service providers."""

from __future__ import annotations

from sqlalchemy import Table

from kilostack.identity.store.tables.meta import META
from kilostack.store import sql

IDENTITY_PROVIDERS = Table(
    "identity_providers",
    META,
    sql.uuid("id", key=True),
    sql.uuid("domain_id", index=True),
    sql.boolean("enabled"),
    sql.long_text("description", null=True),
    sql.integer("authorization_ttl", null=True),
    sql.json("remote_ids"),
    *sql.counters(),
)


REMOTE_IDS = Table("remote_ids", META, sql.text("remote_id", key=True), sql.uuid("provider_id", index=True))


FEDERATION_PROTOCOLS = Table(
    "federation_protocols",
    META,
    sql.uuid("provider_id", key=True),
    sql.uuid("id", key=True),
    sql.uuid("mapping_id", index=True),
    sql.text("remote_id_attribute", null=True),
    *sql.counters(),
)


MAPPINGS = Table(
    "mappings",
    META,
    sql.uuid("id", key=True),
    sql.json("rules"),
    sql.text("schema_version", 16),
    *sql.counters(),
)


SERVICE_PROVIDERS = Table(
    "service_providers",
    META,
    sql.uuid("id", key=True),
    sql.text("auth_url"),
    sql.text("sp_url"),
    sql.boolean("enabled"),
    sql.long_text("description", null=True),
    sql.text("relay_state_prefix"),
    *sql.counters(),
)


FEDERATED_USERS = Table(
    "federated_users",
    META,
    sql.uuid("provider_id", key=True),
    sql.uuid("protocol_id", key=True),
    sql.text("unique_id", key=True),
    sql.uuid("user_id", index=True),
    sql.text("display_name"),
    sql.boolean("shadow"),
)


GROUP_VISITS = Table(
    "group_visits",
    META,
    sql.uuid("user_id", key=True),
    sql.uuid("group_id", key=True, index=True),
    sql.uuid("provider_id", key=True, index=True),
    sql.integer("seen_at"),
)
