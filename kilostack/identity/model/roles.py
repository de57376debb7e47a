"""Roles, who has them where, and what a role brings along."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

ScopeKind = Literal["project", "domain", "system"]

#: the scope id of the one system
SYSTEM = "all"


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """A name that policies ask for. An immutable one is neither changed nor deleted."""

    id: str
    name: str
    description: str | None = None
    immutable: bool = False
    generation: int = 1
    revision: int = 1


class Implication(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever has the prior role has the implied one, too."""

    prior_id: str
    implied_id: str


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """A user has a role on a scope."""

    user_id: str
    scope_kind: ScopeKind
    scope_id: str
    role_id: str


class Effective(msgspec.Struct, frozen=True, kw_only=True):
    """A role that a user has, and the implication it came by (None: assigned itself)."""

    assignment: Assignment
    role_id: str
    prior_id: str | None = None


def implied_by(implications: Iterable[Implication]) -> dict[str, tuple[str, ...]]:
    """Role -> roles that it implies directly."""
    table: dict[str, list[str]] = {}
    for implication in implications:
        table.setdefault(implication.prior_id, []).append(implication.implied_id)
    return {prior: tuple(sorted(implied)) for prior, implied in table.items()}


def effective(assignment: Assignment, implied: Mapping[str, tuple[str, ...]]) -> list[Effective]:
    """All roles that an assignment gives, each once, the nearest first; loops end."""
    found = {assignment.role_id: Effective(assignment=assignment, role_id=assignment.role_id)}
    waiting = [assignment.role_id]
    while waiting:
        prior = waiting.pop(0)
        for role_id in implied.get(prior, ()):
            if role_id not in found:
                found[role_id] = Effective(assignment=assignment, role_id=role_id, prior_id=prior)
                waiting.append(role_id)
    return list(found.values())


def closure(role_ids: Iterable[str], implied: Mapping[str, tuple[str, ...]]) -> set[str]:
    """The roles and all that they imply."""
    found: set[str] = set()
    waiting = list(role_ids)
    while waiting:
        role_id = waiting.pop()
        if role_id not in found:
            found.add(role_id)
            waiting += implied.get(role_id, ())
    return found
