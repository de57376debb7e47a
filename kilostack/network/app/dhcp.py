"""The DHCP port of a network: one address on each subnet that has DHCP, the same on every host."""

from __future__ import annotations

import msgspec

from kilostack.network import failures
from kilostack.network.app.parts import Drawn
from kilostack.network.app.removals import remove_port
from kilostack.network.model import port as model
from kilostack.network.model.records import FixedIp, Network, Port, Subnet
from kilostack.network.store import ports, projects
from kilostack.network.store.changes import Change
from kilostack.network.store.tables import PORTS


async def settle(change: Change, network: Network, subnets: list[Subnet], drawn: Drawn) -> None:
    """Make the DHCP port what the network's subnets ask for. The network's pools are locked.

    Uses the last id and the last MAC of `drawn`. Raises `Conflict` when a subnet has no address left for it.
    """
    found = [port for port in await PORTS.where(change.tx, network_id=network.id) if port.device_owner == model.DHCP]
    old = found[0] if found else None
    wanted = [subnet for subnet in subnets if subnet.enable_dhcp]
    if not wanted:
        if old is not None:
            await remove_port(change, old, drawn.now)
        return
    port_id = old.id if old else drawn.ids[-1]
    fixed_ips = await _addresses(change, old, wanted, port_id, network.id)
    if old is not None:
        if set(fixed_ips) != set(old.fixed_ips):
            await ports.update(change, old, msgspec.structs.replace(old, fixed_ips=fixed_ips, updated_at=drawn.now))
        return
    await projects.take(change.tx, network.project_id, checked=False, port=1)
    port = Port(
        id=port_id,
        project_id=network.project_id,
        network_id=network.id,
        network_project_id=network.project_id,
        mac_address=await ports.free_mac(change.tx, network.id, drawn.macs[-1]),
        status="ACTIVE",
        device_id=f"dhcp-{network.id}",
        device_owner=model.DHCP,
        fixed_ips=fixed_ips,
        port_security_enabled=False,
        created_at=drawn.now,
        updated_at=drawn.now,
    )
    await ports.insert(change, port)


async def _addresses(
    change: Change, old: Port | None, wanted: list[Subnet], port_id: str, network_id: str
) -> tuple[FixedIp, ...]:
    had = dict(old.fixed_ips) if old else {}
    fixed_ips: list[FixedIp] = []
    for subnet in wanted:
        if subnet.id in had:
            fixed_ips.append((subnet.id, had[subnet.id]))
        elif (taken := await ports.allocate(change.tx, subnet, port_id)) is not None:
            fixed_ips.append(taken)
        else:
            raise failures.no_address_left(network_id)
    return tuple(fixed_ips)
