"""Tables of unified limits."""

from __future__ import annotations

from sqlalchemy import Table, UniqueConstraint

from kilostack.identity.store.tables.meta import META
from kilostack.store import sql

#: `region_id` is empty for a limit of no region; `uses` counts the limits that stand in place of this default; the row
#: is what they are locked by, and `turn` rises with each lock
REGISTERED_LIMITS = Table(
    "registered_limits",
    META,
    sql.uuid("id", key=True),
    sql.uuid("service_id"),
    sql.text("region_id", index=True),
    sql.text("resource_name"),
    sql.integer("default_limit"),
    sql.text("description", null=True),
    sql.integer("uses"),
    sql.integer("turn"),
    *sql.counters(),
    UniqueConstraint("service_id", "region_id", "resource_name"),
)


#: either `project_id` or `domain_id` is empty; what a limit is about is its registered limit's, which does not change
#: while it has limits
LIMITS = Table(
    "limits",
    META,
    sql.uuid("id", key=True),
    sql.uuid("registered_limit_id"),
    sql.uuid("service_id"),
    sql.text("region_id"),
    sql.text("resource_name"),
    sql.uuid("project_id", index=True),
    sql.uuid("domain_id", index=True),
    sql.integer("resource_limit"),
    sql.text("description", null=True),
    *sql.counters(),
    UniqueConstraint("registered_limit_id", "project_id", "domain_id"),
)
