"""Routers and floating IPs."""

from __future__ import annotations

from collections import Counter

import msgspec
from sqlalchemy import func, select

from kilostack.core.errors import Duplicate
from kilostack.network import failures
from kilostack.network.model import port as port_model
from kilostack.network.model.records import FloatingIp, Port, Router
from kilostack.network.store.changes import Change
from kilostack.network.store.tables import FLOATING_IPS, PORTS, ROUTERS, routers
from kilostack.store.database import Tx
from kilostack.store.lists import Collection
from kilostack.store.sql import Query

COLLECTION = Collection(
    ROUTERS,
    filters={
        "id": "id",
        "name": "name",
        "admin_state_up": "admin_state_up",
        "status": "status",
        "project_id": "project_id",
        "description": "description",
        "revision_number": "revision",
        "changed_since": "updated_at",
        "seen_by": "project_id",
    },
    sorts={
        "id": "id",
        "name": "name",
        "admin_state_up": "admin_state_up",
        "status": "status",
        "project_id": "project_id",
        "created_at": "created_at",
        "updated_at": "updated_at",
    },
    default_sort=(("created_at", False),),
)
_FLOATING_COLUMNS = {
    "id": "id",
    "floating_ip_address": "floating_ip_address",
    "floating_network_id": "floating_network_id",
    "fixed_ip_address": "fixed_ip_address",
    "port_id": "port_id",
    "router_id": "router_id",
    "status": "status",
    "project_id": "project_id",
}
FLOATING_COLLECTION = Collection(
    FLOATING_IPS,
    filters=_FLOATING_COLUMNS
    | {
        "description": "description",
        "revision_number": "revision",
        "changed_since": "updated_at",
        "seen_by": "project_id",
    },
    sorts=_FLOATING_COLUMNS | {"created_at": "created_at", "updated_at": "updated_at"},
    default_sort=(("created_at", False),),
)

_PER_HOST = Query(select(routers.c.host, func.count()).where(routers.c.host != "").group_by(routers.c.host))


async def get(tx: Tx, router_id: str) -> Router:
    if (found := await ROUTERS.find(tx, id=router_id)) is None:
        raise failures.router_not_found(router_id)
    return found


async def get_floating_ip(tx: Tx, floating_ip_id: str) -> FloatingIp:
    if (found := await FLOATING_IPS.find(tx, id=floating_ip_id)) is None:
        raise failures.floating_ip_not_found(floating_ip_id)
    return found


async def insert(change: Change, router: Router) -> Router:
    """A new router. The caller has counted it."""
    await ROUTERS.insert(change.tx, router)
    await change.add(f"router/{router.id}")
    return router


async def update(change: Change, old: Router, new: Router) -> Router:
    """Write the router; both hosts hear of a move, and its ports go with it."""
    change.touch(f"router/{new.id}")
    if old.host != new.host:
        change.say(*(f"host/{host}" for host in (old.host, new.host) if host))
        for leg in await ports_of(change.tx, new.id):
            await PORTS.update(change.tx, msgspec.structs.replace(leg, host=new.host, status="DOWN"))
            change.touch(f"network/{leg.network_id}")
    return await ROUTERS.update(change.tx, new)


async def set_status(change: Change, router: Router, status: str) -> Router:
    """What its host has reported; it tells nobody anything new."""
    return await ROUTERS.update(change.tx, msgspec.structs.replace(router, status=status))


async def delete(change: Change, router: Router) -> None:
    """Remove a router without ports. The caller counts it and holds its row of the streams."""
    if not await ROUTERS.delete(change.tx, id=router.id):
        raise failures.router_not_found(router.id)
    if router.host:
        change.say(f"host/{router.host}")
    await change.drop(f"router/{router.id}")


async def ports_of(tx: Tx, router_id: str) -> list[Port]:
    """The ports of a router: its legs and its gateway, oldest first."""
    found = [port for port in await PORTS.where(tx, device_id=router_id) if port_model.router_of(port)]
    return sorted(found, key=lambda port: (port.created_at, port.id))


async def per_host(tx: Tx) -> Counter[str]:
    """How many routers each host has."""
    return Counter({str(host): int(count) for host, count in await tx.all(_PER_HOST)})


async def insert_floating_ip(change: Change, floating_ip: FloatingIp) -> FloatingIp:
    """A new floating IP. The caller has counted it."""
    try:
        await FLOATING_IPS.insert(change.tx, floating_ip)
    except Duplicate:
        raise failures.already_associated(floating_ip) from None
    await _tell(change, floating_ip)
    return floating_ip


async def update_floating_ip(change: Change, old: FloatingIp, new: FloatingIp) -> FloatingIp:
    """Write it; the routers that lose or gain it, and the servers behind them, hear of it."""
    try:
        written = await FLOATING_IPS.update(change.tx, new)
    except Duplicate:
        raise failures.already_associated(new) from None
    if (old.router_id, old.port_id, old.fixed_ip_address) != (new.router_id, new.port_id, new.fixed_ip_address):
        await _tell(change, old)
        await _tell(change, new)
    return written


async def delete_floating_ip(change: Change, floating_ip: FloatingIp) -> None:
    """Remove it; its port on the external network goes by `ports.delete`. The caller counts it."""
    if not await FLOATING_IPS.delete(change.tx, id=floating_ip.id):
        raise failures.floating_ip_not_found(floating_ip.id)
    await _tell(change, floating_ip)


async def _tell(change: Change, floating_ip: FloatingIp) -> None:
    if floating_ip.router_id:
        change.touch(f"router/{floating_ip.router_id}")
    port = await PORTS.find(change.tx, id=floating_ip.port_id) if floating_ip.port_id else None
    if port is not None and (server := port_model.server_of(port)):
        change.say(f"server/{server}")
