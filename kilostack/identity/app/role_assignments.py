"""The list of who has which role where: as it was given, or as it comes out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, NotFound
from kilostack.identity.app.ground import Ground
from kilostack.identity.model.assignments import ActorKind, Assignment, Effective, Place, as_given
from kilostack.identity.model.groups import Group
from kilostack.identity.model.projects import Domain, Project
from kilostack.identity.model.roles import Role, reached
from kilostack.identity.model.users import User
from kilostack.identity.store import assignments as store
from kilostack.identity.store.groups import GROUPS
from kilostack.identity.store.projects import DOMAINS, PROJECTS, find_project
from kilostack.identity.store.roles import ASSIGNMENTS, ROLES, implied_roles
from kilostack.identity.store.users import USERS
from kilostack.store.database import Tx


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which assignments a list is to hold; None is any."""

    user_id: str | None = None
    group_id: str | None = None
    role_id: str | None = None
    place: Place | None = None
    inherited: bool | None = None
    #: what comes out for users on projects, domains or (when it is the place) the system
    effective: bool = False
    #: on the projects below the place, too
    subtree: bool = False


class Names(msgspec.Struct, frozen=True):
    """The records that assignments refer to, by id."""

    users: dict[str, User]
    groups: dict[str, Group]
    roles: dict[str, Role]
    projects: dict[str, Project]
    domains: dict[str, Domain]


