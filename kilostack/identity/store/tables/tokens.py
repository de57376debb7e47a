"""Tables of signing keys and revocations."""

from __future__ import annotations

from sqlalchemy import Table

from kilostack.identity.store.tables.meta import META
from kilostack.store import sql

SIGNING_KEYS = Table(
    "signing_keys",
    META,
    sql.uuid("id", key=True),
    sql.text("public"),
    sql.long_text("private_sealed"),
    sql.integer("created_at"),
)


REVOCATIONS = Table(
    "revocations",
    META,
    sql.text("subject", key=True),
    sql.integer("number", index=True),
    sql.integer("until", index=True),
)
