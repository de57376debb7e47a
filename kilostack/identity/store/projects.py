"""Records of domains and projects, what may be asked of their collections, and the way up and down their tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Integer, String, Table, literal_column, update

from kilostack.identity.model.projects import Domain, Project
from kilostack.identity.store.tables import projects as tables
from kilostack.identity.store.tagged import has_all, has_any
from kilostack.store.database import Tx
from kilostack.store.lists import Collection, Filter
from kilostack.store.records import Records
from kilostack.store.sql import InList, Query, p

DOMAINS = Records(Domain, tables.DOMAINS, noun="domain")


PROJECTS = Records(Project, tables.PROJECTS, noun="project")


_BY_NAME = (("name", False),)


_NAMES = {"id": "id", "name": "name"}

_NO_DOMAIN: Any = literal_column("''", String())


def _tags(table: Table) -> Mapping[str, Filter]:
    return {
        "tags": has_all(table.c.tags),
        "tags-any": has_any(table.c.tags),
        "not-tags": lambda name: ~has_all(table.c.tags)(name),
        "not-tags-any": lambda name: ~has_any(table.c.tags)(name),
    }


def _always(number: int) -> Filter:
    constant: Any = literal_column(str(number), Integer())
    return lambda name: InList(constant, name)


DOMAIN_LIST = Collection(
    DOMAINS, filters={"id": "id", "name": "name", "enabled": "enabled"}, sorts=_NAMES, default_sort=_BY_NAME
)


PROJECT_LIST = Collection(
    PROJECTS,
    filters={
        "id": "id",
        "name": "name",
        "domain_id": "domain_id",
        "parent_id": "parent_id",
        "enabled": "enabled",
        "is_domain": _always(0),
        **_tags(tables.PROJECTS),
    },
    sorts=_NAMES,
    default_sort=_BY_NAME,
)


#: domains as the routes of projects list them: the filters of projects, as they are true of a domain
DOMAINS_AS_PROJECTS = Collection(
    DOMAINS,
    filters={
        "id": "id",
        "name": "name",
        "domain_id": lambda name: InList(_NO_DOMAIN, name),
        "parent_id": lambda name: InList(_NO_DOMAIN, name),
        "enabled": "enabled",
        "is_domain": _always(1),
        **_tags(tables.DOMAINS),
    },
    sorts=_NAMES,
    default_sort=_BY_NAME,
)


async def find_project(tx: Tx, project_id: str) -> Project | None:
    """The project of that id, or the domain of that id as a project."""
    if (project := await PROJECTS.find(tx, id=project_id)) is not None:
        return project
    domain = await DOMAINS.find(tx, id=project_id)
    return None if domain is None else domain.as_project()


_HOLDS = tuple(
    Query(update(table).where(table.c.id == p("id")).values(revision=table.c.revision + 1))
    for table in (tables.PROJECTS, tables.DOMAINS)
)


async def hold_parent(tx: Tx, project: Project) -> None:
    """Keep others from removing or disabling what a project is in until this unit ends.

    A unit that has looked at the parent before and would write it after is run again.
    """
    await tx.run(_HOLDS[project.parent_id == project.domain_id], id=project.parent_id)


async def parents_of(tx: Tx, project: Project) -> list[Project]:
    """What a project is in, the nearest first, its domain last."""
    found: list[Project] = []
    while project.parent_id and (parent := await find_project(tx, project.parent_id)) is not None:
        found.append(parent)
        project = parent
    return found


async def subtree_of(tx: Tx, project_id: str) -> list[Project]:
    """All projects below a project or domain, level by level."""
    found: list[Project] = []
    level = [project_id]
    while level:
        children = await PROJECTS.within(tx, "parent_id", level)
        found += children
        level = [child.id for child in children]
    return found


async def named_project(tx: Tx, name: str, domain_id: str) -> Project | None:
    """The project of that name in a domain."""
    found = await PROJECTS.where(tx, domain_id=domain_id, name=name)
    return found[0] if found else None


async def named_domain(tx: Tx, name: str) -> Domain | None:
    """The domain of that name."""
    found = await DOMAINS.where(tx, name=name)
    return found[0] if found else None
