"""Rules about policy documents, and about which of them endpoints have."""

from __future__ import annotations

from kilostack.identity.app.policies.personas import ADMIN, NOT_DOMAIN, VIEWER, resource, rules

_SUBJECTS = ("endpoint", "service", "region_and_service")

RULES = rules(
    {
        **resource("policy", "policies", VIEWER, ADMIN),
        **{f"create_policy_association_for_{subject}": ADMIN for subject in _SUBJECTS},
        **{f"check_policy_association_for_{subject}": VIEWER for subject in _SUBJECTS},
        **{f"delete_policy_association_for_{subject}": ADMIN for subject in _SUBJECTS},
        "get_policy_for_endpoint": VIEWER,
        "list_endpoints_for_policy": VIEWER,
    },
    NOT_DOMAIN,
)
