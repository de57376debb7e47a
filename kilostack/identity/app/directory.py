"""Domains, projects and users: what may be changed, and what goes with them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, Forbidden, NotFound, Unauthenticated
from kilostack.core.secret import Secret
from kilostack.core.token import domain_subject, project_subject, user_subject
from kilostack.identity.app.passwords import Attempts, Passwords
from kilostack.identity.app.resources import Ground, Resources
from kilostack.identity.model.directory import DEFAULT_DOMAIN, Domain, Project, User
from kilostack.identity.store import directory as store
from kilostack.identity.store import tokens
from kilostack.store.database import Tx

_replace = msgspec.structs.replace
_DEEPEST = 5


class Domains(Resources[Domain]):
    """A domain is deleted with all that is in it, and only while it is disabled."""

    singular, plural = "domain", "domains"
    records, collection = store.DOMAINS, store.DOMAIN_LIST

    def made(self, ctx: Context, document: dict[str, Any]) -> Domain:
        return Domain(
            id=self.ground.new_id(),
            name=document["name"],
            description=document.get("description") or "",
            enabled=document.get("enabled", True),
        )

    def changed(self, record: Domain, document: dict[str, Any]) -> Domain:
        return _replace(record, **_given(document, "name", "enabled", description=""))

    def voids(self, old: Domain, new: Domain) -> Iterable[str]:
        return (domain_subject(old.id),) if old.enabled and not new.enabled else ()

    async def cascade(self, tx: Tx, record: Domain) -> Iterable[str]:
        if record.enabled:
            raise Forbidden("Cannot delete a domain that is enabled, please disable it first.")
        for project in await store.PROJECTS.where(tx, domain_id=record.id):
            await _remove_project(tx, project)
        for user in await store.USERS.where(tx, domain_id=record.id):
            await _remove_user(tx, user)
        await store.ASSIGNMENTS.delete_where(tx, scope_kind="domain", scope_id=record.id)
        return (domain_subject(record.id),)

    def duplicate(self, record: Domain) -> str:
        return (
            "Conflict occurred attempting to store project - it is not permitted to have two projects acting as "
            f"domains with the same name: {record.name}."
        )


class Projects(Resources[Project]):
    """A project with children is not deleted."""

    singular, plural = "project", "projects"
    records, collection = store.PROJECTS, store.PROJECT_LIST
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
            extra=_extra({}, document, self._known),
        )

    def changed(self, record: Project, document: dict[str, Any]) -> Project:
        _check_fixed(record.domain_id, document, "domain_id", "Domain ID")
        _check_fixed(record.parent_id, document, "parent_id", "parent_id")
        values = _given(document, "name", "enabled", description="")
        if "tags" in document:
            values["tags"] = tuple(document["tags"])
        return _replace(record, **values, extra=_extra(record.extra, document, self._known))

    async def check(self, tx: Tx, record: Project) -> None:
        if await store.DOMAINS.find(tx, id=record.domain_id) is None:
            raise NotFound(f"Could not find domain: {record.domain_id}.")
        parent_id, depth = record.parent_id, 1
        while parent_id != record.domain_id:
            parent = await store.PROJECTS.find(tx, id=parent_id)
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
        if await store.PROJECTS.count(tx, parent_id=record.id):
            raise Forbidden(
                f"Cannot delete the project {record.id} since it is not a leaf in the hierarchy. "
                "Use the cascade option if you want to delete a whole subtree."
            )
        await _remove_project(tx, record)
        return (project_subject(record.id),)

    def duplicate(self, record: Project) -> str:
        return (
            "Conflict occurred attempting to store project - it is not permitted to have two projects with the same "
            f"name in the same domain : {record.name}."
        )


class Users(Resources[User]):
    """Passwords come in as text and are kept as hashes; changing one ends the user's tokens."""

    singular, plural = "user", "users"
    records, collection = store.USERS, store.USER_LIST
    _known = frozenset(
        {"name", "domain_id", "enabled", "default_project_id", "password", "password_hash", "options", "id", "links"}
    )

    def __init__(self, ground: Ground, passwords: Passwords, attempts: Attempts) -> None:
        super().__init__(ground)
        self._passwords, self._attempts = passwords, attempts

    async def prepared(self, document: dict[str, Any]) -> dict[str, Any]:
        # the hash is ours alone: one that a client sends is dropped
        rest = {name: value for name, value in document.items() if name not in ("password", "password_hash")}
        if (password := document.get("password")) is not None:
            rest["password_hash"] = await self._passwords.hashed(Secret(password))
        return rest

    def made(self, ctx: Context, document: dict[str, Any]) -> User:
        return User(
            id=self.ground.new_id(),
            name=document["name"],
            domain_id=document.get("domain_id") or ctx.domain_id or DEFAULT_DOMAIN,
            enabled=document.get("enabled", True),
            default_project_id=document.get("default_project_id"),
            password_hash=document.get("password_hash"),
            extra=_extra({}, document, self._known),
        )

    def changed(self, record: User, document: dict[str, Any]) -> User:
        _check_fixed(record.domain_id, document, "domain_id", "Domain ID")
        values = _given(document, "name", "enabled", "password_hash")
        if "default_project_id" in document:
            values["default_project_id"] = document["default_project_id"]
        return _replace(record, **values, extra=_extra(record.extra, document, self._known))

    async def check(self, tx: Tx, record: User) -> None:
        if await store.DOMAINS.find(tx, id=record.domain_id) is None:
            raise NotFound(f"Could not find domain: {record.domain_id}.")

    def voids(self, old: User, new: User) -> Iterable[str]:
        ended = (old.enabled and not new.enabled) or old.password_hash != new.password_hash
        return (user_subject(old.id),) if ended else ()

    async def cascade(self, tx: Tx, record: User) -> Iterable[str]:
        await _remove_user(tx, record)
        return (user_subject(record.id),)

    def duplicate(self, record: User) -> str:
        return (
            f"Conflict occurred attempting to store user - Duplicate entry found with name {record.name} "
            f"at domain ID {record.domain_id}."
        )

    async def change_own_password(self, user_id: str, old: Secret, new: Secret, address: str) -> None:
        """For whoever knows the old one. Raises `Unauthenticated`."""
        who = (user_id, address)
        self._attempts.check(who)
        user = await self.ground.db.read(lambda tx: store.USERS.find(tx, id=user_id))
        kept = user.password_hash if user is not None and user.enabled else None
        if not await self._passwords.matches(old, kept, lambda: self._attempts.check(who)):
            self._attempts.failed(who)
            raise Unauthenticated("The request you have made requires authentication.")
        self._attempts.succeeded(who)
        if new.reveal() == old.reveal():
            raise BadRequest("The new password must differ from the old one.", field="password")
        replacement = await self._passwords.hashed(new)
        until = self.ground.until()

        async def unit(tx: Tx) -> None:
            current = await store.USERS.find(tx, id=user_id)
            if current is None or current.password_hash != kept:
                raise Unauthenticated("The request you have made requires authentication.")
            await store.USERS.update(tx, _replace(current, password_hash=replacement))
            await tokens.revoke(tx, [user_subject(user_id)], until)

        await self.ground.db.write(unit)

    async def projects_of(self, ctx: Context, user_id: str) -> list[Project]:
        """Projects on which a user has a role."""

        async def unit(tx: Tx) -> list[Project]:
            user = await store.USERS.find(tx, id=user_id)
            self.ground.access.check(ctx, "list_user_projects", {} if user is None else self.target(user))
            if user is None:
                raise self.missing(user_id)
            return await projects_with_roles(tx, user_id)

        return await self.ground.db.read(unit)


