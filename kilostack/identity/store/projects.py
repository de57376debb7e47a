"""Records of domains and projects, and what may be asked of their collections."""

from __future__ import annotations

from kilostack.identity.model.projects import Domain, Project
from kilostack.identity.store.tables import projects as tables
from kilostack.store.database import Tx
from kilostack.store.lists import Collection
from kilostack.store.records import Records

DOMAINS = Records(Domain, tables.DOMAINS, noun="domain")


PROJECTS = Records(Project, tables.PROJECTS, noun="project")


_BY_NAME = (("name", False),)


_NAMES = {"id": "id", "name": "name"}


DOMAIN_LIST = Collection(DOMAINS, filters={"name": "name", "enabled": "enabled"}, sorts=_NAMES, default_sort=_BY_NAME)


PROJECT_LIST = Collection(
    PROJECTS,
    filters={
        "id": "id",
        "name": "name",
        "domain_id": "domain_id",
        "parent_id": "parent_id",
        "enabled": "enabled",
    },
    sorts=_NAMES,
    default_sort=_BY_NAME,
)


async def named_project(tx: Tx, name: str, domain_id: str) -> Project | None:
    """The project of that name in a domain."""
    found = await PROJECTS.where(tx, domain_id=domain_id, name=name)
    return found[0] if found else None


async def named_domain(tx: Tx, name: str) -> Domain | None:
    """The domain of that name."""
    found = await DOMAINS.where(tx, name=name)
    return found[0] if found else None
