"""Rules about domains and projects."""

from __future__ import annotations

from kilostack.identity.app.policies.personas import ADMIN, PROJECT_MANAGER, VIEWER, resource, rules

RULES = rules(
    {
        **resource(
            "domain",
            "domains",
            f"{VIEWER} or domain_id:%(target.domain.id)s or project_domain_id:%(target.domain.id)s",
            ADMIN,
            listed=VIEWER,
        ),
        **resource(
            "project",
            "projects",
            f"{VIEWER} or (role:reader and domain_id:%(target.project.domain_id)s) or project_id:%(target.project.id)s",
            PROJECT_MANAGER,
            listed=f"{VIEWER} or (role:reader and domain_id:%(target.project.domain_id)s)",
        ),
    }
)
