"""Rules about domains and projects."""

from __future__ import annotations

from kilostack.identity.app.policies.personas import ADMIN, NOT_DOMAIN, VIEWER, resource, rules

_DOMAIN_READER = f"{VIEWER} or domain_id:%(target.domain.id)s or project_domain_id:%(target.domain.id)s"
#: a domain, seen as a project, is in none, and so nobody's but an administrator's
_IN_DOMAIN = "domain_id:%(target.project.domain_id)s"
_READER = f"{VIEWER} or (role:reader and {_IN_DOMAIN}) or project_id:%(target.project.id)s"
_MANAGER = f"{ADMIN} or (role:manager and {_IN_DOMAIN})"

RULES = (
    *rules(
        {
            "get_domain": _DOMAIN_READER,
            "list_domains": f"{VIEWER} or (role:reader and domain_id:%(target.domain.id)s)",
            **resource(
                "project",
                "projects",
                _READER,
                _MANAGER,
                listed=f"{VIEWER} or (role:reader and domain_id:%(target.domain_id)s)",
            ),
            "list_project_tags": _READER,
            "get_project_tag": _READER,
            "update_project_tags": _MANAGER,
            "create_project_tag": _MANAGER,
            "delete_project_tags": _MANAGER,
            "delete_project_tag": _MANAGER,
            "get_security_compliance_domain_config": "",
        }
    ),
    *rules(
        {
            "create_domain": ADMIN,
            "update_domain": ADMIN,
            "delete_domain": ADMIN,
            "create_domain_config": ADMIN,
            "get_domain_config": VIEWER,
            "get_domain_config_default": VIEWER,
            "update_domain_config": ADMIN,
            "delete_domain_config": ADMIN,
        },
        NOT_DOMAIN,
    ),
)
