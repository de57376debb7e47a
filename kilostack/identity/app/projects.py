"""Domains and projects: what may be changed, and what goes with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, Conflict, Duplicate, Forbidden, NotFound
from kilostack.core.token import domain_subject, project_subject
from kilostack.identity.app.assignments import projects_with_roles
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.removal import empty_domain, remove_projects
from kilostack.identity.app.resources import (
    Resources,
    check_mutable,
    check_removable,
    extra,
    given,
    immutable_after,
)
from kilostack.identity.model.limits import deepest
from kilostack.identity.model.projects import DEFAULT_DOMAIN, Domain, IdTree, Project, parents_as_ids, subtree_as_ids
from kilostack.identity.store.projects import (
    DOMAIN_LIST,
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

_replace = msgspec.structs.replace

#: projects above each other, the domain not counted
_DEEPEST = 5
#: stands for the domains of users from elsewhere, in any case
_RESERVED_NAME = "federated"

_KNOWN = frozenset(
    {"name", "domain_id", "parent_id", "description", "enabled", "tags", "is_domain", "options", "id", "links"}
)

_UUID = re.compile("[0-9a-f]{32}")

Tags = tuple[str, ...]


class Domains(Resources[Domain]):
    """A domain is deleted with all that is in it, and only while it is disabled."""

    singular, plural = "domain", "domains"
    records, collection = DOMAINS, DOMAIN_LIST
    domain_filter = "id"
    told_missing = frozenset({"update", "delete"})
    _known = _KNOWN | {"explicit_domain_id"}

    async def prepared(self, document: dict[str, Any]) -> dict[str, Any]:
        wanted = document.get("explicit_domain_id")
        if wanted is not None and _UUID.fullmatch(wanted) is None:
            raise BadRequest("Domain ID does not conform to required UUID format.", field="explicit_domain_id")
        return document

    def made(self, ctx: Context, document: dict[str, Any]) -> Domain:
        return Domain(
            id=document.get("explicit_domain_id") or self.ground.new_id(),
            name=document["name"].strip(),
            description=document.get("description", ""),
            enabled=document.get("enabled", True),
            immutable=immutable_after(None, document),
            tags=tuple(document.get("tags", ())),
            extra=_renamed(extra({}, document, self._known)),
        )

    def changed(self, record: Domain, document: dict[str, Any]) -> Domain:
        check_mutable(record.immutable, document, "domain", record.id)
        return _replace(record, **_changes(record, document), extra=extra(record.extra, document, self._known))

    async def check(self, tx: Tx, record: Domain) -> None:
        if record.name.lower() == _RESERVED_NAME:
            raise BadRequest(f"Domain cannot be named {record.name}.", field="name")
        if await PROJECTS.find(tx, id=record.id) is not None:
            raise Conflict(self.duplicate(record))

    def voids(self, old: Domain, new: Domain) -> Iterable[str]:
        return (domain_subject(old.id),) if old.enabled and not new.enabled else ()

    async def cascade(self, tx: Tx, record: Domain) -> Iterable[str]:
        check_removable(record.immutable, "domain", record.id)
        if record.enabled:
            raise Forbidden("Cannot delete a domain that is enabled, please disable it first.")
        for project in await PROJECTS.where(tx, domain_id=record.id):
            check_removable(project.immutable, "project", project.id)
        return (*await empty_domain(tx, record.id), domain_subject(record.id))

    def duplicate(self, record: Domain) -> str:
        return (
            "Conflict occurred attempting to store project - it is not permitted to have two projects acting as "
            f"domains with the same name: {record.name}."
        )


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
            extra=_renamed(extra({}, document, _KNOWN)),
        )

    def changed(self, record: Project, document: dict[str, Any]) -> Project:
        if document.get("id", record.id) != record.id:
            raise BadRequest("Cannot change ID", field="id")
        if "domain_id" in document and (document["domain_id"] or "") != record.domain_id:
            raise BadRequest("Cannot change Domain ID", field="domain_id")
        check_mutable(record.immutable, document, "domain" if record.is_domain else "project", record.id)
        if "parent_id" in document and (document["parent_id"] or "") != record.parent_id:
            raise Forbidden("Update of `parent_id` is not allowed.")
        if document.get("is_domain", record.is_domain) != record.is_domain:
            raise BadRequest("Update of `is_domain` is not allowed.", field="is_domain")
        return _replace(record, **_changes(record, document), extra=extra(record.extra, document, _KNOWN))

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


class Relatives(StrEnum):
    """What a project may be shown with. Lists hold only projects on which the caller has a role."""

    PARENTS = "parents_as_list"
    PARENT_IDS = "parents_as_ids"
    SUBTREE = "subtree_as_list"
    SUBTREE_IDS = "subtree_as_ids"


#: of each kind that was asked for
Family = dict[Relatives, list[Project] | IdTree | None]


class ProjectTree:
    """What is above and below projects."""

    def __init__(self, projects: Projects) -> None:
        self._projects = projects

    async def family(self, ctx: Context, project_id: str, asked: set[Relatives]) -> tuple[Project, Family]:
        """A project that the caller may see, and its relatives."""

        async def unit(tx: Tx) -> tuple[Project, Family]:
            project = await self._projects.found(tx, ctx, "get", project_id)
            found: Family = {}
            for kind in asked:
                found[kind] = await self._relatives(tx, ctx, project, kind)
            return project, found

        return await self._projects.ground.db.read(unit)

    async def _relatives(
        self, tx: Tx, ctx: Context, project: Project, kind: Relatives
    ) -> list[Project] | IdTree | None:
        if kind in (Relatives.PARENTS, Relatives.PARENT_IDS):
            every = await parents_of(tx, project)
            if kind is Relatives.PARENT_IDS:
                return parents_as_ids(every)
        else:
            every = await subtree_of(tx, project.id)
            if kind is Relatives.SUBTREE_IDS:
                return subtree_as_ids(project.id, every)
        own = {held.id for held in await projects_with_roles(tx, ctx.user_id)}
        return [one for one in every if one.id in own]


class ProjectTags:
    """The tags of projects, one by one and together."""

    def __init__(self, projects: Projects) -> None:
        self._projects = projects

    async def show(self, ctx: Context, project_id: str) -> Tags:
        return (await self._seen(ctx, "list_project_tags", project_id)).tags

    async def check(self, ctx: Context, project_id: str, tag: str) -> None:
        """Raise `NotFound` unless the project has the tag."""
        _check_tagged(await self._seen(ctx, "get_project_tag", project_id), tag)

    async def replace(self, ctx: Context, project_id: str, tags: Iterable[str]) -> Tags:
        wanted = tuple(tag.strip() for tag in tags)
        return await self._changed(ctx, "update_project_tags", project_id, lambda project: wanted)

    async def add(self, ctx: Context, project_id: str, tag: str, check: Callable[[Tags], None]) -> None:
        """`check` raises when the project may not have these tags."""

        def added(project: Project) -> Tags:
            check((*project.tags, tag))
            return (*project.tags, tag.strip())

        await self._changed(ctx, "create_project_tag", project_id, added)

    async def clear(self, ctx: Context, project_id: str) -> None:
        await self._changed(ctx, "delete_project_tags", project_id, lambda project: ())

    async def drop(self, ctx: Context, project_id: str, tag: str) -> None:
        """Raises `NotFound` unless the project has the tag."""

        def dropped(project: Project) -> Tags:
            _check_tagged(project, tag)
            return tuple(other for other in project.tags if other != tag)

        await self._changed(ctx, "delete_project_tag", project_id, dropped)

    async def _seen(self, ctx: Context, action: str, project_id: str) -> Project:
        return await self._projects.ground.db.read(lambda tx: self._projects.found_for(tx, ctx, action, project_id))

    async def _changed(self, ctx: Context, action: str, project_id: str, after: Callable[[Project], Tags]) -> Tags:
        until = self._projects.ground.until()

        async def unit(tx: Tx) -> Tags:
            project = await self._projects.found_for(tx, ctx, action, project_id)
            check_mutable(project.immutable, {"tags": ()}, "project", project_id)
            try:
                return (await self._projects.rewrite(tx, project, {"tags": after(project)}, until)).tags
            except Duplicate:
                raise Conflict(self._projects.duplicate(project)) from None

        return await self._projects.ground.db.write(unit)


def _check_tagged(project: Project, tag: str) -> None:
    if tag not in project.tags:
        raise NotFound(f"Could not find project tag: {tag}.")


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


def _changes(record: Domain | Project, document: dict[str, Any]) -> dict[str, Any]:
    """What domains and projects let clients change."""
    values = given(document, "name", "enabled", description=None)
    if "name" in values:
        values["name"] = values["name"].strip()
    if "tags" in document:
        values["tags"] = tuple(document["tags"])
    return values | {"immutable": immutable_after(record.immutable, document)}


def _renamed(attributes: dict[str, Any]) -> dict[str, Any]:
    """Made-up attributes of a new record, under names without ":" and "-", as upstream keeps them."""
    return {name.replace(":", "_").replace("-", "_"): value for name, value in attributes.items()}
