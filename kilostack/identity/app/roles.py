"""Roles, and who has them where. What is taken away ends the tokens that were made of it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, Duplicate, Forbidden, NotFound
from kilostack.core.token import role_subject, scope_subject
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.resources import Resources
from kilostack.identity.model.projects import Domain, Project
from kilostack.identity.model.roles import SYSTEM, Assignment, Effective, Role, ScopeKind, effective
from kilostack.identity.model.users import User
from kilostack.identity.store import tokens
from kilostack.identity.store.application_credentials import APPLICATION_CREDENTIALS
from kilostack.identity.store.projects import DOMAINS, PROJECTS
from kilostack.identity.store.roles import ASSIGNMENTS, IMPLICATIONS, ROLE_LIST, ROLES, implied_roles
from kilostack.identity.store.users import USERS
from kilostack.store.database import Tx

_replace = msgspec.structs.replace


class Roles(Resources[Role]):
    """A role that is marked immutable must lose the mark before anything else about it may change."""

    singular, plural = "role", "roles"
    records, collection = ROLES, ROLE_LIST

    def made(self, ctx: Context, document: dict[str, Any]) -> Role:
        return Role(
            id=self.ground.new_id(),
            name=document["name"],
            description=document.get("description"),
            immutable=bool((document.get("options") or {}).get("immutable")),
        )

    def changed(self, record: Role, document: dict[str, Any]) -> Role:
        immutable = (document.get("options") or {}).get("immutable", record.immutable)
        if record.immutable and (immutable or set(document) != {"options"}):
            raise _immutable("update", record)
        return _replace(
            record,
            name=document.get("name", record.name),
            description=document.get("description", record.description),
            immutable=bool(immutable),
        )

    async def cascade(self, tx: Tx, record: Role) -> Iterable[str]:
        if record.immutable:
            raise _immutable("delete", record)
        await ASSIGNMENTS.delete_where(tx, role_id=record.id)
        await IMPLICATIONS.delete_where(tx, prior_id=record.id)
        await IMPLICATIONS.delete_where(tx, implied_id=record.id)
        return (role_subject(record.id),)

    def duplicate(self, record: Role) -> str:
        return f"Conflict occurred attempting to store role - Duplicate entry found with name {record.name}."


def _immutable(verb: str, role: Role) -> Forbidden:
    return Forbidden(
        f"Unable to {verb} immutable role resource: `{role.id}. Set resource option 'immutable' to false first."
    )


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which assignments a list is to hold; None is any."""

    user_id: str | None = None
    role_id: str | None = None
    scope_kind: ScopeKind | None = None
    scope_id: str | None = None
    #: with what the roles imply
    effective: bool = False


class Names(msgspec.Struct, frozen=True):
    """The records that assignments refer to, by id."""

    users: dict[str, User]
    roles: dict[str, Role]
    projects: dict[str, Project]
    domains: dict[str, Domain]


