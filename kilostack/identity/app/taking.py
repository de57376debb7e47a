"""Whose tokens end when roles are taken away: those with a role that their user has no longer, and no others.

Each function is asked before the change is written, and takes the same few statements whatever there is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

import msgspec

from kilostack.core.token import group_scope_subject, scope_subject
from kilostack.identity.model.assignments import Assignment
from kilostack.identity.model.roles import Implication, closure, implied_by, priors_of
from kilostack.identity.store import assignments as store
from kilostack.identity.store.roles import ASSIGNMENTS, IMPLICATIONS, implied_roles
from kilostack.store.database import Tx

_Implied = Mapping[str, tuple[str, ...]]
#: a user or group, and a place in the words of subjects: (id, kind, scope id)
_Held = tuple[str, str, str]


class _Change(msgspec.Struct, frozen=True):
    """What happens to some assignments: those that do not stay are gone, and roles may imply less than before."""

    given: list[Assignment]
    stays: Callable[[Assignment], bool]
    before: _Implied
    after: _Implied


async def made_of(tx: Tx, given: Iterable[Assignment]) -> list[str]:
    """Subjects of the tokens that end when these assignments are taken away."""
    taken = set(given)
    implied = await implied_roles(tx)
    change = _Change(sorted(taken, key=_order), lambda one: one not in taken, implied, implied)
    members = await store.members_of(tx, (one.actor_id for one in taken if one.actor_kind == "group"))
    below = await _below(tx, change.given)
    return [*await _lost_by_users(tx, change, members, below), *_lost_by_groups(change, below)]


async def made_of_roles(tx: Tx, role_ids: Collection[str]) -> list[str]:
    """Subjects of the tokens that end when roles are deleted."""
    pairs = await IMPLICATIONS.where(tx)
    left = [one for one in pairs if one.prior_id not in role_ids and one.implied_id not in role_ids]
    return await _implying_less(tx, role_ids, pairs, left, stays=lambda one: one.role_id not in role_ids)


async def made_of_implication(tx: Tx, gone: Implication) -> list[str]:
    """Subjects of the tokens that end when a role implies another no longer."""
    pairs = await IMPLICATIONS.where(tx)
    return await _implying_less(
        tx, [gone.prior_id], pairs, [one for one in pairs if one != gone], stays=lambda one: True
    )


async def _implying_less(
    tx: Tx,
    role_ids: Iterable[str],
    before: list[Implication],
    after: list[Implication],
    *,
    stays: Callable[[Assignment], bool],
) -> list[str]:
    given = await ASSIGNMENTS.within(tx, "role_id", sorted(closure(role_ids, priors_of(before))))
    change = _Change(sorted(given, key=_order), stays, implied_by(before), implied_by(after))
    members = await store.members_of(tx, (one.actor_id for one in given if one.actor_kind == "group"))
    below = await _below(tx, given)
    return [*await _lost_by_users(tx, change, members, below), *_lost_by_groups(change, below)]


async def _below(tx: Tx, given: Iterable[Assignment]) -> dict[str, list[str]]:
    return await store.projects_below(
        tx, (one.scope_id for one in given if one.inherited and one.scope_kind == "project")
    )


async def _lost_by_users(
    tx: Tx, change: _Change, members: Mapping[str, list[str]], below: Mapping[str, list[str]]
) -> list[str]:
    """What users have now by these assignments, less what they will still have by any."""
    had: dict[_Held, set[str]] = {}
    for one in change.given:
        roles = closure([one.role_id], change.before)
        for kind, scope_id in _places(one, below):
            for user_id in [one.actor_id] if one.actor_kind == "user" else members.get(one.actor_id, ()):
                had.setdefault((user_id, kind, scope_id), set()).update(roles)
    if not had:
        return []
    by_user = await store.assignments_by_user(tx, {user_id for user_id, _, _ in had})
    above = await store.ancestors_of(tx, {scope_id for _, kind, scope_id in had if kind == "project"})
    subjects = []
    for (user_id, kind, scope_id), roles in had.items():
        left = {
            one.role_id
            for one in by_user.get(user_id, ())
            if change.stays(one) and _holds(one, kind, scope_id, above.get(scope_id, ()))
        }
        lost = roles - closure(left, change.after)
        subjects += [scope_subject(user_id, kind, scope_id, role_id) for role_id in sorted(lost)]
    return subjects


def _lost_by_groups(change: _Change, below: Mapping[str, list[str]]) -> list[str]:
    """The same for users from elsewhere, who brought a group with them and are not among its members."""
    subjects: dict[str, None] = {}
    for one in change.given:
        lost = closure([one.role_id], change.before)
        if change.stays(one):
            lost -= closure([one.role_id], change.after)
        for kind, scope_id in _places(one, below) if one.actor_kind == "group" else ():
            for role_id in sorted(lost):
                subjects[group_scope_subject(one.actor_id, kind, scope_id, role_id)] = None
    return list(subjects)


def _places(one: Assignment, below: Mapping[str, list[str]]) -> list[tuple[str, str]]:
    """Where an assignment holds, in the words of subjects."""
    if not one.inherited:
        return [(one.scope_kind, one.scope_id)]
    if one.scope_kind == "domain":
        return [("projects", one.scope_id)]
    return [("project", project_id) for project_id in below.get(one.scope_id, [])]


def _holds(one: Assignment, kind: str, scope_id: str, above: Iterable[str]) -> bool:
    if not one.inherited:
        return (one.scope_kind, one.scope_id) == (kind, scope_id)
    if kind == "projects":
        return (one.scope_kind, one.scope_id) == ("domain", scope_id)
    return kind == "project" and one.scope_id in above


def _order(one: Assignment) -> tuple[str, ...]:
    return (one.actor_id, one.scope_kind, one.scope_id, one.role_id, str(one.inherited))
