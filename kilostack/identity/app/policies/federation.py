"""Rules about identity providers, their protocols and mappings, and service providers."""

from __future__ import annotations

from kilostack.identity.app.policies.personas import ADMIN, NOT_DOMAIN, VIEWER, resource, rules

RULES = rules(
    {
        **resource("identity_provider", "identity_providers", VIEWER, ADMIN),
        **resource("protocol", "protocols", VIEWER, ADMIN),
        **resource("mapping", "mappings", VIEWER, ADMIN),
        **resource("service_provider", "service_providers", VIEWER, ADMIN),
    },
    NOT_DOMAIN,
)
