"""Flavors, and which projects may use those that are not public."""

from __future__ import annotations

from sqlalchemy import delete, insert, or_, select

from kilostack.compute.model.records import Flavor
from kilostack.compute.store.tables import FLAVORS, flavor_access, flavors
from kilostack.core.errors import Conflict, Duplicate
from kilostack.store.database import Tx
from kilostack.store.sql import Query, p

_ALL = Query(FLAVORS.selected)
_SEEN = Query(
    FLAVORS.selected.where(
        flavors.c.disabled == 0,
        or_(
            flavors.c.public == 1,
            flavors.c.id.in_(select(flavor_access.c.flavor_id).where(flavor_access.c.project_id == p("project"))),
        ),
    )
)
_ACCESS = Query(
    select(flavor_access.c.project_id).where(flavor_access.c.flavor_id == p("flavor")).order_by("project_id")
)
_ADD = Query(insert(flavor_access).values(flavor_id=p("flavor"), project_id=p("project")))
_REMOVE = Query(
    delete(flavor_access).where(flavor_access.c.flavor_id == p("flavor"), flavor_access.c.project_id == p("project"))
)
_REMOVE_ALL = Query(delete(flavor_access).where(flavor_access.c.flavor_id == p("flavor")))


async def every(tx: Tx) -> list[Flavor]:
    """All flavors."""
    return [FLAVORS.made(row) for row in await tx.all(_ALL)]


async def seen_by(tx: Tx, project_id: str) -> list[Flavor]:
    """The flavors that a project may use."""
    return [FLAVORS.made(row) for row in await tx.all(_SEEN, project=project_id)]


async def insert_new(tx: Tx, flavor: Flavor) -> Flavor:
    """Write a flavor. Raises `Duplicate`, naming what is taken."""
    if await FLAVORS.where(tx, name=flavor.name):
        raise Duplicate(f"Flavor with name {flavor.name} already exists.")
    if await FLAVORS.find(tx, id=flavor.id) is not None:
        raise Duplicate(f"Flavor with ID {flavor.id} already exists.")
    return await FLAVORS.insert(tx, flavor)


async def remove(tx: Tx, flavor_id: str) -> bool:
    """Delete a flavor and its access list; whether there was one. Servers keep what they were made from."""
    await tx.run(_REMOVE_ALL, flavor=flavor_id)
    return await FLAVORS.delete(tx, id=flavor_id)


async def access(tx: Tx, flavor_id: str) -> list[str]:
    """Projects that may use a flavor that is not public."""
    return [row[0] for row in await tx.all(_ACCESS, flavor=flavor_id)]


async def grant(tx: Tx, flavor_id: str, project_id: str) -> None:
    """Raises `Conflict` if the project has access already."""
    if project_id in await access(tx, flavor_id):
        raise Conflict(f"Flavor access already exists for flavor {flavor_id} and project {project_id} combination.")
    await tx.run(_ADD, flavor=flavor_id, project=project_id)


async def revoke(tx: Tx, flavor_id: str, project_id: str) -> bool:
    """Take access away; whether the project had it."""
    return await tx.run(_REMOVE, flavor=flavor_id, project=project_id) == 1
