"""Removing a port with what hangs on it."""

from __future__ import annotations

import msgspec

from kilostack.network.model.records import Port
from kilostack.network.store import ports, projects, routers
from kilostack.network.store.changes import Change
from kilostack.network.store.tables import FLOATING_IPS


async def remove_port(change: Change, port: Port, now: int) -> None:
    """Remove the port, let go of the floating IPs that lead to it, and count it."""
    await change.lock(f"port/{port.id}")
    for floating_ip in await FLOATING_IPS.where(change.tx, port_id=port.id):
        free = msgspec.structs.replace(
            floating_ip, port_id=None, fixed_ip_address=None, router_id=None, status="DOWN", updated_at=now
        )
        await routers.update_floating_ip(change, floating_ip, free)
    await ports.delete(change, port)
    if port.project_id:
        await projects.give(change.tx, port.project_id, port=1)
