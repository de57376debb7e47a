"""Rules about domains and projects."""

from __future__ import annotations

from kilostack.identity.app.policies.personas import ADMIN, NOT_DOMAIN, PROJECT_MANAGER, VIEWER, resource, rules

_DOMAIN_READER = f"{VIEWER} or domain_id:%(target.domain.id)s or project_domain_id:%(target.domain.id)s"

RULES = (
    *rules({"get_domain": _DOMAIN_READER, "list_domains": VIEWER}),
    *rules({"create_domain": ADMIN, "update_domain": ADMIN, "delete_domain": ADMIN}, NOT_DOMAIN),
    *rules(
        resource(
            "project",
            "projects",
            f"{VIEWER} or (role:reader and domain_id:%(target.project.domain_id)s) or project_id:%(target.project.id)s",
            PROJECT_MANAGER,
            listed=f"{VIEWER} or (role:reader and domain_id:%(target.project.domain_id)s)",
        )
    ),
)