class Grants:
    """Roles of users on projects, domains and the system."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def give(self, ctx: Context, wanted: Assignment) -> None:
        """Assign the role; giving it twice is giving it once."""

        async def unit(tx: Tx) -> None:
            await self._check(tx, ctx, "create", wanted)
            if await ASSIGNMENTS.find(tx, **msgspec.structs.asdict(wanted)) is None:
                await ASSIGNMENTS.insert(tx, wanted)

        with suppress(Duplicate):
            await self._ground.db.write(unit)

    async def take(self, ctx: Context, wanted: Assignment) -> None:
        """Take the role away, with the application credentials made of it. Raises `NotFound`."""
        until = self._ground.until()

        async def unit(tx: Tx) -> None:
            await self._check(tx, ctx, "revoke", wanted)
            if not await ASSIGNMENTS.delete(tx, **msgspec.structs.asdict(wanted)):
                raise _no_assignment(wanted)
            if wanted.scope_kind == "project":
                await APPLICATION_CREDENTIALS.delete_where(tx, user_id=wanted.user_id, project_id=wanted.scope_id)
            await tokens.revoke(tx, [scope_subject(wanted.user_id, wanted.scope_kind, wanted.scope_id)], until)

        await self._ground.db.write(unit)

    async def show(self, ctx: Context, wanted: Assignment) -> None:
        """Raises `NotFound` unless the user has the role there, assigned itself or implied by one that is."""

        async def unit(tx: Tx) -> None:
            await self._check(tx, ctx, "check", wanted)
            same = {name: getattr(wanted, name) for name in ("user_id", "scope_kind", "scope_id")}
            assigned = await ASSIGNMENTS.where(tx, **same)
            implied = await implied_roles(tx)
            if not any(found.role_id == wanted.role_id for one in assigned for found in effective(one, implied)):
                raise _no_assignment(wanted)

        await self._ground.db.read(unit)

    async def roles_of(self, ctx: Context, user_id: str, kind: ScopeKind, scope_id: str) -> list[Role]:
        """Roles assigned to a user on one scope."""

        async def unit(tx: Tx) -> list[Role]:
            asked = Assignment(user_id=user_id, scope_kind=kind, scope_id=scope_id, role_id="")
            await self._check(tx, ctx, "list", asked)
            assigned = await ASSIGNMENTS.where(tx, user_id=user_id, scope_kind=kind, scope_id=scope_id)
            found = await ROLES.within(tx, "id", [one.role_id for one in assigned])
            return sorted(found, key=lambda role: (role.name, role.id))

        return await self._ground.db.read(unit)

    async def page(self, ctx: Context, wanted: Wanted) -> tuple[list[Effective], Names]:
        """Assignments, and everything that they name."""
        self._ground.access.check(ctx, "list_role_assignments", {})

        async def unit(tx: Tx) -> tuple[list[Effective], Names]:
            equal = {name: getattr(wanted, name) for name in ("user_id", "scope_kind", "scope_id")}
            assigned = await ASSIGNMENTS.where(tx, **{k: v for k, v in equal.items() if v is not None})
            implied = await implied_roles(tx) if wanted.effective else {}
            found = [each for one in assigned for each in effective(one, implied)]
            if wanted.role_id is not None:
                found = [each for each in found if each.role_id == wanted.role_id]
            return found, await _names(tx, found)

        return await self._ground.db.read(unit)

    async def _check(self, tx: Tx, ctx: Context, verb: str, wanted: Assignment) -> None:
        """Policy first, then that user, scope and role are there."""
        scope = await _scope(tx, wanted)
        if wanted.scope_kind == "system":
            action = f"{verb}_system_grant{'s' if verb == 'list' else ''}_for_user"
        else:
            action = f"{verb}_grant{'s' if verb == 'list' else ''}"
        domain_id = getattr(scope, "domain_id", getattr(scope, "id", None))
        self._ground.access.check(ctx, action, {"scope": {"domain_id": domain_id}} if domain_id else {})
        if scope is None and wanted.scope_kind != "system":
            raise NotFound(f"Could not find {wanted.scope_kind}: {wanted.scope_id}.")
        if await USERS.find(tx, id=wanted.user_id) is None:
            raise NotFound(f"Could not find user: {wanted.user_id}.")
        if wanted.role_id and await ROLES.find(tx, id=wanted.role_id) is None:
            raise NotFound(f"Could not find role: {wanted.role_id}.")


async def _scope(tx: Tx, wanted: Assignment) -> Project | Domain | None:
    if wanted.scope_kind == "project":
        return await PROJECTS.find(tx, id=wanted.scope_id)
    if wanted.scope_kind == "domain":
        return await DOMAINS.find(tx, id=wanted.scope_id)
    if wanted.scope_id != SYSTEM:
        raise BadRequest(f"There is one system, {SYSTEM!r}.")
    return None


async def _names(tx: Tx, found: Iterable[Effective]) -> Names:
    listed = list(found)
    users = await USERS.within(tx, "id", sorted({each.assignment.user_id for each in listed}))
    roles = await ROLES.within(tx, "id", sorted({each.role_id for each in listed}))
    scopes = {each.assignment.scope_id for each in listed if each.assignment.scope_kind == "project"}
    projects = await PROJECTS.within(tx, "id", sorted(scopes))
    domain_ids = {each.assignment.scope_id for each in listed if each.assignment.scope_kind == "domain"}
    domain_ids |= {user.domain_id for user in users} | {project.domain_id for project in projects}
    domains = await DOMAINS.within(tx, "id", sorted(domain_ids))
    return Names(
        {user.id: user for user in users},
        {role.id: role for role in roles},
        {project.id: project for project in projects},
        {domain.id: domain for domain in domains},
    )


def _no_assignment(wanted: Assignment) -> NotFound:
    return NotFound(
        f"Could not find role assignment with role: {wanted.role_id}, user or group: {wanted.user_id}, "
        f"project, domain, or system: {wanted.scope_id}."
    )
