"""What assignments come to: through groups, and down the tree of projects. Each question is one statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import ColumnElement, and_, literal_column, or_, select, union_all

from kilostack.identity.model.assignments import Assignment, Place
from kilostack.identity.store.roles import ASSIGNMENTS
from kilostack.identity.store.tables.groups import GROUP_MEMBERS
from kilostack.identity.store.tables.projects import DOMAINS, PROJECTS
from kilostack.identity.store.tables.roles import ASSIGNMENTS as TABLE
from kilostack.store.database import Tx
from kilostack.store.sql import InList, Query, p

_ZERO: ColumnElement[int] = literal_column("0")
_ONE: ColumnElement[int] = literal_column("1")

# the project (or the domain that is seen as one), and everything above it; begun from the tables and not from the
# parameter, whose length would be that of the column on MariaDB
_reach = (
    select(PROJECTS.c.id.label("id"), _ZERO.label("above"))
    .where(PROJECTS.c.id == p("scope_id"))
    .cte("reach", recursive=True)
)
_reach = _reach.union(
    select(DOMAINS.c.id, _ZERO).where(DOMAINS.c.id == p("scope_id")),
    select(PROJECTS.c.parent_id, _ONE).join(_reach, PROJECTS.c.id == _reach.c.id),
)
_on_project = and_(
    TABLE.c.scope_id == _reach.c.id,
    TABLE.c.inherited == _reach.c.above,
    or_(_reach.c.above == 1, TABLE.c.scope_kind == "project"),
)
_on_other = and_(TABLE.c.scope_kind == p("scope_kind"), TABLE.c.scope_id == p("scope_id"), TABLE.c.inherited == 0)
_own = InList(TABLE.c.actor_id, "actors")
_by_group = and_(TABLE.c.actor_id == GROUP_MEMBERS.c.group_id, GROUP_MEMBERS.c.user_id == p("user_id"))

_held_on_project = Query(
    union_all(
        select(TABLE.c.role_id).where(_own, _on_project),
        select(TABLE.c.role_id).where(_by_group, _on_project),
    )
)
_held_on_other = Query(
    union_all(
        select(TABLE.c.role_id).where(_own, _on_other),
        select(TABLE.c.role_id).where(_by_group, _on_other),
    )
)
_columns = [TABLE.c[name] for name in ASSIGNMENTS.columns]
_of_user = Query(union_all(select(*_columns).where(_own), select(*_columns).where(_by_group)))
_of_users = Query(
    union_all(
        select(TABLE.c.actor_id, *_columns).where(InList(TABLE.c.actor_id, "users"), TABLE.c.actor_kind == "user"),
        select(GROUP_MEMBERS.c.user_id, *_columns).where(
            TABLE.c.actor_id == GROUP_MEMBERS.c.group_id, InList(GROUP_MEMBERS.c.user_id, "users")
        ),
    )
)

_below = (
    select(PROJECTS.c.parent_id.label("root"), PROJECTS.c.id.label("id"))
    .where(InList(PROJECTS.c.parent_id, "roots"))
    .cte("below", recursive=True)
)
_below = _below.union(select(_below.c.root, PROJECTS.c.id).join(_below, PROJECTS.c.parent_id == _below.c.id))
_subtrees = Query(select(_below.c.root, _below.c.id))

_up = (
    select(PROJECTS.c.id.label("start"), PROJECTS.c.parent_id.label("id"))
    .where(InList(PROJECTS.c.id, "starts"))
    .cte("up", recursive=True)
)
_up = _up.union(select(_up.c.start, PROJECTS.c.parent_id).join(_up, PROJECTS.c.id == _up.c.id))
_ancestors = Query(select(_up.c.start, _up.c.id))

_groups_of = Query(select(GROUP_MEMBERS.c.group_id).where(GROUP_MEMBERS.c.user_id == p("user_id")))
_members_of = Query(
    select(GROUP_MEMBERS.c.group_id, GROUP_MEMBERS.c.user_id).where(InList(GROUP_MEMBERS.c.group_id, "groups"))
)


async def held_role_ids(tx: Tx, user_id: str, place: Place, group_ids: Sequence[str] = ()) -> set[str]:
    """Roles that were given to a user on a place: to them, to a group they are in or bring, or further up."""
    actors = _listed([user_id, *group_ids])
    if place.kind == "project":
        rows = await tx.all(_held_on_project, actors=actors, user_id=user_id, scope_id=place.id)
    else:
        rows = await tx.all(_held_on_other, actors=actors, user_id=user_id, scope_kind=place.kind, scope_id=place.id)
    return {role_id for (role_id,) in rows}


async def assignments_of(tx: Tx, user_id: str, group_ids: Sequence[str] = ()) -> list[Assignment]:
    """Everything that was given to a user, or to a group they are in or bring."""
    rows = await tx.all(_of_user, actors=_listed([user_id, *group_ids]), user_id=user_id)
    return [ASSIGNMENTS.made(row) for row in rows]


async def assignments_by_user(tx: Tx, user_ids: Iterable[str]) -> dict[str, list[Assignment]]:
    """User -> everything that was given to them, or to a group they are in."""
    found: dict[str, list[Assignment]] = {}
    for user_id, *row in await tx.all(_of_users, users=_listed(user_ids)):
        found.setdefault(user_id, []).append(ASSIGNMENTS.made(row))
    return found


async def projects_below(tx: Tx, roots: Iterable[str]) -> dict[str, list[str]]:
    """Project or domain -> all projects below it."""
    return await _pairs(tx, _subtrees, roots=_listed(roots))


async def ancestors_of(tx: Tx, project_ids: Iterable[str]) -> dict[str, list[str]]:
    """Project -> the projects above it and its domain."""
    return await _pairs(tx, _ancestors, starts=_listed(project_ids))


async def groups_of(tx: Tx, user_id: str) -> list[str]:
    """Ids of the groups that a user is in."""
    return sorted(group_id for (group_id,) in await tx.all(_groups_of, user_id=user_id))


async def members_of(tx: Tx, group_ids: Iterable[str]) -> dict[str, list[str]]:
    """Group -> ids of its members."""
    return await _pairs(tx, _members_of, groups=_listed(group_ids))


async def _pairs(tx: Tx, query: Query, **params: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    if params and next(iter(params.values())) != "[]":
        for key, value in sorted(await tx.all(query, **params)):
            found.setdefault(key, []).append(value)
    return found


def _listed(ids: Iterable[str]) -> str:
    return msgspec.json.encode(sorted(set(ids))).decode()
