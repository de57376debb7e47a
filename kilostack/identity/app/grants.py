"""Giving roles to users and groups on projects, domains and the system, and taking them away."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, Duplicate, Forbidden, NotFound
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.roles import role_target
from kilostack.identity.app.taking import made_of
from kilostack.identity.model.assignments import Assignment
from kilostack.identity.model.groups import Group
from kilostack.identity.model.projects import Domain, Project
from kilostack.identity.model.roles import Role
from kilostack.identity.model.users import User
from kilostack.identity.store import tokens
from kilostack.identity.store.groups import GROUPS
from kilostack.identity.store.projects import DOMAINS, find_project
from kilostack.identity.store.roles import ASSIGNMENTS, ROLES
from kilostack.identity.store.users import USERS
from kilostack.store.database import Tx

#: what the system is called where an assignment is not found
_SYSTEM_SHOWN = "system"


class _Parts(msgspec.Struct, frozen=True):
    """The records that a grant names; None for what is not there."""

    role: Role | None
    actor: User | Group | None
    place: Project | Domain | None


class Grants:
    """Each names an actor, a place and a role, which all have to be there."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def give(self, ctx: Context, wanted: Assignment) -> None:
        """Assign the role; giving it twice is giving it once."""

        async def unit(tx: Tx) -> None:
            parts = await self._checked(tx, ctx, "create", wanted)
            _check_domain_role(parts, wanted)
            if await ASSIGNMENTS.find(tx, **msgspec.structs.asdict(wanted)) is None:
                await ASSIGNMENTS.insert(tx, wanted)

        with suppress(Duplicate):
            await self._ground.db.write(unit)

    async def take(self, ctx: Context, wanted: Assignment) -> None:
        """Take the role away, and end the tokens that were made of it. Raises `NotFound`."""
        until = self._ground.until()

        async def unit(tx: Tx) -> None:
            await self._checked(tx, ctx, "revoke", wanted)
            subjects = await made_of(tx, [wanted])
            if not await ASSIGNMENTS.delete(tx, **msgspec.structs.asdict(wanted)):
                raise _no_assignment(wanted)
            await tokens.revoke(tx, subjects, until)

        await self._ground.db.write(unit)

    async def show(self, ctx: Context, wanted: Assignment) -> None:
        """Raises `NotFound` unless exactly this was given."""

        async def unit(tx: Tx) -> None:
            await self._checked(tx, ctx, "check", wanted)
            if await ASSIGNMENTS.find(tx, **msgspec.structs.asdict(wanted)) is None:
                raise _no_assignment(wanted)

        await self._ground.db.read(unit)

    async def roles_of(self, ctx: Context, wanted: Assignment) -> list[Role]:
        """Roles that the actor was given on that place, by name; the role of `wanted` is empty."""

        async def unit(tx: Tx) -> list[Role]:
            await self._checked(tx, ctx, "list", wanted)
            same = {name: value for name, value in msgspec.structs.asdict(wanted).items() if name != "role_id"}
            found = await ROLES.within(tx, "id", [one.role_id for one in await ASSIGNMENTS.where(tx, **same)])
            return sorted(found, key=lambda role: (role.name, role.id))

        return await self._ground.db.read(unit)

    async def _checked(self, tx: Tx, ctx: Context, verb: str, wanted: Assignment) -> _Parts:
        parts = await _parts(tx, wanted)
        if _tells_first(wanted):
            _check_there(parts, wanted, verb)
        self._ground.access.check(ctx, _action(verb, wanted), _target(parts, wanted))
        _check_there(parts, wanted, verb)
        return parts


def _tells_first(wanted: Assignment) -> bool:
    """Whether everybody is told what is not there, as Keystone does on domains and the system."""
    return wanted.scope_kind != "project" and not wanted.inherited


def _check_there(parts: _Parts, wanted: Assignment, verb: str) -> None:
    if parts.role is None and wanted.role_id:
        raise NotFound(f"Could not find role: {wanted.role_id}.")
    if parts.place is None and wanted.scope_kind != "system":
        raise NotFound(f"Could not find {wanted.scope_kind}: {wanted.scope_id}.")
    # what was given to somebody who is gone can still be taken
    if parts.actor is None and verb != "revoke":
        raise NotFound(f"Could not find {wanted.actor_kind}: {wanted.actor_id}.")


def _action(verb: str, wanted: Assignment) -> str:
    grants = "grants" if verb == "list" else "grant"
    if wanted.scope_kind == "system":
        return f"{verb}_system_{grants}_for_{wanted.actor_kind}"
    return f"{verb}_{grants}"


async def _parts(tx: Tx, wanted: Assignment) -> _Parts:
    role = await ROLES.find(tx, id=wanted.role_id) if wanted.role_id else None
    actor: User | Group | None
    if wanted.actor_kind == "user":
        actor = await USERS.find(tx, id=wanted.actor_id)
    else:
        actor = await GROUPS.find(tx, id=wanted.actor_id)
    place: Project | Domain | None = None
    if wanted.scope_kind == "project":
        place = await find_project(tx, wanted.scope_id)
    elif wanted.scope_kind == "domain":
        place = await DOMAINS.find(tx, id=wanted.scope_id)
    return _Parts(role, actor, place)


def _target(parts: _Parts, wanted: Assignment) -> dict[str, Any]:
    target: dict[str, Any] = {wanted.actor_kind: {} if parts.actor is None else msgspec.structs.asdict(parts.actor)}
    if wanted.role_id:
        target["role"] = {} if parts.role is None else role_target(parts.role)
    if wanted.scope_kind != "system":
        target[wanted.scope_kind] = {} if parts.place is None else msgspec.structs.asdict(parts.place)
    return target


def _check_domain_role(parts: _Parts, wanted: Assignment) -> None:
    """A domain's role is for that domain's projects; Keystone lets it be given on any domain, where it may imply."""
    role, place = parts.role, parts.place
    if role is None or not role.domain_id:
        return
    if wanted.scope_kind == "system":
        raise BadRequest(
            f"Role {role.id} is a domain-specific role. Unable to use a domain-specific role in a system assignment."
        )
    if isinstance(place, Project) and place.domain_id != role.domain_id:
        raise Forbidden(f"Project {place.id} must be in the same domain as the role {role.id} being assigned.")


def _no_assignment(wanted: Assignment) -> NotFound:
    place = _SYSTEM_SHOWN if wanted.scope_kind == "system" else wanted.scope_id
    return NotFound(
        f"Could not find role assignment with role: {wanted.role_id}, user or group: {wanted.actor_id}, "
        f"project, domain, or system: {place}."
    )
