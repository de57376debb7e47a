"""A project's use of compute, counted in its lock row."""

from __future__ import annotations

import msgspec
from sqlalchemy import update

from kilostack.compute.model.records import Usage
from kilostack.compute.store.tables import USAGES, usages
from kilostack.core.errors import OverQuota
from kilostack.store.database import Tx
from kilostack.store.sql import Query, p

#: upstream's defaults; -1 is unlimited
DEFAULTS = {
    "instances": 10,
    "cores": 20,
    "ram": 51200,
    "metadata_items": 128,
    "key_pairs": 100,
    "server_groups": 10,
    "server_group_members": 10,
    "injected_files": 5,
    "injected_file_content_bytes": 10240,
    "injected_file_path_bytes": 255,
    "fixed_ips": -1,
    "floating_ips": -1,
    "security_groups": -1,
    "security_group_rules": -1,
}

_ADD = Query(
    update(usages)
    .where(usages.c.project_id == p("project"))
    .values(
        servers=usages.c.servers + p("add_servers"),
        cores=usages.c.cores + p("add_cores"),
        memory_mib=usages.c.memory_mib + p("add_memory"),
    )
)


async def _add(tx: Tx, project_id: str, servers: int, cores: int, memory_mib: int) -> Usage:
    values = {"add_servers": servers, "add_cores": cores, "add_memory": memory_mib}
    if await tx.run(_ADD, project=project_id, **values) != 1:
        await USAGES.insert(tx, Usage(project_id=project_id))
        await tx.run(_ADD, project=project_id, **values)
    return await USAGES.get(tx, project_id=project_id)


def limit(usage: Usage | None, name: str) -> int:
    """The limit in force; -1 is unlimited."""
    return (usage.limits if usage is not None else {}).get(name, DEFAULTS[name])


async def take(tx: Tx, project_id: str, *, servers: int, cores: int, memory_mib: int) -> None:
    """Count new servers. Call it first in the unit: it takes the project's lock. Raises `OverQuota`."""
    usage = await _add(tx, project_id, servers, cores, memory_mib)
    asked = {"instances": servers, "cores": cores, "ram": memory_mib}
    used = {"instances": usage.servers, "cores": usage.cores, "ram": usage.memory_mib}
    over = [name for name in asked if asked[name] > 0 and 0 <= limit(usage, name) < used[name]]
    if over:
        before = ", ".join(str(used[name] - asked[name]) for name in over)
        raise OverQuota(
            f"Quota exceeded for {', '.join(over)}: Requested {', '.join(str(asked[name]) for name in over)}, "
            f"but already used {before} of {', '.join(str(limit(usage, name)) for name in over)} {', '.join(over)}"
        )


async def give(tx: Tx, project_id: str, *, servers: int, cores: int, memory_mib: int) -> None:
    """Count servers that are gone."""
    await _add(tx, project_id, -servers, -cores, -memory_mib)


async def room(tx: Tx, project_id: str, *, wanted: int, cores: int, memory_mib: int) -> int:
    """How many of `wanted` servers, each of that size, fit the quota now. Takes the project's lock."""
    usage = await _add(tx, project_id, 0, 0, 0)
    used = {"instances": (usage.servers, 1), "cores": (usage.cores, cores), "ram": (usage.memory_mib, memory_mib)}
    for name, (amount, each) in used.items():
        bound = limit(usage, name)
        if bound >= 0 and each > 0:
            wanted = min(wanted, max(0, bound - amount) // each)
    return wanted


async def usage(tx: Tx, project_id: str) -> Usage:
    """What the project uses and its own limits; zeros for one that never had a server."""
    return await USAGES.find(tx, project_id=project_id) or Usage(project_id=project_id)


async def set_limits(tx: Tx, project_id: str, limits: dict[str, int]) -> Usage:
    """Lay limits over those that the project has; an empty dict takes all of them away."""
    usage = await _add(tx, project_id, 0, 0, 0)
    merged = {**usage.limits, **limits} if limits else {}
    return await USAGES.update(tx, msgspec.structs.replace(usage, limits=merged))
