"""Tables of application credentials."""

from __future__ import annotations

from sqlalchemy import Table, UniqueConstraint

from kilostack.identity.store.tables.meta import META
from kilostack.store import sql

APPLICATION_CREDENTIALS = Table(
    "application_credentials",
    META,
    sql.uuid("id", key=True),
    sql.uuid("user_id"),
    sql.uuid("project_id", index=True),
    sql.text("name"),
    sql.text("secret_hash"),
    sql.json("role_ids"),
    sql.long_text("description", null=True),
    sql.boolean("unrestricted", null=True),
    sql.json("access_rule_ids"),
    sql.integer("expires_at", null=True),
    UniqueConstraint("user_id", "name"),
)
