"""Table of the options that domains have of their own."""

from __future__ import annotations

from sqlalchemy import Table

from kilostack.identity.store.tables.meta import META
from kilostack.store import sql

DOMAIN_OPTIONS = Table(
    "domain_options",
    META,
    sql.uuid("domain_id", key=True),
    sql.text("group", 64, key=True),
    sql.text("option", 64, key=True),
    sql.json("value", null=True),
)
