"""Rules about regions, services and endpoints."""

from __future__ import annotations

from kilostack.identity.app.policies.personas import ADMIN, VIEWER, resource, rules

RULES = rules(
    {
        **resource("region", "regions", "@", ADMIN),
        **resource("service", "services", VIEWER, ADMIN),
        **resource("endpoint", "endpoints", VIEWER, ADMIN),
    }
)
