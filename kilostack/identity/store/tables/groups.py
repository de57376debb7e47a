"""Tables of groups and of who is in them."""

from __future__ import annotations

from sqlalchemy import Table, UniqueConstraint

from kilostack.identity.store.tables.meta import META
from kilostack.store import sql

GROUPS = Table(
    "groups",
    META,
    sql.uuid("id", key=True),
    sql.text("name"),
    sql.uuid("domain_id"),
    sql.long_text("description", null=True),
    sql.json("extra"),
    *sql.counters(),
    UniqueConstraint("domain_id", "name"),
)


GROUP_MEMBERS = Table("group_members", META, sql.uuid("group_id", key=True), sql.uuid("user_id", key=True, index=True))
