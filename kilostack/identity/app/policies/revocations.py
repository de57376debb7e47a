"""Rules about the list of what has been revoked."""

from __future__ import annotations

from kilostack.identity.app.policies.personas import NOT_DOMAIN, rules

RULES = rules({"list_revoke_events": "rule:service_or_admin"}, NOT_DOMAIN)
