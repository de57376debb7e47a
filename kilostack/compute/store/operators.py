"""What administrators see and set of hosts: rows, servers on them, and whether new servers may come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import func, select

from kilostack.compute.model.records import Host
from kilostack.compute.store.tables import FEED, HOSTS, servers
from kilostack.core.world import Micros
from kilostack.store.database import Tx
from kilostack.store.sql import InList, Query

_SERVERS = Query(
    select(servers.c.host, servers.c.id, servers.c.name)
    .where(InList(servers.c.host, "hosts"))
    .order_by(servers.c.created_at, servers.c.id)
)
_COUNTS = Query(select(servers.c.host, func.count()).where(servers.c.host.is_not(None)).group_by(servers.c.host))


async def every(tx: Tx) -> list[Host]:
    """All hosts, in the order in which they came."""
    return sorted(await HOSTS.where(tx), key=lambda host: host.number)


async def servers_on(tx: Tx, hosts: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """(id, name) of the servers on each of `hosts`."""
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in hosts}
    for host, server_id, name in await tx.all(_SERVERS, hosts=msgspec.json.encode(list(hosts)).decode()):
        found[host].append((server_id, name))
    return found


async def server_counts(tx: Tx) -> dict[str, int]:
    """How many servers each host has; hosts without any are left out."""
    return {row[0]: int(row[1]) for row in await tx.all(_COUNTS)}


async def change(tx: Tx, host: Host, now: Micros, **fields: Any) -> Host:
    """Write what an administrator set. Raises `StaleGeneration`."""
    changed = await HOSTS.update(tx, msgspec.structs.replace(host, updated_at=now, **fields))
    await FEED.append(tx, ["host/" + host.name])
    return changed
