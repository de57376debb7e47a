"""Rules about cutting the catalogs of projects down."""

from __future__ import annotations

from kilostack.identity.app.policies.personas import ADMIN, NOT_DOMAIN, VIEWER, resource, rules

RULES = rules(
    {
        **resource("endpoint_group", "endpoint_groups", VIEWER, ADMIN),
        "list_projects_associated_with_endpoint_group": VIEWER,
        "list_endpoints_associated_with_endpoint_group": VIEWER,
        "get_endpoint_group_in_project": VIEWER,
        "list_endpoint_groups_for_project": VIEWER,
        "add_endpoint_group_to_project": ADMIN,
        "remove_endpoint_group_from_project": ADMIN,
        "list_projects_for_endpoint": VIEWER,
        "check_endpoint_in_project": VIEWER,
        "list_endpoints_for_project": VIEWER,
        "add_endpoint_to_project": ADMIN,
        "remove_endpoint_from_project": ADMIN,
    },
    NOT_DOMAIN,
)
