"""Roles, and what a role brings along."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """A name that policies ask for. An immutable one is neither changed nor deleted.

    A role of a domain is never in a token: it stands for the roles that it implies. Names are unique per domain.
    """

    id: str
    name: str
    #: empty for a role of the whole cloud
    domain_id: str = ""
    description: str | None = None
    #: None: never said
    immutable: bool | None = None
    #: attributes that clients made up
    extra: dict[str, Any] = {}
    generation: int = 1
    revision: int = 1


class Implication(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever has the prior role has the implied one, too."""

    prior_id: str
    implied_id: str


def implied_by(implications: Iterable[Implication]) -> dict[str, tuple[str, ...]]:
    """Role -> roles that it implies directly."""
    table: dict[str, set[str]] = {}
    for implication in implications:
        table.setdefault(implication.prior_id, set()).add(implication.implied_id)
    return {prior: tuple(sorted(implied)) for prior, implied in table.items()}


def priors_of(implications: Iterable[Implication]) -> dict[str, tuple[str, ...]]:
    """Role -> roles that imply it directly."""
    return implied_by(Implication(prior_id=one.implied_id, implied_id=one.prior_id) for one in implications)


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


def reached(role_id: str, implied: Mapping[str, tuple[str, ...]]) -> list[tuple[str, str | None]]:
    """What a role gives: itself, and for each implication within reach the role that comes by it and the prior one."""
    found: list[tuple[str, str | None]] = [(role_id, None)]
    for prior in sorted(closure([role_id], implied)):
        found += [(one, prior) for one in implied.get(prior, ())]
    return found
