"""Records of unified limits. A registered limit's row counts its limits, and is the lock under which they change."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from kilostack.identity.model.limits import Limit, RegisteredLimit
from kilostack.identity.store.tables import limits as tables
from kilostack.identity.store.tables.projects import PROJECTS
from kilostack.store.database import Tx
from kilostack.store.lists import Collection
from kilostack.store.records import Records
from kilostack.store.sql import InList, Query, p

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


async def forget_owner(tx: Tx, owner: Mapping[str, str]) -> None:
    """Remove the limits of a project (`project_id`) or a domain (`domain_id`) that goes."""
    for limit in sorted(await LIMITS.where(tx, **owner), key=lambda one: one.registered_limit_id):
        await lock(tx, limit.registered_limit_id, -1)
        await LIMITS.delete(tx, id=limit.id)


async def forget_subject(tx: Tx, subject: Mapping[str, str]) -> None:
    """Remove the registered limits of a service (`service_id`) or a region (`region_id`) that goes, with theirs."""
    for registered in await REGISTERED_LIMITS.where(tx, **subject):
        await lock(tx, registered.id)
        await LIMITS.delete_where(tx, registered_limit_id=registered.id)
        await REGISTERED_LIMITS.delete(tx, id=registered.id)
