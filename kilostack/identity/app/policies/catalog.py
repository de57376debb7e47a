"""Rules about regions, services and endpoints."""

from __future__ import annotations

from kilostack.identity.app.policies.personas import ADMIN, NOT_DOMAIN, SCOPES, VIEWER, resource, rules

RULES = (
    *rules({"get_region": "@", "list_regions": "@"}, SCOPES),
    *rules({"create_region": ADMIN, "update_region": ADMIN, "delete_region": ADMIN}, NOT_DOMAIN),
    *rules(resource("service", "services", VIEWER, ADMIN), NOT_DOMAIN),
    *rules(resource("endpoint", "endpoints", VIEWER, ADMIN), NOT_DOMAIN),
)
