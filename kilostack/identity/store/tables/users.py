"""Tables of users."""

from __future__ import annotations

from sqlalchemy import Table, UniqueConstraint

from kilostack.identity.store.tables.meta import META
from kilostack.store import sql

USERS = Table(
    "users",
    META,
    sql.uuid("id", key=True),
    sql.text("name"),
    sql.uuid("domain_id"),
    sql.boolean("enabled"),
    sql.uuid("default_project_id", null=True, index=True),
    sql.text("password_hash", null=True),
    sql.integer("password_created_at", null=True),
    sql.integer("password_expires_at", null=True),
    sql.boolean("password_self_chosen"),
    sql.json("options"),
    sql.integer("created_at"),
    sql.integer("active_at", null=True),
    sql.json("extra"),
    *sql.counters(),
    UniqueConstraint("domain_id", "name"),
)


FORMER_PASSWORDS = Table(
    "former_passwords",
    META,
    sql.uuid("user_id", key=True),
    sql.integer("created_at", key=True),
    sql.text("password_hash"),
)


# apart from users, because a wrong password must not get in the way of a change
LOGIN_FAILURES = Table(
    "login_failures",
    META,
    sql.uuid("user_id", key=True),
    sql.integer("failures"),
    sql.integer("failed_at"),
)
