"""Networks and their subnets."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import insert, select, update

from kilostack.core.errors import Duplicate
from kilostack.network import failures
from kilostack.network.model.records import EVERYBODY, Network, Pool, Subnet
from kilostack.network.store.changes import Change
from kilostack.network.store.tables import NETWORKS, POOLS, PORTS, SUBNETS, cursors, networks
from kilostack.store.database import Tx
from kilostack.store.lists import Collection
from kilostack.store.sql import Query, p

FIRST_SEGMENT, LAST_SEGMENT = 1001, (1 << 24) - 1
_STEP = 64

COLLECTION = Collection(
    NETWORKS,
    filters={
        "id": "id",
        "name": "name",
        "admin_state_up": "admin_state_up",
        "shared": "shared",
        "router:external": "external",
        "project_id": "project_id",
        "description": "description",
        "mtu": "mtu",
        "status": "status",
        "port_security_enabled": "port_security_enabled",
        "provider:network_type": "network_type",
        "provider:physical_network": "physical_network",
        "provider:segmentation_id": "segmentation_id",
        "revision_number": "revision",
        "changed_since": "updated_at",
        "seen_by": ("project_id", "audience"),
    },
    sorts={
        "id": "id",
        "name": "name",
        "admin_state_up": "admin_state_up",
        "mtu": "mtu",
        "status": "status",
        "project_id": "project_id",
        "created_at": "created_at",
        "updated_at": "updated_at",
        "provider:network_type": "network_type",
        "provider:segmentation_id": "segmentation_id",
    },
    default_sort=(("created_at", False),),
)
SUBNET_COLLECTION = Collection(
    SUBNETS,
    filters={
        "id": "id",
        "name": "name",
        "network_id": "network_id",
        "ip_version": "ip_version",
        "cidr": "cidr",
        "gateway_ip": "gateway_ip",
        "enable_dhcp": "enable_dhcp",
        "router:external": "external",
        "shared": "shared",
        "project_id": "project_id",
        "description": "description",
        "revision_number": "revision",
        "changed_since": "updated_at",
        "seen_by": ("project_id", "audience"),
    },
    sorts={
        "id": "id",
        "name": "name",
        "network_id": "network_id",
        "ip_version": "ip_version",
        "cidr": "cidr",
        "gateway_ip": "gateway_ip",
        "enable_dhcp": "enable_dhcp",
        "project_id": "project_id",
        "created_at": "created_at",
        "updated_at": "updated_at",
    },
    default_sort=(("created_at", False),),
)

_RAISE_CURSOR = Query(update(cursors).where(cursors.c.name == "segment").values(next=cursors.c.next + 1))
_MOVE_CURSOR = Query(update(cursors).where(cursors.c.name == "segment").values(next=p("to")))
_CURSOR = Query(select(cursors.c.next).where(cursors.c.name == "segment"))
_START_CURSOR = Query(insert(cursors).values(name="segment", next=FIRST_SEGMENT + 1))
_FURNISHED = Query(select(cursors.c.next).where(cursors.c.name == "furnished"))
_SET_FURNISHED = Query(insert(cursors).values(name="furnished", next=1))
_SEGMENTS = Query(
    select(networks.c.segmentation_id)
    .where(networks.c.segmentation_id >= p("low"))
    .order_by(networks.c.segmentation_id)
    .limit(_STEP)
)


async def get(tx: Tx, network_id: str) -> Network:
    if (found := await NETWORKS.find(tx, id=network_id)) is None:
        raise failures.network_not_found(network_id)
    return found


async def get_subnet(tx: Tx, subnet_id: str) -> Subnet:
    if (found := await SUBNETS.find(tx, id=subnet_id)) is None:
        raise failures.subnet_not_found(subnet_id)
    return found


async def subnets_of(tx: Tx, network: Network) -> list[Subnet]:
    """The network's subnets, in the order in which they were made."""
    by_id = {subnet.id: subnet for subnet in await SUBNETS.where(tx, network_id=network.id)}
    return [by_id[subnet_id] for subnet_id in network.subnets if subnet_id in by_id]


def audience(network: Network) -> str:
    """Who sees it: everybody when it is shared or external, else its project."""
    return EVERYBODY if network.shared or network.external else network.project_id


