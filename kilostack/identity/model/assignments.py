"""Who has which role where."""

from __future__ import annotations

from typing import Literal

import msgspec

ActorKind = Literal["user", "group"]
ScopeKind = Literal["project", "domain", "system"]

#: the scope id of the one system
SYSTEM = "all"


class Place(msgspec.Struct, frozen=True):
    """What roles are held on: a project, a domain or the system."""

    kind: ScopeKind
    id: str = SYSTEM


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """A user or the members of a group have a role on a scope.

    An inherited one holds on all projects below its project or domain, and not on that itself.
    """

    actor_kind: ActorKind
    actor_id: str
    scope_kind: ScopeKind
    scope_id: str
    role_id: str
    inherited: bool = False


class Effective(msgspec.Struct, frozen=True, kw_only=True):
    """A role that an actor has on a place, and where it comes from."""

    #: as it was given
    assignment: Assignment
    #: whom it reaches: a member, when a group was expanded
    actor_kind: ActorKind
    actor_id: str
    #: where it holds: a project below, when an inherited assignment was expanded
    place: Place
    role_id: str
    #: the role that brought it along; None for the role that was given
    prior_id: str | None = None


def as_given(assignment: Assignment) -> Effective:
    """An assignment that was not expanded."""
    return Effective(
        assignment=assignment,
        actor_kind=assignment.actor_kind,
        actor_id=assignment.actor_id,
        place=Place(assignment.scope_kind, assignment.scope_id),
        role_id=assignment.role_id,
    )
