"""Records of unified limits. A registered limit's row counts its limits, and is the lock under which they change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import msgspec
from sqlalchemy import func, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from kilostack.identity.model.limits import Limit, RegisteredLimit
from kilostack.identity.store.tables import limits as tables
from kilostack.identity.store.tables.projects import PROJECTS
from kilostack.store.database import Tx
from kilostack.store.lists import Collection
from kilostack.store.records import Records
from kilostack.store.sql import InList, Query, p

OwnerKind = Literal["project_id", "domain_id"]
SubjectKind = Literal["service_id", "region_id"]


REGISTERED_LIMITS = Records(RegisteredLimit, tables.REGISTERED_LIMITS, noun="registered limit")


LIMITS = Records(Limit, tables.LIMITS, noun="limit")


_ABOUT = {"service_id": "service_id", "region_id": "region_id", "resource_name": "resource_name"}


_BY_NAME = (("resource_name", False),)


REGISTERED_LIMIT_LIST = Collection(
    REGISTERED_LIMITS, filters=_ABOUT, sorts={"id": "id", "resource_name": "resource_name"}, default_sort=_BY_NAME
)


def _in_domain(name: str) -> ColumnElement[bool]:
    projects = select(PROJECTS.c.id).where(InList(PROJECTS.c.domain_id, name))
    return or_(InList(tables.LIMITS.c.domain_id, name), tables.LIMITS.c.project_id.in_(projects))


#: the filter of a domain's own limits and those of its projects
IN_DOMAIN = "in_domain"


LIMIT_LIST = Collection(
    LIMITS,
    filters=_ABOUT | {"project_id": "project_id", "domain_id": "domain_id", IN_DOMAIN: _in_domain},
    sorts={"id": "id", "resource_name": "resource_name"},
    default_sort=_BY_NAME,
)

_REGISTERED = tables.REGISTERED_LIMITS
_lock = Query(
    update(_REGISTERED)
    .where(_REGISTERED.c.id == p("id"))
    # a row that is only locked does not tell MariaDB that what was read before may be old
    .values(uses=_REGISTERED.c.uses + p("more"), turn=_REGISTERED.c.turn + 1)
)

_lock_each = Query(update(_REGISTERED).where(InList(_REGISTERED.c.id, "ids")).values(turn=_REGISTERED.c.turn + 1))


def _owned_by(kind: OwnerKind) -> ColumnElement[bool]:
    return InList(tables.LIMITS.c[kind], "owners")


#: locks the registered limits that owners have limits of, and counts these no longer
_discount: dict[OwnerKind, Query] = {
    kind: Query(
        update(_REGISTERED)
        .where(_REGISTERED.c.id.in_(select(tables.LIMITS.c.registered_limit_id).where(_owned_by(kind))))
        .values(
            uses=_REGISTERED.c.uses
            - select(func.count())
            .select_from(tables.LIMITS)
            .where(tables.LIMITS.c.registered_limit_id == _REGISTERED.c.id, _owned_by(kind))
            .scalar_subquery(),
            turn=_REGISTERED.c.turn + 1,
        )
    )
    for kind in get_args(OwnerKind)
}


async def lock(tx: Tx, registered_id: str, more: int = 0) -> RegisteredLimit | None:
    """Keep others from changing a registered limit and its limits until this unit ends, and count `more` of these."""
    await tx.run(_lock, id=registered_id, more=more)
    return await REGISTERED_LIMITS.find(tx, id=registered_id)


async def registered_for(tx: Tx, service_id: str, region_id: str, resource_name: str) -> RegisteredLimit | None:
    """The registered limit about exactly this."""
    found = await REGISTERED_LIMITS.where(tx, service_id=service_id, region_id=region_id, resource_name=resource_name)
    return found[0] if found else None


async def insert(tx: Tx, limit: Limit) -> None:
    """Write a new limit and count it. Raises `Duplicate`."""
    await lock(tx, limit.registered_limit_id, 1)
    await LIMITS.insert(tx, limit)


async def forget_owners(tx: Tx, kind: OwnerKind, owner_ids: Sequence[str]) -> None:
    """Remove the limits of projects or domains that go."""
    if owner_ids:
        await tx.run(_discount[kind], owners=msgspec.json.encode(owner_ids).decode())
        await LIMITS.delete_within(tx, kind, owner_ids)


async def forget_subjects(tx: Tx, kind: SubjectKind, subject_ids: Sequence[str]) -> None:
    """Remove the registered limits of services or regions that go, with theirs."""
    ids = [one.id for one in await REGISTERED_LIMITS.within(tx, kind, subject_ids)]
    if not ids:
        return
    await tx.run(_lock_each, ids=msgspec.json.encode(ids).decode())
    await LIMITS.delete_within(tx, "registered_limit_id", ids)
    await REGISTERED_LIMITS.delete_within(tx, "id", ids)
