"""How many addresses networks have, and how many of them are used."""

from __future__ import annotations

import msgspec
from sqlalchemy import func, select

from kilostack.core.context import Context
from kilostack.network.app import access
from kilostack.network.app.access import Access
from kilostack.network.app.parts import Parts
from kilostack.network.model import addressing
from kilostack.network.model.records import Network, Subnet
from kilostack.network.store.tables import NETWORKS, SUBNETS, addresses
from kilostack.store.database import Tx
from kilostack.store.sql import Query

_USED = Query(select(addresses.c.subnet_id, func.count()).group_by(addresses.c.subnet_id))


class Shares(msgspec.Struct, frozen=True):
    """A network with (subnet, addresses in all, addresses used)."""

    network: Network
    subnets: list[tuple[Subnet, int, int]]


class Availability:
    """Use cases of IP availability."""

    def __init__(self, parts: Parts, rights: Access) -> None:
        self._parts, self._rights = parts, rights

    async def every(self, ctx: Context) -> list[Shares]:
        self._rights.check(ctx, "get_network_ip_availability", access.of_project(ctx.project_id))

        async def unit(tx: Tx) -> list[Shares]:
            used = {str(subnet_id): int(count) for subnet_id, count in await tx.all(_USED)}
            by_network: dict[str, list[tuple[Subnet, int, int]]] = {}
            for subnet in await SUBNETS.where(tx):
                share = (subnet, addressing.capacity(subnet.allocation_pools), used.get(subnet.id, 0))
                by_network.setdefault(subnet.network_id, []).append(share)
            return [Shares(network, by_network.get(network.id, [])) for network in await NETWORKS.where(tx)]

        return await self._parts.db.read(unit)
