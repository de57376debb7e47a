"""Tables of trusts."""

from __future__ import annotations

from sqlalchemy import Table, UniqueConstraint

from kilostack.identity.store.tables.meta import META
from kilostack.store import sql

TRUSTS = Table(
    "trusts",
    META,
    sql.uuid("id", key=True),
    sql.uuid("trustor_user_id"),
    sql.uuid("trustee_user_id", index=True),
    sql.boolean("impersonation"),
    sql.uuid("project_id", null=True, index=True),
    sql.json("role_ids"),
    sql.integer("expires_at", null=True),
    sql.integer("remaining_uses", null=True),
    sql.uuid("redelegated_trust_id", null=True, index=True),
    sql.integer("redelegation_count"),
    sql.json("extra"),
    # one without a project or an end equals no other: NULL is unlike NULL
    UniqueConstraint("trustor_user_id", "trustee_user_id", "project_id", "impersonation", "expires_at"),
)
