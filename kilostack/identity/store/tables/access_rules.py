"""Tables of access rules."""

from __future__ import annotations

from sqlalchemy import Table, UniqueConstraint

from kilostack.identity.store.tables.meta import META
from kilostack.store import sql

ACCESS_RULES = Table(
    "access_rules",
    META,
    sql.uuid("id", key=True),
    sql.uuid("user_id"),
    sql.text("service", 64),
    sql.text("path"),
    sql.text("method", 16),
    *sql.counters(),
    UniqueConstraint("user_id", "service", "path", "method"),
)