async def projects_with_roles(tx: Tx, user_id: str) -> list[Project]:
    """Projects on which a user has a role, by name."""
    assigned = await store.ASSIGNMENTS.where(tx, user_id=user_id, scope_kind="project")
    found = await store.PROJECTS.within(tx, "id", sorted({assignment.scope_id for assignment in assigned}))
    return sorted(found, key=lambda project: (project.name, project.id))


async def _remove_project(tx: Tx, project: Project) -> None:
    await store.ASSIGNMENTS.delete_where(tx, scope_kind="project", scope_id=project.id)
    await store.CREDENTIALS.delete_where(tx, project_id=project.id)
    await store.PROJECTS.delete(tx, id=project.id)


async def _remove_user(tx: Tx, user: User) -> None:
    await store.ASSIGNMENTS.delete_where(tx, user_id=user.id)
    await store.CREDENTIALS.delete_where(tx, user_id=user.id)
    await store.USERS.delete(tx, id=user.id)


def _given(document: dict[str, Any], *names: str, **when_null: Any) -> dict[str, Any]:
    """The values that a document gives; null stands for the value in `when_null`."""
    values = {name: document[name] for name in names if document.get(name) is not None}
    for name, empty in when_null.items():
        if name in document:
            values[name] = empty if document[name] is None else document[name]
    return values


def _extra(before: dict[str, Any], document: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    return before | {name: value for name, value in document.items() if name not in known}


def _check_fixed(current: str, document: dict[str, Any], name: str, shown: str) -> None:
    if document.get(name) not in (None, current):
        raise BadRequest(f"Cannot change {shown}.", field=name)
