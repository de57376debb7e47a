"""Changes of a server: row, quota and feed entry together, used by app, sagas and reports alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import update

from kilostack.compute.model.server import Server
from kilostack.compute.store import quotas
from kilostack.compute.store.tables import FEED, SERVERS, servers
from kilostack.core.world import Micros
from kilostack.store.database import Tx
from kilostack.store.sql import Query, p

_PROJECT = Query(
    update(servers)
    .where(servers.c.id == p("server"), servers.c.saga_id == p("saga"))
    .values(
        task_state=p("shown"),
        generation=servers.c.generation + 1,
        revision=servers.c.revision + 1,
    )
)


async def insert(tx: Tx, made: Sequence[Server]) -> None:
    """Write new servers of one project. Raises `OverQuota` before anything is written."""
    first = made[0]
    cores = sum(server.flavor.vcpus for server in made)
    memory_mib = sum(server.flavor.memory_mib for server in made)
    await quotas.take(tx, first.project_id, servers=len(made), cores=cores, memory_mib=memory_mib)
    for server in made:
        await SERVERS.insert(tx, server)
    await FEED.append(tx, [f"server/{server.id}" for server in made])


async def change(tx: Tx, server: Server, now: Micros, **fields: Any) -> Server:
    """Write `server` with `fields` changed. Raises `StaleGeneration` if it was written since it was read."""
    changed = await SERVERS.update(tx, msgspec.structs.replace(server, updated_at=now, **fields))
    await FEED.append(tx, [f"server/{server.id}"])
    return changed


async def remove(tx: Tx, server: Server) -> None:
    """Delete the row and give its quota back."""
    cores, memory_mib = server.flavor.vcpus, server.flavor.memory_mib
    await quotas.give(tx, server.project_id, servers=1, cores=cores, memory_mib=memory_mib)
    await SERVERS.delete(tx, id=server.id)
    await FEED.append(tx, [f"server/{server.id}"])


async def project(tx: Tx, server_id: str, saga_id: str, task_state: str | None) -> None:
    """Show the task of the saga that holds the server, if it still does. Only the workflow package calls it."""
    await tx.run(_PROJECT, server=server_id, saga=saga_id, shown=task_state)
