"""Which roles somebody has where, everything counted."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from kilostack.identity.model.assignments import Assignment, Place
from kilostack.identity.model.projects import Domain, Project
from kilostack.identity.model.roles import Role, closure
from kilostack.identity.store import assignments as store
from kilostack.identity.store.projects import DOMAINS, PROJECTS
from kilostack.identity.store.roles import ROLES, implied_roles
from kilostack.store.database import Tx


async def effective_roles(
    tx: Tx, user_id: str, place: Place, group_ids: Sequence[str] = (), *, with_domain_roles: bool = False
) -> list[Role]:
    """All roles of a user on a place, by name: direct, by group, inherited and implied.

    `group_ids` are groups that the user brings without being in them. Three statements, whatever there is.
    """
    held = await store.held_role_ids(tx, user_id, place, group_ids)
    return await implied_too(tx, held, with_domain_roles=with_domain_roles)


async def implied_too(tx: Tx, role_ids: Collection[str], *, with_domain_roles: bool = False) -> list[Role]:
    """The roles and all that they imply, by name; roles of domains only when asked for, for tokens do not hold them."""
    if not role_ids:
        return []
    found = await ROLES.within(tx, "id", sorted(closure(role_ids, await implied_roles(tx))))
    return sorted((role for role in found if with_domain_roles or not role.domain_id), key=lambda role: role.name)


async def projects_with_roles(tx: Tx, user_id: str, group_ids: Sequence[str] = ()) -> list[Project]:
    """Projects on which a user has a role, by name."""
    given = await _telling(tx, await store.assignments_of(tx, user_id, group_ids))
    below = await store.projects_below(tx, (one.scope_id for one in given if one.inherited))
    ids = {one.scope_id for one in given if one.scope_kind == "project" and not one.inherited}.union(*below.values())
    found = await PROJECTS.within(tx, "id", sorted(ids))
    # what is left are domains that are seen as projects
    domains = await DOMAINS.within(tx, "id", sorted(ids - {project.id for project in found}))
    found += [domain.as_project() for domain in domains]
    return sorted(found, key=lambda project: (project.name, project.id))


async def domains_with_roles(tx: Tx, user_id: str, group_ids: Sequence[str] = ()) -> list[Domain]:
    """Domains on which a user has a role, by name."""
    given = await _telling(tx, await store.assignments_of(tx, user_id, group_ids))
    ids = {one.scope_id for one in given if one.scope_kind == "domain" and not one.inherited}
    found = await DOMAINS.within(tx, "id", sorted(ids))
    return sorted(found, key=lambda domain: domain.name)


async def _telling(tx: Tx, given: list[Assignment]) -> list[Assignment]:
    """Those whose role comes to one that a token can hold."""
    role_ids = {one.role_id for one in given}
    roles = await ROLES.within(tx, "id", sorted(role_ids))
    of_domains = {role.id for role in roles if role.domain_id}
    if of_domains:
        implied = await implied_roles(tx)
        reached = {role_id: closure([role_id], implied) for role_id in of_domains}
        every = await ROLES.within(tx, "id", sorted(set().union(*reached.values())))
        whole = {role.id for role in every if not role.domain_id}
        role_ids -= {role_id for role_id in of_domains if not reached[role_id] & whole}
    return [one for one in given if one.role_id in role_ids]
