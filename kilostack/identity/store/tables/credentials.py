"""Tables of credentials."""

from __future__ import annotations

from sqlalchemy import Table

from kilostack.identity.store.tables.meta import META
from kilostack.store import sql

CREDENTIALS = Table(
    "credentials",
    META,
    sql.uuid("id", key=True),
    sql.uuid("user_id", index=True),
    sql.uuid("project_id", null=True, index=True),
    sql.text("type"),
    sql.long_text("blob_sealed"),
    sql.json("extra"),
    sql.integer("used_step", null=True),
    *sql.counters(),
)
