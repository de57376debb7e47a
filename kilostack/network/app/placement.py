"""Giving routers a host: once they have a port, and only then."""

from __future__ import annotations

import msgspec

from kilostack.network.app.liveness import Liveness
from kilostack.network.model import placement
from kilostack.network.model.agents import L3_BINARY
from kilostack.network.model.records import Host, Router
from kilostack.network.store import hosts, routers
from kilostack.network.store.changes import Change
from kilostack.network.store.tables import ROUTERS


async def find_host(change: Change, liveness: Liveness, seed: int) -> str:
    """The host that a router should go to now; "" when none is connected."""
    connected = [host for host in await hosts.every(change.tx) if host.connected and _takes_routers(host)]
    alive = [host.name for host in connected if liveness.is_alive(host)]
    load = await routers.per_host(change.tx)
    return placement.choose(alive or [host.name for host in connected], load, seed) or ""


def _takes_routers(host: Host) -> bool:
    changed = host.agents.get(L3_BINARY)
    return changed is None or changed.admin_state_up


async def place_waiting(change: Change, liveness: Liveness, seed: int) -> None:
    """Routers that found no host get one, now that one has come."""
    for at, router in enumerate(await ROUTERS.where(change.tx, host="")):
        if await routers.ports_of(change.tx, router.id):
            await change.lock(f"router/{router.id}")
            target = await find_host(change, liveness, seed + at)
            await routers.update(change, router, msgspec.structs.replace(router, host=target))


async def place_again(change: Change, liveness: Liveness, host: str, seed: int) -> int:
    """Move the routers of a host that is gone; how many there were. The host's row has been removed."""
    moved: list[Router] = await ROUTERS.where(change.tx, host=host)
    for at, router in enumerate(moved):
        await change.lock(f"router/{router.id}")
        target = await find_host(change, liveness, seed + at)
        await routers.update(change, router, msgspec.structs.replace(router, host=target))
    return len(moved)
