"""What projects use: the row of a project is the lock under which its resources are counted."""

from __future__ import annotations

from contextlib import suppress

import msgspec
from sqlalchemy import update

from kilostack.core.errors import Duplicate, OverQuota
from kilostack.network.model.quota import COUNTED, DEFAULTS, UNLIMITED, Counted
from kilostack.network.model.records import Usage
from kilostack.network.store.tables import USAGE, usage
from kilostack.store.database import Tx
from kilostack.store.sql import Query, p

_ADD = Query(
    update(usage)
    .where(usage.c.project_id == p("project"))
    .values({name: usage.c[name] + p(f"add_{name}") for name in COUNTED})
)
_SET_LIMITS = Query(update(usage).where(usage.c.project_id == p("project")).values(limits=p("new")))
_SET_DEFAULT = Query(update(usage).where(usage.c.project_id == p("project")).values(default_group_id=p("new")))


def limits_of(found: Usage | None) -> dict[str, int]:
    """Every limit of a project, those that nobody changed included."""
    return DEFAULTS | (found.limits if found else {})


async def _add(tx: Tx, project_id: str, amounts: dict[Counted, int]) -> None:
    params = {f"add_{name}": amounts.get(name, 0) for name in COUNTED}
    if await tx.run(_ADD, project=project_id, **params) == 1:
        return
    with suppress(Duplicate):  # another process was first: its row is there now
        await USAGE.insert(tx, Usage(project_id=project_id))
    await tx.run(_ADD, project=project_id, **params)


async def lock(tx: Tx, project_id: str) -> Usage:
    """Hold the project's row until the unit ends; what it uses now."""
    await _add(tx, project_id, {})
    return await USAGE.get(tx, project_id=project_id)


async def take(tx: Tx, project_id: str, *, checked: bool = True, **amounts: int) -> Usage:
    """Count what the unit is going to make; holds the project's row.

    Raises `OverQuota` when a limit would be passed. `checked` is False for what the cloud makes for itself.
    """
    wanted: dict[Counted, int] = {name: amounts.get(name, 0) for name in COUNTED}
    await _add(tx, project_id, wanted)
    found = await USAGE.get(tx, project_id=project_id)
    limits = limits_of(found)
    over = [
        name
        for name, amount in wanted.items()
        if amount > 0 and limits[name] != UNLIMITED and getattr(found, name) > limits[name]
    ]
    if checked and over:
        raise OverQuota(f"Quota exceeded for resources: {over}.", kind="OverQuota", resource=over[0])
    return found


async def give(tx: Tx, project_id: str, **amounts: int) -> None:
    """Count what the unit removes; holds the project's row."""
    await _add(tx, project_id, {name: -amounts.get(name, 0) for name in COUNTED})


async def set_limits(tx: Tx, project_id: str, limits: dict[str, int]) -> Usage:
    """Replace what an administrator changed of the project's limits."""
    await lock(tx, project_id)
    await tx.run(_SET_LIMITS, project=project_id, new=msgspec.json.encode(limits).decode())
    return await USAGE.get(tx, project_id=project_id)


async def set_default_group(tx: Tx, project_id: str, group_id: str | None) -> None:
    await tx.run(_SET_DEFAULT, project=project_id, new=group_id)
