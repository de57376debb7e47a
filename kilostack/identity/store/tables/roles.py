"""Tables of roles and of who has them where."""

from __future__ import annotations

from sqlalchemy import Table, UniqueConstraint

from kilostack.identity.store.tables.meta import META
from kilostack.store import sql

ROLES = Table(
    "roles",
    META,
    sql.uuid("id", key=True),
    sql.text("name"),
    # empty and not NULL, which equals nothing: names would not be unique
    sql.uuid("domain_id"),
    sql.long_text("description", null=True),
    sql.boolean("immutable", null=True),
    sql.json("extra"),
    *sql.counters(),
    UniqueConstraint("domain_id", "name"),
)


IMPLICATIONS = Table("implications", META, sql.uuid("prior_id", key=True), sql.uuid("implied_id", key=True, index=True))


ASSIGNMENTS = Table(
    "assignments",
    META,
    sql.uuid("actor_id", key=True),
    sql.text("actor_kind", 16, key=True),
    sql.text("scope_kind", 16, key=True),
    sql.uuid("scope_id", key=True, index=True),
    sql.uuid("role_id", key=True, index=True),
    sql.boolean("inherited", key=True),
)
