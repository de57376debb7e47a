"""Addresses of subnets: handed out under the lock of their network's pools, so that none is had twice."""

from __future__ import annotations

from sqlalchemy import select, update

from kilostack.core.errors import Duplicate
from kilostack.network import failures
from kilostack.network.model import addressing
from kilostack.network.model.records import Address, Subnet
from kilostack.network.store.tables import ADDRESSES, POOLS, addresses, pools
from kilostack.store.database import Tx
from kilostack.store.sql import Query, p

_STEP = 128


_LOCK = Query(update(pools).where(pools.c.network_id == p("network")).values(turn=pools.c.turn + 1))
_MOVE = Query(update(pools).where(pools.c.subnet_id == p("subnet")).values(cursor=p("to")))
_TAKEN = Query(
    select(addresses.c.number)
    .where(addresses.c.subnet_id == p("subnet"), addresses.c.number >= p("low"))
    .order_by(addresses.c.number)
    .limit(_STEP)
)


async def lock(tx: Tx, network_id: str) -> None:
    """Hold all pools of a network until the unit ends."""
    await tx.run(_LOCK, network=network_id)


async def allocate(tx: Tx, subnet: Subnet, port_id: str) -> str | None:
    """Take the next free address of the subnet's pools; None when there is none. The pools are locked."""
    pool = await POOLS.get(tx, subnet_id=subnet.id)
    for low, high in addressing.searched(subnet.allocation_pools, pool.cursor):
        free = await _first_free(tx, subnet.id, low, high)
        if free is not None:
            address = addressing.shown(free, subnet.ip_version)
            await ADDRESSES.insert(tx, _row(subnet.id, address, port_id))
            await tx.run(_MOVE, subnet=subnet.id, to=f"{free + 1:032x}")
            return address
    return None


async def _first_free(tx: Tx, subnet_id: str, low: int, high: int) -> int | None:
    while low <= high:
        rows = await tx.all(_TAKEN, subnet=subnet_id, low=f"{low:032x}")
        taken = [int(number, 16) for (number,) in rows]
        low = addressing.first_gap(low, taken)
        if len(taken) < _STEP or low <= taken[-1]:
            return low if low <= high else None
    return None


async def take(tx: Tx, subnet: Subnet, address: str, port_id: str) -> None:
    """Take this very address. Raises `Conflict` when a port has it."""
    try:
        await ADDRESSES.insert(tx, _row(subnet.id, address, port_id))
    except Duplicate:
        raise failures.address_allocated(subnet.id, address) from None


async def free(tx: Tx, subnet_id: str, address: str) -> None:
    await ADDRESSES.delete(tx, subnet_id=subnet_id, number=addressing.number(address))


def _row(subnet_id: str, address: str, port_id: str) -> Address:
    return Address(subnet_id=subnet_id, number=addressing.number(address), address=address, port_id=port_id)
