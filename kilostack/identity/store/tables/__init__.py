"""All tables of identity's database; importing this knows them all."""

from __future__ import annotations

from kilostack.identity.store.tables import (
    access_rules,
    application_credentials,
    catalog,
    credentials,
    domain_config,
    endpoint_filter,
    federation,
    groups,
    limits,
    oauth1,
    policy_documents,
    projects,
    roles,
    tokens,
    trusts,
    users,
)
from kilostack.identity.store.tables.meta import FEED, META, SCHEMA_NUMBER

__all__ = [
    "FEED",
    "META",
    "SCHEMA_NUMBER",
    "access_rules",
    "application_credentials",
    "catalog",
    "credentials",
    "domain_config",
    "endpoint_filter",
    "federation",
    "groups",
    "limits",
    "oauth1",
    "policy_documents",
    "projects",
    "roles",
    "tokens",
    "trusts",
    "users",
]
