"""Unified limits: what a service may be asked for, by default and by project or domain.

Identity keeps the numbers and, in the two-level model, their order; services count and enforce.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from kilostack.core.errors import Forbidden

UNLIMITED = -1
ModelName = Literal["flat", "strict_two_level"]


class LimitModel(msgspec.Struct, frozen=True, kw_only=True):
    """How limits of a project tree hang together, as an operator has chosen."""

    name: ModelName
    description: str
    #: how many levels of projects a domain may hold; None: the model does not care
    deepest: int | None = None


MODELS: Mapping[ModelName, LimitModel] = {
    "flat": LimitModel(name="flat", description="Each limit stands for itself; project hierarchy does not matter."),
    "strict_two_level": LimitModel(
        name="strict_two_level",
        description="No limit of a project is above that of its domain; project hierarchy has a depth of at most two.",
        deepest=2,
    ),
}


def deepest(name: ModelName, most: int) -> int:
    """How many levels of projects a domain may hold under a model, where `most` is what may be anyway."""
    limit = MODELS[name].deepest
    return most if limit is None else min(most, limit)


class TreeTooDeep(Exception):
    """There are projects at a level that the chosen limit model does not know."""


class RegisteredLimit(msgspec.Struct, frozen=True, kw_only=True):
    """The limit of whoever has none of their own. An empty `region_id` is every place without regions."""

    id: str
    service_id: str
    resource_name: str
    default_limit: int
    region_id: str = ""
    description: str | None = None
    #: how many limits there are in its place
    uses: int = 0
    #: how often it was locked; whoever read the limits before somebody else's turn has to read them again
    turn: int = 0
    generation: int = 1
    revision: int = 1


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """A project's or a domain's own limit, in place of the registered one; exactly one of the two ids is set."""

    id: str
    registered_limit_id: str
    service_id: str
    resource_name: str
    resource_limit: int
    region_id: str = ""
    project_id: str = ""
    domain_id: str = ""
    description: str | None = None
    generation: int = 1
    revision: int = 1


def check_two_levels(wanted: Limit, default: int, others: Iterable[Limit], domain_of: Mapping[str, str]) -> None:
    """Raise `Forbidden` when `wanted` would stand above its domain's limit, or below that of a project in its domain.

    `others` are the limits of the same resource beside it, `domain_of` names the domain of each project that matters. A
    domain that has no limit has the `default`; a project that has none is no concern, as its default is not its own.
    """
    others = list(others)
    if wanted.project_id:
        domain_id = domain_of.get(wanted.project_id)
        above = next((one.resource_limit for one in others if one.domain_id and one.domain_id == domain_id), default)
        fits = not _more(wanted.resource_limit, above)
    else:
        below = [one.resource_limit for one in others if domain_of.get(one.project_id) == wanted.domain_id]
        fits = not any(_more(value, wanted.resource_limit) for value in below)
    if not fits:
        level = f"project_id: {wanted.project_id}" if wanted.project_id else f"domain_id: {wanted.domain_id}"
        raise Forbidden(
            f"Invalid resource limit: The resource limit ({level}, resource_name: {wanted.resource_name}, "
            f"resource_limit: {wanted.resource_limit}, service_id: {wanted.service_id}, "
            f"region_id: {wanted.region_id or None}) doesn't satisfy current hierarchy model.."
        )


def _more(one: int, other: int) -> bool:
    """Whether a limit lets through more than another one."""
    return other != UNLIMITED and (one == UNLIMITED or one > other)
