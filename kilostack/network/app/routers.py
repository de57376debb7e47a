"""What callers may do to routers."""

from __future__ import annotations

from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, NotFound
from kilostack.network import failures
from kilostack.network.app import access, router_ports
from kilostack.network.app.access import Access
from kilostack.network.app.networks import check_revision
from kilostack.network.app.parts import Drawn, Parts
from kilostack.network.app.placement import find_host
from kilostack.network.app.removals import remove_port
from kilostack.network.model import port as port_model
from kilostack.network.model.records import Port, Router, Subnet
from kilostack.network.store import networks, ports, projects, routers
from kilostack.network.store.changes import Change
from kilostack.network.store.tables import SUBNETS
from kilostack.store.database import Tx

_GATEWAY = "external_gateway_info"


class Routers:
    """Use cases of routers."""

    def __init__(self, parts: Parts, rights: Access) -> None:
        self._parts, self._rights = parts, rights

    async def create(self, ctx: Context, wanted: list[dict[str, Any]]) -> list[Router]:
        """All of them or none."""
        for item in wanted:
            target = access.of_project(item["project_id"])
            self._rights.check_attributes(ctx, "create_router", _asked(item), target)
        drawn = [self._parts.draw(ids=2, macs=1) for _ in wanted]

        async def unit(tx: Tx) -> list[Router]:
            change = Change(tx)
            for project_id in sorted({item["project_id"] for item in wanted}):
                await projects.take(tx, project_id, router=sum(i["project_id"] == project_id for i in wanted))
            made = [await self._insert(ctx, change, item, one) for item, one in zip(wanted, drawn, strict=True)]
            await change.close()
            return made

        return await self._parts.db.write(unit)

    async def _insert(self, ctx: Context, change: Change, item: dict[str, Any], drawn: Drawn) -> Router:
        values = {name: value for name, value in item.items() if name != _GATEWAY}
        router = await routers.insert(
            change, Router(id=drawn.ids[1], created_at=drawn.now, updated_at=drawn.now, **values)
        )
        if not (info := item.get(_GATEWAY)):
            return router
        return await self._with_gateway(ctx, change, router, info, drawn)

    async def _with_gateway(
        self, ctx: Context, change: Change, router: Router, info: dict[str, Any], drawn: Drawn
    ) -> Router:
        network = await networks.get(change.tx, info["network_id"])
        self._rights.check_seen(ctx, "network", access.of_network(network), failures.network_not_found(network.id))
        placed = await self._placed(change, router, drawn.seed)
        return await routers.update(change, placed, await router_ports.set_gateway(change, placed, info, drawn))

    async def _placed(self, change: Change, router: Router, seed: int) -> Router:
        if router.host:
            return router
        host = await find_host(change, self._parts.liveness, seed)
        if not host:
            return router
        return await routers.update(change, router, msgspec.structs.replace(router, host=host))

    async def update(self, ctx: Context, router_id: str, given: dict[str, Any], expect: int | None) -> Router:
        drawn = self._parts.draw(ids=1, macs=1)

        async def unit(tx: Tx) -> Router:
            change = Change(tx)
            router = await self._own(ctx, tx, router_id)
            self._rights.check_attributes(ctx, "update_router", _asked(given), access.of_owned(router))
            check_revision(router.revision, expect)
            await change.lock(f"router/{router_id}")
            if _GATEWAY in given:
                info = given[_GATEWAY]
                if info:
                    router = await self._with_gateway(ctx, change, router, info, drawn)
                else:
                    cleared = await router_ports.clear_gateway(change, router, drawn.now)
                    router = await routers.update(change, router, cleared)
            values = {name: value for name, value in given.items() if name != _GATEWAY}
            await router_ports.check_routes(tx, router, values.get("routes", router.routes))
            written = await routers.update(
                change, router, msgspec.structs.replace(router, updated_at=drawn.now, **values)
            )
            await change.close()
            return written

        return await self._parts.db.write(unit)

    async def _own(self, ctx: Context, tx: Tx, router_id: str) -> Router:
        found = await routers.get(tx, router_id)
        self._rights.check_seen(ctx, "router", access.of_owned(found), failures.router_not_found(router_id))
        return found

    async def delete(self, ctx: Context, router_id: str, expect: int | None) -> None:
        """Remove the router and its gateway; any leg keeps it."""
        now = self._parts.world.now()

        async def unit(tx: Tx) -> None:
            change = Change(tx)
            router = await self._own(ctx, tx, router_id)
            self._rights.check(ctx, "delete_router", access.of_owned(router))
            check_revision(router.revision, expect)
            await projects.give(tx, router.project_id, router=1)
            await change.lock(f"router/{router_id}")
            if any(port.device_owner != port_model.ROUTER_GATEWAY for port in await routers.ports_of(tx, router_id)):
                raise failures.router_in_use(router_id, "still has ports")
            await router_ports.clear_gateway(change, router, now)
            await routers.delete(change, router)
            await change.close()

        await self._parts.db.write(unit)

    async def add_interface(self, ctx: Context, router_id: str, body: dict[str, Any]) -> tuple[Router, Port]:
        """Join a subnet by its gateway address, or make an existing port a leg of the router."""
        drawn = self._parts.draw(ids=1, macs=1)
        if ("subnet_id" in body) == ("port_id" in body):
            raise failures.bad(
                "router",
                "Cannot specify both subnet-id and port-id"
                if body
                else "Either subnet_id or port_id must be specified",
            )

        async def unit(tx: Tx) -> tuple[Router, Port]:
            change = Change(tx)
            router = await self._own(ctx, tx, router_id)
            self._rights.check(ctx, "add_router_interface", access.of_owned(router))
            await change.lock(f"router/{router_id}")
            router = await self._placed(change, router, drawn.seed)
            if "subnet_id" in body:
                port = await self._by_subnet(ctx, change, router, body["subnet_id"], drawn)
            else:
                port = await self._by_port(ctx, change, router, body["port_id"], drawn.now)
            router = await routers.update(change, router, msgspec.structs.replace(router, updated_at=drawn.now))
            await change.close()
            return router, port

        return await self._parts.db.write(unit)

    async def _by_subnet(self, ctx: Context, change: Change, router: Router, subnet_id: str, drawn: Drawn) -> Port:
        subnet = await networks.get_subnet(change.tx, subnet_id)
        network = await networks.get(change.tx, subnet.network_id)
        self._rights.check_seen(ctx, "subnet", access.of_subnet(subnet, network), failures.subnet_not_found(subnet_id))
        if ctx.project_id != network.project_id and not ctx.is_admin:
            raise failures.bad(
                "router",
                f"Cannot add interface to router because subnet {subnet_id} is not owned by project making the request",
            )
        await projects.take(change.tx, router.project_id, port=1)
        return await router_ports.add_leg(change, router, network, subnet, drawn)

    async def _by_port(self, ctx: Context, change: Change, router: Router, port_id: str, now: int) -> Port:
        tx = change.tx
        port = await ports.get(tx, port_id)
        self._rights.check_seen(ctx, "port", access.of_port(port), failures.port_not_found(port_id))
        if port.device_id or port.device_owner.startswith("network:"):
            raise failures.port_in_use(port_id, port.network_id, port.device_id)
        if not port.fixed_ips:
            raise failures.bad("router", "Router port must have at least one fixed IP")
        await change.lock(f"port/{port_id}")
        subnets = list((await router_ports.subnets_of(tx, [port])).values())
        if sum(subnet.ip_version == 4 for subnet in subnets) > 1:
            raise failures.bad("router", "Cannot have multiple IPv4 subnets on router port")
        await router_ports.check_overlap(tx, router, subnets)
        leg = msgspec.structs.replace(
            port,
            device_id=router.id,
            device_owner=port_model.ROUTER_INTERFACE,
            host=router.host,
            security_groups=(),
            port_security_enabled=False,
            allowed_address_pairs=(),
            updated_at=now,
        )
        return await ports.update(change, port, leg)

    async def remove_interface(self, ctx: Context, router_id: str, body: dict[str, Any]) -> tuple[Router, Port, Subnet]:
        """Leave a subnet; the leg is removed, however it was made."""
        now = self._parts.world.now()
        if "subnet_id" not in body and "port_id" not in body:
            raise failures.bad("router", "Either subnet_id or port_id must be specified")

        async def unit(tx: Tx) -> tuple[Router, Port, Subnet]:
            change = Change(tx)
            router = await self._own(ctx, tx, router_id)
            self._rights.check(ctx, "remove_router_interface", access.of_owned(router))
            await change.lock(f"router/{router_id}")
            port, subnet = await self._leg(tx, router, body)
            subnets = list((await router_ports.subnets_of(tx, [port])).values())
            await router_ports.check_leg_unused(tx, router, subnets)
            await remove_port(change, port, now)
            router = await routers.update(change, router, msgspec.structs.replace(router, updated_at=now))
            await change.close()
            return router, port, subnet

        return await self._parts.db.write(unit)

    async def _leg(self, tx: Tx, router: Router, body: dict[str, Any]) -> tuple[Port, Subnet]:
        """The leg that the body names, and the subnet to show for it."""
        port_id, subnet_id = body.get("port_id"), body.get("subnet_id")
        if subnet_id is not None and await SUBNETS.find(tx, id=subnet_id) is None:
            raise failures.subnet_not_found(subnet_id)
        legs = [p for p in await routers.ports_of(tx, router.id) if p.device_owner == port_model.ROUTER_INTERFACE]
        if port_id is not None:
            found = [port for port in legs if port.id == port_id]
            if not found:
                raise NotFound(
                    f"Router {router.id} does not have an interface with id {port_id}", kind="RouterInterfaceNotFound"
                )
            on = [subnet for subnet, _ in found[0].fixed_ips]
            if subnet_id is not None and subnet_id not in on:
                raise BadRequest(
                    f"Subnet on port {port_id} does not match the requested subnet {subnet_id}.",
                    kind="SubnetMismatchForPort",
                )
            subnet_id = subnet_id or on[0]
        else:
            found = [port for port in legs if subnet_id in dict(port.fixed_ips)]
            if not found:
                raise NotFound(
                    f"Router {router.id} has no interface on subnet {subnet_id}",
                    kind="RouterInterfaceNotFoundForSubnet",
                )
        return found[0], await networks.get_subnet(tx, str(subnet_id))


def _asked(item: dict[str, Any]) -> list[str]:
    info = item.get(_GATEWAY) or {}
    return [*item, *(f"{_GATEWAY}:{name}" for name in info if name != "external_fixed_ips" or info[name])]
