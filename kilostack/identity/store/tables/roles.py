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
