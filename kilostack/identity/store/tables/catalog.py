"""Tables of regions, services and endpoints."""

from __future__ import annotations

from sqlalchemy import Table

from kilostack.identity.store.tables.meta import META
from kilostack.store import sql

REGIONS = Table(
    "regions",
    META,
    sql.text("id", key=True),
    sql.long_text("description"),
    sql.text("parent_region_id", null=True, index=True),
    sql.json("extra"),
    *sql.counters(),
)


SERVICES = Table(
    "services",
    META,
    sql.uuid("id", key=True),
    sql.text("type"),
    sql.text("name"),
    sql.boolean("enabled"),
    sql.json("extra"),
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
    sql.json("extra"),
    *sql.counters(),
)
