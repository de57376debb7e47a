"""The networks that a new cloud has."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import msgspec

from kilostack.core.context import Context, internal
from kilostack.network.app.access import Access
from kilostack.network.app.groups import Groups
from kilostack.network.app.networks import Networks
from kilostack.network.app.parts import Parts
from kilostack.network.app.routers import Routers
from kilostack.network.app.subnets import Subnets
from kilostack.network.model import addressing
from kilostack.network.model import port as port_model
from kilostack.network.store import networks, routers
from kilostack.network.store.tables import NETWORKS, ROUTERS, SUBNETS
from kilostack.store.database import Tx

PUBLIC, PRIVATE, ROUTER = "public", "private", "router1"
PRIVATE_CIDR = "10.0.0.0/26"


class Bootstrap(msgspec.Struct, frozen=True, kw_only=True):
    """What the networks of a new cloud depend on."""

    public_cidr: str
    public_gateway: str
    admin_project_id: str
    demo_project_id: str


async def bootstrap(parts: Parts, rights: Access, wanted: Bootstrap) -> None:
    """Make what is missing, step by step; a step that a crash has cut off is made by the next start.

    A cloud that has had all of it once is left alone: what its users removed stays so.
    """
    made = _Made(parts, rights, wanted)
    await made.groups.ensure_default(wanted.demo_project_id)
    if await parts.db.read(networks.is_furnished):
        return
    public_id = await made.public()
    private_subnet_id = await made.private()
    router_id = await made.find_router() or await made.router(public_id)
    if not await made.has_leg(router_id):
        await made.routers.add_interface(made.ctx, router_id, {"subnet_id": private_subnet_id})
    await parts.db.write(networks.furnished)


class _Made:
    """The steps; each finds what an earlier start has made."""

    def __init__(self, parts: Parts, rights: Access, wanted: Bootstrap) -> None:
        self._parts, self._wanted = parts, wanted
        self.ctx: Context = internal("req-bootstrap")
        self._networks, self._subnets = Networks(parts, rights), Subnets(parts, rights)
        self.routers, self.groups = Routers(parts, rights), Groups(parts, rights)

    async def find_router(self) -> str | None:
        async def unit(tx: Tx) -> str | None:
            found = await ROUTERS.where(tx, project_id=self._wanted.demo_project_id, name=ROUTER)
            return found[0].id if found else None

        return await self._parts.db.read(unit)

    async def has_leg(self, router_id: str) -> bool:
        ports = await self._parts.db.read(lambda tx: routers.ports_of(tx, router_id))
        return any(port.device_owner == port_model.ROUTER_INTERFACE for port in ports)

    async def public(self) -> str:
        """The network behind the uplink; its first addresses are the uplink's, the rest is handed out."""
        wanted = self._wanted
        network_id = await self._network(
            {
                "name": PUBLIC,
                "project_id": wanted.admin_project_id,
                "router:external": True,
                "provider:network_type": "flat",
                "provider:physical_network": self._parts.settings.physical_network,
            }
        )
        await self._subnet(
            {
                "name": "public-subnet",
                "project_id": wanted.admin_project_id,
                "network_id": network_id,
                "cidr": wanted.public_cidr,
                "ip_version": 4,
                "gateway_ip": wanted.public_gateway,
                "allocation_pools": _public_pools(wanted.public_cidr, wanted.public_gateway),
                "enable_dhcp": False,
            }
        )
        return network_id

    async def private(self) -> str:
        """The id of the subnet that demo's servers are on."""
        project_id = self._wanted.demo_project_id
        network_id = await self._network({"name": PRIVATE, "project_id": project_id})
        return await self._subnet(
            {
                "name": "private-subnet",
                "project_id": project_id,
                "network_id": network_id,
                "cidr": PRIVATE_CIDR,
                "ip_version": 4,
            }
        )

    async def router(self, public_id: str) -> str:
        item = {
            "name": ROUTER,
            "project_id": self._wanted.demo_project_id,
            "external_gateway_info": {"network_id": public_id},
        }
        return str((await self.routers.create(self.ctx, [item]))[0].id)

    async def _network(self, item: dict[str, Any]) -> str:
        async def unit(tx: Tx) -> str | None:
            found = await NETWORKS.where(tx, project_id=item["project_id"], name=item["name"])
            return found[0].id if found else None

        known = await self._parts.db.read(unit)
        return known or (await self._networks.create(self.ctx, [item]))[0].id

    async def _subnet(self, item: dict[str, Any]) -> str:
        known = await self._parts.db.read(lambda tx: SUBNETS.where(tx, network_id=item["network_id"]))
        return known[0].id if known else (await self._subnets.create(self.ctx, [item]))[0].id


def _public_pools(cidr: str, gateway: str) -> tuple[tuple[str, str], ...]:
    """All but the gateway, and in a range that is large enough without its first addresses, which operators use."""
    first, last = addressing.usable(cidr)
    pools = addressing.default_pools(cidr, gateway)
    if ip_network(cidr).num_addresses < 64 or int(ip_address(gateway)) != first:
        return pools
    return ((addressing.shown(first + 9, 4), addressing.shown(last, 4)),)
