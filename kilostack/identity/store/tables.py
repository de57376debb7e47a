"""All tables of identity's database."""

from __future__ import annotations

from sqlalchemy import MetaData, Table, UniqueConstraint

from kilostack.store import sql
from kilostack.store.feed import Feed
from kilostack.wire.identity_calls import TOPIC

META = MetaData()
SCHEMA_NUMBER = 1

FEED = Feed(META, TOPIC)

DOMAINS = Table(
    "domains",
    META,
    sql.uuid("id", key=True),
    sql.text("name"),
    sql.long_text("description"),
    sql.boolean("enabled"),
    *sql.counters(),
    UniqueConstraint("name"),
)

PROJECTS = Table(
    "projects",
    META,
    sql.uuid("id", key=True),
    sql.text("name"),
    sql.uuid("domain_id"),
    sql.uuid("parent_id", index=True),
    sql.long_text("description"),
    sql.boolean("enabled"),
    sql.json("tags"),
    sql.json("extra"),
    *sql.counters(),
    UniqueConstraint("domain_id", "name"),
)

USERS = Table(
    "users",
    META,
    sql.uuid("id", key=True),
    sql.text("name"),
    sql.uuid("domain_id"),
    sql.boolean("enabled"),
    sql.uuid("default_project_id", null=True),
    sql.text("password_hash", null=True),
    sql.json("extra"),
    *sql.counters(),
    UniqueConstraint("domain_id", "name"),
)

ROLES = Table(
    "roles",
    META,
    sql.uuid("id", key=True),
    sql.text("name"),
    sql.long_text("description", null=True),
    sql.boolean("immutable"),
    *sql.counters(),
    UniqueConstraint("name"),
)

IMPLICATIONS = Table("implications", META, sql.uuid("prior_id", key=True), sql.uuid("implied_id", key=True))

ASSIGNMENTS = Table(
    "assignments",
    META,
    sql.uuid("user_id", key=True),
    sql.text("scope_kind", 16, key=True),
    sql.uuid("scope_id", key=True, index=True),
    sql.uuid("role_id", key=True, index=True),
)

CREDENTIALS = Table(
    "application_credentials",
    META,
    sql.uuid("id", key=True),
    sql.uuid("user_id"),
    sql.uuid("project_id", index=True),
    sql.text("name"),
    sql.text("secret_hash"),
    sql.json("role_ids"),
    sql.long_text("description", null=True),
    sql.boolean("unrestricted"),
    sql.integer("expires_at", null=True),
    UniqueConstraint("user_id", "name"),
)

REGIONS = Table(
    "regions",
    META,
    sql.text("id", key=True),
    sql.long_text("description"),
    sql.text("parent_region_id", null=True, index=True),
    *sql.counters(),
)

SERVICES = Table(
    "services",
    META,
    sql.uuid("id", key=True),
    sql.text("type"),
    sql.text("name"),
    sql.long_text("description", null=True),
    sql.boolean("enabled"),
    *sql.counters(),
)

ENDPOINTS = Table(
    "endpoints",
    META,
    sql.uuid("id", key=True),
    sql.uuid("service_id", index=True),
    sql.text("interface", 16),
    sql.long_text("url"),
    sql.text("region_id", null=True, index=True),
    sql.boolean("enabled"),
    *sql.counters(),
)

SIGNING_KEYS = Table(
    "signing_keys",
    META,
    sql.uuid("id", key=True),
    sql.text("public"),
    sql.long_text("private_sealed"),
    sql.integer("created_at"),
)

REVOCATIONS = Table(
    "revocations",
    META,
    sql.text("subject", key=True),
    sql.integer("number", index=True),
    sql.integer("until", index=True),
)
