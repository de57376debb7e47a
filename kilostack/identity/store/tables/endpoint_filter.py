"""Tables of which endpoints a project's catalog is cut down to."""

from __future__ import annotations

from sqlalchemy import Table

from kilostack.identity.store.tables.meta import META
from kilostack.store import sql

PROJECT_ENDPOINTS = Table(
    "project_endpoints", META, sql.uuid("project_id", key=True), sql.uuid("endpoint_id", key=True, index=True)
)


ENDPOINT_GROUPS = Table(
    "endpoint_groups",
    META,
    sql.uuid("id", key=True),
    sql.text("name"),
    sql.long_text("description", null=True),
    sql.json("filters"),
    *sql.counters(),
)


PROJECT_ENDPOINT_GROUPS = Table(
    "project_endpoint_groups",
    META,
    sql.uuid("project_id", key=True),
    sql.uuid("endpoint_group_id", key=True, index=True),
)