async def is_furnished(tx: Tx) -> bool:
    """Whether the cloud has had its first networks."""
    return await tx.one(_FURNISHED) is not None


async def furnished(tx: Tx) -> None:
    """Remember that the cloud has had its first networks."""
    if not await is_furnished(tx):
        await tx.run(_SET_FURNISHED)


async def next_segment(tx: Tx) -> int:
    """A VXLAN id that no network has; the row of the cursor is held until the unit ends."""
    if await tx.run(_RAISE_CURSOR) != 1:
        await tx.run(_START_CURSOR)
        start = FIRST_SEGMENT
    else:
        row = await tx.one(_CURSOR)
        assert row is not None
        start = int(row[0]) - 1
    for low, high in ((start, LAST_SEGMENT), (1, start - 1)):
        found = await _free_segment(tx, low, high)
        if found is not None:
            await tx.run(_MOVE_CURSOR, to=found + 1)
            return found
    raise failures.invalid("no VXLAN id is left in the range 1 to 16777215")


async def _free_segment(tx: Tx, low: int, high: int) -> int | None:
    while low <= high:
        taken = [int(row[0]) for row in await tx.all(_SEGMENTS, low=low)]
        for value in taken:
            if value != low:
                return low
            low += 1
        if len(taken) < _STEP:
            break
    return low if low <= high else None


async def insert_network(change: Change, network: Network) -> Network:
    """A new network. The caller has counted it."""
    made = msgspec.structs.replace(network, audience=audience(network))
    try:
        await NETWORKS.insert(change.tx, made)
    except Duplicate:
        raise failures.segment_in_use(network.physical_network, network.segmentation_id) from None
    await change.add(f"network/{network.id}")
    return made


def _repeated(network: Network) -> dict[str, Any]:
    """What each subnet of a network repeats, because its lists are filtered by it."""
    return {"audience": network.audience, "shared": network.shared, "external": network.external}


async def update_network(change: Change, old: Network, new: Network) -> Network:
    """Write the network and what its subnets repeat of it; hosts and servers hear of it."""
    written = await NETWORKS.update(change.tx, msgspec.structs.replace(new, audience=audience(new)))
    if _repeated(written) != _repeated(old):
        for subnet in await SUBNETS.where(change.tx, network_id=new.id):
            await SUBNETS.update(change.tx, msgspec.structs.replace(subnet, **_repeated(written)))
    change.touch(f"network/{new.id}")
    if old.name != new.name:
        bound = await PORTS.where(change.tx, network_id=new.id)
        change.say(*(f"server/{port.device_id}" for port in bound if port.device_owner.startswith("compute:")))
    return written


async def delete_network(change: Change, network: Network) -> None:
    """Remove a network that has neither ports nor subnets. The caller counts it and holds its row of the streams."""
    if not await NETWORKS.delete(change.tx, id=network.id):
        raise failures.network_not_found(network.id)
    await change.drop(f"network/{network.id}")


async def insert_subnet(change: Change, network: Network, subnet: Subnet) -> Network:
    """A new subnet of `network`, which is returned as it is now. The caller has counted it."""
    await SUBNETS.insert(change.tx, msgspec.structs.replace(subnet, **_repeated(network)))
    await POOLS.insert(change.tx, Pool(subnet_id=subnet.id, network_id=network.id))
    change.touch(f"network/{network.id}")
    return await NETWORKS.update(
        change.tx,
        msgspec.structs.replace(network, subnets=(*network.subnets, subnet.id), updated_at=subnet.created_at),
    )


async def update_subnet(change: Change, subnet: Subnet) -> Subnet:
    change.touch(f"network/{subnet.network_id}")
    return await SUBNETS.update(change.tx, subnet)


async def delete_subnet(change: Change, network: Network, subnet: Subnet, now: int) -> Network:
    """Remove a subnet whose addresses are free. The caller counts it."""
    if not await SUBNETS.delete(change.tx, id=subnet.id):
        raise failures.subnet_not_found(subnet.id)
    await POOLS.delete(change.tx, subnet_id=subnet.id)
    change.touch(f"network/{network.id}")
    left = tuple(subnet_id for subnet_id in network.subnets if subnet_id != subnet.id)
    return await NETWORKS.update(change.tx, msgspec.structs.replace(network, subnets=left, updated_at=now))
