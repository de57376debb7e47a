"""Domains and projects: what may be changed, and what goes with them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, Forbidden, NotFound
from kilostack.core.token import domain_subject, project_subject
from kilostack.identity.app.removal import remove_project, remove_user
from kilostack.identity.app.resources import Resources, check_fixed, extra, given
from kilostack.identity.model.projects import DEFAULT_DOMAIN, Domain, Project
from kilostack.identity.store.projects import DOMAIN_LIST, DOMAINS, PROJECT_LIST, PROJECTS
from kilostack.identity.store.roles import ASSIGNMENTS
from kilostack.identity.store.users import USERS
from kilostack.store.database import Tx

_replace = msgspec.structs.replace


_DEEPEST = 5


class Domains(Resources[Domain]):
    """A domain is deleted with all that is in it, and only while it is disabled."""

    singular, plural = "domain", "domains"
    records, collection = DOMAINS, DOMAIN_LIST

    def made(self, ctx: Context, document: dict[str, Any]) -> Domain:
        return Domain(
            id=self.ground.new_id(),
            name=document["name"],
            description=document.get("description") or "",
            enabled=document.get("enabled", True),
        )

    def changed(self, record: Domain, document: dict[str, Any]) -> Domain:
        return _replace(record, **given(document, "name", "enabled", description=""))

    def voids(self, old: Domain, new: Domain) -> Iterable[str]:
        return (domain_subject(old.id),) if old.enabled and not new.enabled else ()

    async def cascade(self, tx: Tx, record: Domain) -> Iterable[str]:
        if record.enabled:
            raise Forbidden("Cannot delete a domain that is enabled, please disable it first.")
        for project in await PROJECTS.where(tx, domain_id=record.id):
            await remove_project(tx, project)
        for user in await USERS.where(tx, domain_id=record.id):
            await remove_user(tx, user)
        await ASSIGNMENTS.delete_where(tx, scope_kind="domain", scope_id=record.id)
        return (domain_subject(record.id),)

    def duplicate(self, record: Domain) -> str:
        return (
            "Conflict occurred attempting to store project - it is not permitted to have two projects acting as "
            f"domains with the same name: {record.name}."
        )


class Projects(Resources[Project]):
    """A project with children is not deleted."""

    singular, plural = "project", "projects"
    records, collection = PROJECTS, PROJECT_LIST
    _known = frozenset(
        {"name", "domain_id", "parent_id", "description", "enabled", "tags", "is_domain", "options", "id", "links"}
    )

    def made(self, ctx: Context, document: dict[str, Any]) -> Project:
        domain_id = document.get("domain_id") or ctx.domain_id or DEFAULT_DOMAIN
        return Project(
            id=self.ground.new_id(),
            name=document["name"],
            domain_id=domain_id,
            parent_id=document.get("parent_id") or domain_id,
            description=document.get("description") or "",
            enabled=document.get("enabled", True),
            tags=tuple(document.get("tags", ())),
            extra=extra({}, document, self._known),
        )

    def changed(self, record: Project, document: dict[str, Any]) -> Project:
        check_fixed(record.domain_id, document, "domain_id", "Domain ID")
        check_fixed(record.parent_id, document, "parent_id", "parent_id")
        values = given(document, "name", "enabled", description="")
        if "tags" in document:
            values["tags"] = tuple(document["tags"])
        return _replace(record, **values, extra=extra(record.extra, document, self._known))

    async def check(self, tx: Tx, record: Project) -> None:
        if await DOMAINS.find(tx, id=record.domain_id) is None:
            raise NotFound(f"Could not find domain: {record.domain_id}.")
        parent_id, depth = record.parent_id, 1
        while parent_id != record.domain_id:
            parent = await PROJECTS.find(tx, id=parent_id)
            if parent is None:
                raise NotFound(f"Could not find project: {parent_id}.")
            if parent.domain_id != record.domain_id:
                raise BadRequest("A project must be in the domain of its parent.", field="parent_id")
            parent_id, depth = parent.parent_id, depth + 1
        if depth > _DEEPEST:
            raise Forbidden("Max hierarchy depth reached for project tree.")

    def voids(self, old: Project, new: Project) -> Iterable[str]:
        return (project_subject(old.id),) if old.enabled and not new.enabled else ()

    async def cascade(self, tx: Tx, record: Project) -> Iterable[str]:
        if await PROJECTS.count(tx, parent_id=record.id):
            raise Forbidden(
                f"Cannot delete the project {record.id} since it is not a leaf in the hierarchy. "
                "Use the cascade option if you want to delete a whole subtree."
            )
        await remove_project(tx, record)
        return (project_subject(record.id),)

    def duplicate(self, record: Project) -> str:
        return (
            "Conflict occurred attempting to store project - it is not permitted to have two projects with the same "
            f"name in the same domain : {record.name}."
        )


async def projects_with_roles(tx: Tx, user_id: str) -> list[Project]:
    """Projects on which a user has a role, by name."""
    assigned = await ASSIGNMENTS.where(tx, user_id=user_id, scope_kind="project")
    found = await PROJECTS.within(tx, "id", sorted({assignment.scope_id for assignment in assigned}))
    return sorted(found, key=lambda project: (project.name, project.id))