class RoleAssignments:
    """A list that no client can change; it is made of what grants have written."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def page(self, ctx: Context, wanted: Wanted) -> tuple[list[Effective], Names]:
        """Assignments, and everything that they name. Raises `BadRequest` for filters that contradict each other."""
        _check_filters(wanted)

        async def unit(tx: Tx) -> tuple[list[Effective], Names]:
            if wanted.subtree:
                await self._check_tree(tx, ctx, wanted)
            else:
                own = {"domain_id": ctx.domain_id} if ctx.domain_id else {}
                self._ground.access.check(ctx, "list_role_assignments", own)
            found = await (_effective(tx, wanted) if wanted.effective else _given(tx, wanted))
            names = await _names(tx, found)
            if ctx.domain_id and not wanted.subtree:
                found = [each for each in found if _domain_of(each, names) == ctx.domain_id]
            return found, names

        return await self._ground.db.read(unit)

    async def _check_tree(self, tx: Tx, ctx: Context, wanted: Wanted) -> None:
        project_id = "" if wanted.place is None else wanted.place.id
        project = await find_project(tx, project_id)
        target = {} if project is None else {"project": msgspec.structs.asdict(project), "domain_id": project.domain_id}
        self._ground.access.check(ctx, "list_role_assignments_for_tree", target)
        if project is None:
            raise NotFound(f"Could not find project: {project_id}.")


def _check_filters(wanted: Wanted) -> None:
    kind = None if wanted.place is None else wanted.place.kind
    if wanted.user_id is not None and wanted.group_id is not None:
        raise BadRequest("Specify a user or group, not both")
    if wanted.subtree and kind != "project":
        raise BadRequest("scope.project.id must be specified if include_subtree is also specified")
    if wanted.effective and wanted.group_id is not None:
        raise BadRequest("Combining effective and group filter will always result in an empty list.")
    if wanted.effective and wanted.inherited and kind == "domain":
        raise BadRequest("Combining effective, domain and inherited filters will always result in an empty list.")


async def _given(tx: Tx, wanted: Wanted) -> list[Effective]:
    equal: dict[str, object] = {"role_id": wanted.role_id, "inherited": wanted.inherited}
    if wanted.user_id is not None:
        equal |= {"actor_kind": "user", "actor_id": wanted.user_id}
    if wanted.group_id is not None:
        equal |= {"actor_kind": "group", "actor_id": wanted.group_id}
    if wanted.place is not None:
        equal["scope_kind"] = wanted.place.kind
        if not wanted.subtree:
            equal["scope_id"] = wanted.place.id
    found = await ASSIGNMENTS.where(tx, **{name: value for name, value in equal.items() if value is not None})
    if wanted.subtree:
        within = await _tree(tx, wanted)
        found = [one for one in found if one.scope_id in within]
    return [as_given(one) for one in found]


async def _tree(tx: Tx, wanted: Wanted) -> set[str]:
    """The project that is asked for, and those below it when they are wanted, too."""
    assert wanted.place is not None
    root = wanted.place.id
    below = await store.projects_below(tx, [root]) if wanted.subtree else {}
    return {root, *below.get(root, ())}


async def _effective(tx: Tx, wanted: Wanted) -> list[Effective]:
    """Five statements at most before names, whatever there is."""
    given = [one for one in await _candidates(tx, wanted) if wanted.inherited in (None, one.inherited)]
    if wanted.place is not None and wanted.place.kind != "project":
        given = [one for one in given if not one.inherited]
    groups = [] if wanted.user_id is not None else [one.actor_id for one in given if one.actor_kind == "group"]
    members = await store.members_of(tx, groups)
    below = await store.projects_below(tx, [one.scope_id for one in given if one.inherited])
    within = await _tree(tx, wanted) if wanted.place is not None and wanted.place.kind == "project" else None
    implied = await implied_roles(tx)
    of_domains = {role.id for role in await ROLES.where(tx) if role.domain_id}
    # a role that comes by a chain and by its own assignment is told once
    found: dict[tuple[object, ...], Effective] = {}
    for one in given:
        users = [one.actor_id] if one.actor_kind == "user" else members.get(one.actor_id, [])
        if wanted.user_id is not None:
            users = [wanted.user_id]
        gives = [role for role in reached(one.role_id, implied) if role[0] not in of_domains]
        if wanted.role_id is not None:
            gives = [role for role in gives if role[0] == wanted.role_id]
        source = (one.actor_kind, one.actor_id, one.scope_kind, one.scope_id, one.inherited)
        for place, user_id, role in product(_places(one, below, within), users, gives):
            found.setdefault((*source, place, user_id, role), _reaching(one, user_id, place, role))
    return list(found.values())


async def _candidates(tx: Tx, wanted: Wanted) -> list[Assignment]:
    """Everything that could have an effect that is asked for."""
    place = wanted.place
    if wanted.user_id is not None and await USERS.find(tx, id=wanted.user_id) is None:
        raise NotFound(f"Could not find user: {wanted.user_id}.")
    if place is not None and place.kind == "project" and await find_project(tx, place.id) is None:
        raise NotFound(f"Could not find project: {place.id}.")
    if wanted.user_id is not None:
        found = await store.assignments_of(tx, wanted.user_id)
    elif place is None:
        found = await ASSIGNMENTS.where(tx)
    elif place.kind == "project":
        tree = await _tree(tx, wanted)
        above = await store.ancestors_of(tx, [place.id])
        found = await ASSIGNMENTS.within(tx, "scope_id", sorted(tree.union(*above.values())))
    else:
        found = await ASSIGNMENTS.where(tx, scope_kind=place.kind, scope_id=place.id)
    if place is None:
        # the system is listed only when it is asked for
        return [one for one in found if one.scope_kind != "system"]
    if place.kind == "project":
        return [one for one in found if one.scope_kind != "system"]
    return [one for one in found if (one.scope_kind, one.scope_id) == (place.kind, place.id)]


def _places(one: Assignment, below: Mapping[str, list[str]], within: set[str] | None) -> list[Place]:
    if one.inherited:
        places = [Place("project", project_id) for project_id in below.get(one.scope_id, ())]
    else:
        places = [Place(one.scope_kind, one.scope_id)]
    if within is None:
        return places
    return [place for place in places if place.kind == "project" and place.id in within]


def _reaching(one: Assignment, user_id: str, place: Place, role: tuple[str, str | None]) -> Effective:
    return Effective(
        assignment=one, actor_kind="user", actor_id=user_id, place=place, role_id=role[0], prior_id=role[1]
    )


def _domain_of(each: Effective, names: Names) -> str | None:
    if each.place.kind == "domain":
        return each.place.id
    project = names.projects.get(each.place.id)
    return None if project is None else project.domain_id


async def _names(tx: Tx, found: Iterable[Effective]) -> Names:
    listed = list(found)

    def actors(kind: ActorKind) -> list[str]:
        return sorted({each.actor_id for each in listed if each.actor_kind == kind})

    users = await USERS.within(tx, "id", actors("user"))
    groups = await GROUPS.within(tx, "id", actors("group"))
    roles = await ROLES.within(tx, "id", sorted({each.role_id for each in listed}))
    project_ids = {each.place.id for each in listed if each.place.kind == "project"}
    projects = await PROJECTS.within(tx, "id", sorted(project_ids))
    domain_ids = {each.place.id for each in listed if each.place.kind == "domain"}
    domain_ids.update(record.domain_id for records in (users, groups, roles, projects) for record in records)
    domains = await DOMAINS.within(tx, "id", sorted(domain_ids))
    return Names(
        {user.id: user for user in users},
        {group.id: group for group in groups},
        {role.id: role for role in roles},
        {project.id: project for project in projects},
        {domain.id: domain for domain in domains},
    )
