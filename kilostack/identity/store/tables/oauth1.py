"""Tables of OAuth 1: consumers, their wishes, and what they were granted."""

from __future__ import annotations

from sqlalchemy import Table

from kilostack.identity.store.tables.meta import META
from kilostack.store import sql

CONSUMERS = Table(
    "oauth1_consumers",
    META,
    sql.uuid("id", key=True),
    sql.long_text("secret_sealed"),
    sql.long_text("description", null=True),
    sql.json("extra"),
    *sql.counters(),
)


REQUEST_TOKENS = Table(
    "oauth1_request_tokens",
    META,
    sql.uuid("id", key=True),
    sql.uuid("consumer_id", index=True),
    sql.uuid("project_id", index=True),
    sql.long_text("secret_sealed"),
    sql.integer("expires_at", index=True),
    sql.text("verifier", null=True),
    sql.uuid("authorizing_user_id", null=True),
    sql.json("role_ids"),
)


ACCESS_TOKENS = Table(
    "oauth1_access_tokens",
    META,
    sql.uuid("id", key=True),
    sql.uuid("consumer_id", index=True),
    sql.uuid("authorizing_user_id", index=True),
    sql.uuid("project_id", index=True),
    sql.long_text("secret_sealed"),
    sql.integer("expires_at", index=True),
    sql.json("role_ids"),
)
