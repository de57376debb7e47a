"""Tables of policy documents and of what they are about."""

from __future__ import annotations

from sqlalchemy import Table

from kilostack.identity.store.tables.meta import META
from kilostack.store import sql

POLICY_DOCUMENTS = Table(
    "policy_documents",
    META,
    sql.uuid("id", key=True),
    sql.long_text("blob"),
    sql.text("type"),
    sql.json("extra"),
    *sql.counters(),
)


#: a column that does not matter to an association is empty, so that each thing has at most one
POLICY_ASSOCIATIONS = Table(
    "policy_associations",
    META,
    sql.uuid("endpoint_id", key=True),
    sql.uuid("service_id", key=True, index=True),
    sql.text("region_id", key=True, index=True),
    sql.uuid("policy_id", index=True),
)
