"""Projects: what may be changed, and what goes with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, Forbidden
from kilostack.core.token import project_subject
from kilostack.identity.app.documents import (
    check_mutable,
    check_own_id,
    check_removable,
    extra,
    immutable_after,
    made_up,
)
from kilostack.identity.app.domains import KNOWN, Domains, changes
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.removal import remove_projects
from kilostack.identity.app.resources import Resources
from kilostack.identity.model.limits import deepest
from kilostack.identity.model.projects import DEFAULT_DOMAIN, Domain, Project
from kilostack.identity.store.projects import (
    DOMAINS,
    DOMAINS_AS_PROJECTS,
    PROJECT_LIST,
    PROJECTS,
    find_project,
    hold_parent,
    parents_of,
    subtree_of,
)
from kilostack.store.database import Tx
from kilostack.store.lists import Ask

#: projects above each other, the domain not counted
_DEEPEST = 5


class Projects(Resources[Project]):
    """A project with children is not deleted, nor disabled while one of them is enabled.

    A domain is a project, too: one without a domain, which `Domains` looks after.
    """

    singular, plural = "project", "projects"
    records, collection = PROJECTS, PROJECT_LIST
    domain_filter = "domain_id"

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._domains = Domains(ground)

    def target(self, record: Project) -> Mapping[str, Any]:
        return {"project": msgspec.structs.asdict(record) | {"is_domain": record.is_domain}}

    def target_wanted(self, record: Project, document: dict[str, Any]) -> Mapping[str, Any]:
        # as it was sent: who may create projects in one domain has to name it
        return {"project": document}

    async def find(self, tx: Tx, record_id: str) -> Project | None:
        return await find_project(tx, record_id)

    async def prepared(self, document: dict[str, Any]) -> dict[str, Any]:
        if document.get("is_domain") and (document.get("parent_id") or document.get("domain_id")):
            raise BadRequest("only root projects are allowed to act as domains.", field="parent_id")
        return document

    def made(self, ctx: Context, document: dict[str, Any]) -> Project:
        if document.get("is_domain"):
            plain = {name: value for name, value in document.items() if name != "explicit_domain_id"}
            return self._domains.made(ctx, plain).as_project()
        domain_id = document.get("domain_id") or ctx.domain_id or DEFAULT_DOMAIN
        return Project(
            id=self.ground.new_id(),
            name=document["name"].strip(),
            domain_id=domain_id,
            parent_id=document.get("parent_id") or domain_id,
            description=document.get("description", ""),
            enabled=document.get("enabled", True),
            immutable=immutable_after(None, document),
            tags=tuple(document.get("tags", ())),
            extra=made_up(document, KNOWN),
        )

    def changed(self, record: Project, document: dict[str, Any]) -> Project:
        check_own_id(record.id, document)
        if "domain_id" in document and (document["domain_id"] or "") != record.domain_id:
            raise BadRequest("Cannot change Domain ID", field="domain_id")
        check_mutable(record.immutable, document, "domain" if record.is_domain else "project", record.id)
        if "parent_id" in document and (document["parent_id"] or "") != record.parent_id:
            raise Forbidden("Update of `parent_id` is not allowed.")
        if document.get("is_domain", record.is_domain) != record.is_domain:
            raise BadRequest("Update of `is_domain` is not allowed.", field="is_domain")
        return msgspec.structs.replace(record, **changes(record, document), extra=extra(record.extra, document, KNOWN))

    async def insert(self, tx: Tx, record: Project) -> None:
        if record.is_domain:
            await self._domains.insert(tx, _as_domain(record))
        else:
            await super().insert(tx, record)

    async def check(self, tx: Tx, record: Project) -> None:
        if await DOMAINS.find(tx, id=record.domain_id) is None:
            raise BadRequest(f"Could not find domain: {record.domain_id}.", field="domain_id")
        parents = await parents_of(tx, record)
        if not parents:
            raise BadRequest(f"Could not find project: {record.parent_id}.", field="parent_id")
        _check_parent(parents[0], record)
        if (disabled := next((parent for parent in parents if not parent.enabled), None)) is not None:
            raise BadRequest(
                f"cannot create a project in a branch containing a disabled project: {disabled.id}", field="parent_id"
            )
        if len(parents) > deepest(self.ground.settings.limit_model, _DEEPEST):
            raise Forbidden(f"Max hierarchy depth reached for {record.parent_id} branch.")
        await hold_parent(tx, record)

    async def check_change(self, tx: Tx, old: Project, new: Project) -> None:
        if new.enabled and not old.enabled:
            if any(not parent.enabled for parent in await parents_of(tx, new)):
                raise Forbidden(f"Cannot enable project {new.id} since it has disabled parents")
            await hold_parent(tx, new)
        if old.enabled and not new.enabled and any(below.enabled for below in await subtree_of(tx, new.id)):
            raise Forbidden(f"Cannot disable project {new.id} since its subtree contains enabled projects.")

    async def rewrite(self, tx: Tx, old: Project, document: dict[str, Any], until: int) -> Project:
        if not old.is_domain:
            return await super().rewrite(tx, old, document, until)
        self.changed(old, document)
        return (await self._domains.rewrite(tx, _as_domain(old), document, until)).as_project()

    async def remove(self, tx: Tx, record: Project, until: int) -> None:
        if record.is_domain:
            await self._domains.remove(tx, _as_domain(record), until)
        else:
            await super().remove(tx, record, until)

    async def listed(self, tx: Tx, ask: Ask) -> list[Project]:
        if any(where.name == "is_domain" and where.values == (True,) for where in ask.where):
            return [domain.as_project() for domain in await DOMAINS_AS_PROJECTS.page(tx, ask)]
        return await super().listed(tx, ask)

    def voids(self, old: Project, new: Project) -> Iterable[str]:
        return (project_subject(old.id),) if old.enabled and not new.enabled else ()

    async def cascade(self, tx: Tx, record: Project) -> Iterable[str]:
        check_removable(record.immutable, "project", record.id)
        if await PROJECTS.count(tx, parent_id=record.id):
            raise Forbidden(
                f"Cannot delete the project {record.id} since it is not a leaf in the hierarchy. "
                "Use the cascade option if you want to delete a whole subtree."
            )
        await remove_projects(tx, [record.id])
        return (project_subject(record.id),)

    def duplicate(self, record: Project) -> str:
        if record.is_domain:
            return self._domains.duplicate(_as_domain(record))
        return (
            "Conflict occurred attempting to store project - it is not permitted to have two projects with either the "
            f"same name or same id in the same domain: name is {record.name}, project id {record.id}."
        )


def _check_parent(parent: Project, record: Project) -> None:
    if parent.is_domain and parent.id != record.domain_id:
        raise BadRequest(
            f"Cannot create project, the parent ({parent.id}) is acting as a domain, but this project's domain id "
            f"({record.domain_id}) does not match the parent's id.",
            field="parent_id",
        )
    if not parent.is_domain and parent.domain_id != record.domain_id:
        raise BadRequest(
            f"Cannot create project, since it specifies its domain_id {record.domain_id}, but specifies a parent in a "
            f"different domain ({parent.domain_id}).",
            field="parent_id",
        )


def _as_domain(project: Project) -> Domain:
    return Domain(**{name: getattr(project, name) for name in Domain.__struct_fields__})
