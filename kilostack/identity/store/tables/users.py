"""Tables of users."""

from __future__ import annotations

from sqlalchemy import Table, UniqueConstraint

from kilostack.identity.store.tables.meta import META
from kilostack.store import sql

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
