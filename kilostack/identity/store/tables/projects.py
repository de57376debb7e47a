"""Tables of domains and projects."""

from __future__ import annotations

from sqlalchemy import Table, UniqueConstraint

from kilostack.identity.store.tables.meta import META
from kilostack.store import sql

DOMAINS = Table(
    "domains",
    META,
    sql.uuid("id", key=True),
    sql.text("name"),
    sql.long_text("description", null=True),
    sql.boolean("enabled"),
    sql.boolean("immutable", null=True),
    sql.json("tags"),
    sql.json("extra"),
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
    sql.long_text("description", null=True),
    sql.boolean("enabled"),
    sql.boolean("immutable", null=True),
    sql.json("tags"),
    sql.json("extra"),
    *sql.counters(),
    UniqueConstraint("domain_id", "name"),
)
