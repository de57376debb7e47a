"""Ports: the row, its addresses, its memberships, and the word to hosts and servers, always together."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from sqlalchemy import select

from kilostack.core.errors import Duplicate
from kilostack.network import failures
from kilostack.network.model import port as model
from kilostack.network.model.records import FixedIp, Member, Port, Subnet
from kilostack.network.store import addresses
from kilostack.network.store.changes import Change
from kilostack.network.store.tables import ADDRESSES, MEMBERS, PORTS, ports
from kilostack.network.store.tables import addresses as address_rows
from kilostack.store.database import Tx
from kilostack.store.lists import Collection
from kilostack.store.sql import Query, p

COLLECTION = Collection(
    PORTS,
    filters={
        "id": "id",
        "name": "name",
        "network_id": "network_id",
        "admin_state_up": "admin_state_up",
        "mac_address": "mac_address",
        "device_id": "device_id",
        "device_owner": "device_owner",
        "status": "status",
        "project_id": "project_id",
        "description": "description",
        "port_security_enabled": "port_security_enabled",
        "binding:host_id": "host",
        "revision_number": "revision",
        "changed_since": "updated_at",
        "seen_by": ("project_id", "network_project_id"),
    },
    sorts={
        "id": "id",
        "name": "name",
        "network_id": "network_id",
        "admin_state_up": "admin_state_up",
        "mac_address": "mac_address",
        "device_id": "device_id",
        "device_owner": "device_owner",
        "status": "status",
        "project_id": "project_id",
        "created_at": "created_at",
        "updated_at": "updated_at",
    },
    default_sort=(("created_at", False),),
)

_BY_MAC = Query(select(ports.c.id).where(ports.c.network_id == p("network"), ports.c.mac_address == p("mac")))
_IDS_WITH_ADDRESS = Query(select(address_rows.c.port_id).where(address_rows.c.address == p("address")))
_IDS_LIKE = Query(select(address_rows.c.port_id).where(address_rows.c.address.like(p("pattern"))))
_SERVERS = Query(select(ports.c.device_id).where(ports.c.slot.is_not(None)).distinct().order_by(ports.c.device_id))
_IDS_ON_SUBNET = Query(select(address_rows.c.port_id).where(address_rows.c.subnet_id == p("subnet")))


async def get(tx: Tx, port_id: str) -> Port:
    if (found := await PORTS.find(tx, id=port_id)) is None:
        raise failures.port_not_found(port_id)
    return found


async def free_mac(tx: Tx, network_id: str, candidates: Iterable[str]) -> str:
    """The first candidate that no port of the network has."""
    mac = ""
    for mac in candidates:
        if await tx.one(_BY_MAC, network=network_id, mac=mac) is None:
            return mac
    raise failures.mac_in_use(network_id, mac)


async def insert(change: Change, port: Port) -> Port:
    """A new port, whose addresses have been taken. The caller has counted it and holds its network and groups."""
    try:
        await PORTS.insert(change.tx, port)
    except Duplicate:
        raise failures.mac_in_use(port.network_id, port.mac_address) from None
    for group_id in port.security_groups:
        await MEMBERS.insert(change.tx, Member(group_id=group_id, port_id=port.id))
    await change.add(f"port/{port.id}")
    _tell(change, None, port)
    return port


async def update(change: Change, old: Port, new: Port) -> Port:
    """Write `new` over `old`; addresses that `new` no longer has are free, those that it adds have been taken."""
    for subnet_id, address in set(old.fixed_ips) - set(new.fixed_ips):
        await addresses.free(change.tx, subnet_id, address)
    for group_id in set(old.security_groups) - set(new.security_groups):
        await MEMBERS.delete(change.tx, group_id=group_id, port_id=new.id)
    for group_id in new.security_groups:
        if group_id not in old.security_groups:
            await MEMBERS.insert(change.tx, Member(group_id=group_id, port_id=new.id))
    try:
        written = await PORTS.update(change.tx, new)
    except Duplicate:
        raise failures.mac_in_use(new.network_id, new.mac_address) from None
    _tell(change, old, new)
    return written


async def set_status(change: Change, port: Port, status: str) -> Port:
    """What a host has reported; it tells nobody anything new."""
    return await PORTS.update(change.tx, msgspec.structs.replace(port, status=status))


async def delete(change: Change, port: Port) -> None:
    """Remove the port with all that it holds. The caller counts it and has let go of its floating IPs."""
    if not await PORTS.delete(change.tx, id=port.id):
        raise failures.port_not_found(port.id)
    await ADDRESSES.delete_where(change.tx, port_id=port.id)
    await MEMBERS.delete_where(change.tx, port_id=port.id)
    await change.drop(f"port/{port.id}")
    _tell(change, port, None)


def _tell(change: Change, old: Port | None, new: Port | None) -> None:
    """Touch what hosts are given on account of this port, and name the hosts and servers that should look."""
    both = [port for port in (old, new) if port is not None]
    change.say(*(f"host/{port.host}" for port in both if port.host and (old is None or new is None or old != new)))
    if old is not None and new is not None:
        if model.for_host(old) != model.for_host(new):
            change.touch(f"port/{new.id}")
        groups = set(old.security_groups) ^ set(new.security_groups)
        if model.for_groups(old) != model.for_groups(new):
            groups |= set(new.security_groups)
        network_changed = model.for_network(old) != model.for_network(new)
        server_changed = model.for_server(old) != model.for_server(new)
    else:
        groups, network_changed, server_changed = set(both[0].security_groups), True, True
    change.touch(*(f"group/{group_id}" for group_id in groups))
    if network_changed:
        change.touch(f"network/{both[0].network_id}")
        change.touch(*(f"router/{router}" for port in both if (router := model.router_of(port))))
    if server_changed:
        change.say(*(f"server/{server}" for port in both if (server := model.server_of(port))))


async def allocate(tx: Tx, subnet: Subnet, port_id: str) -> FixedIp | None:
    """Any free address of the subnet; None when there is none. The network's pools are locked."""
    address = await addresses.allocate(tx, subnet, port_id)
    return None if address is None else (subnet.id, address)


async def ids_with_address(tx: Tx, address: str) -> set[str]:
    return {row[0] for row in await tx.all(_IDS_WITH_ADDRESS, address=address)}


async def ids_with_address_like(tx: Tx, part: str) -> set[str]:
    return {row[0] for row in await tx.all(_IDS_LIKE, pattern=f"%{part}%")}


async def ids_on_subnet(tx: Tx, subnet_id: str) -> list[str]:
    """Ports with an address of the subnet."""
    return sorted({row[0] for row in await tx.all(_IDS_ON_SUBNET, subnet=subnet_id)})


async def ids_in_groups(tx: Tx, group_ids: list[str]) -> set[str]:
    return {member.port_id for member in await MEMBERS.within(tx, "group_id", group_ids)}


async def servers(tx: Tx) -> list[str]:
    """Ids of the servers that compute has bound ports for."""
    return [row[0] for row in await tx.all(_SERVERS)]
