"""What callers may do to floating IPs."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import NotFound
from kilostack.network import failures
from kilostack.network.app import access
from kilostack.network.app.access import Access
from kilostack.network.app.networks import check_revision
from kilostack.network.app.parts import Drawn, Parts
from kilostack.network.app.port_addresses import choose
from kilostack.network.app.removals import remove_port
from kilostack.network.model import port as port_model
from kilostack.network.model.records import FixedIp, FloatingIp, Network, Port
from kilostack.network.store import addresses, networks, ports, projects, routers
from kilostack.network.store.changes import Change
from kilostack.network.store.tables import PORTS, ROUTERS
from kilostack.store.database import Tx


class FloatingIps:
    """Use cases of floating IPs."""

    def __init__(self, parts: Parts, rights: Access) -> None:
        self._parts, self._rights = parts, rights

    async def create(self, ctx: Context, wanted: list[dict[str, Any]]) -> list[FloatingIp]:
        """All of them or none."""
        for item in wanted:
            asked = [name for name, value in item.items() if value is not None]
            self._rights.check_attributes(ctx, "create_floatingip", asked, access.of_project(item["project_id"]))
        drawn = [self._parts.draw(ids=2, macs=1) for _ in wanted]

        async def unit(tx: Tx) -> list[FloatingIp]:
            change = Change(tx)
            for project_id in sorted({item["project_id"] for item in wanted}):
                await projects.take(tx, project_id, floatingip=sum(i["project_id"] == project_id for i in wanted))
            made = [await self._insert(ctx, change, item, one) for item, one in zip(wanted, drawn, strict=True)]
            await change.close()
            return made

        return await self._parts.db.write(unit)

    async def _insert(self, ctx: Context, change: Change, item: dict[str, Any], drawn: Drawn) -> FloatingIp:
        network = await networks.get(change.tx, item["floating_network_id"])
        self._rights.check_seen(ctx, "network", access.of_network(network), failures.network_not_found(network.id))
        if not network.external:
            raise failures.bad("floatingip", f"Network {network.id} is not a valid external network")
        holder = await self._holder(change, network, item, drawn)
        floating_ip = FloatingIp(
            id=drawn.ids[1],
            project_id=item["project_id"],
            description=item.get("description", ""),
            floating_network_id=network.id,
            floating_ip_address=holder.fixed_ips[0][1],
            floating_port_id=holder.id,
            created_at=drawn.now,
            updated_at=drawn.now,
        )
        return await routers.insert_floating_ip(change, await self._led(ctx, change, floating_ip, item))

    async def _holder(self, change: Change, network: Network, item: dict[str, Any], drawn: Drawn) -> Port:
        """The port that keeps the address on the external network; it belongs to no project."""
        tx, port_id = change.tx, drawn.ids[0]
        await change.lock(f"network/{network.id}")
        await addresses.lock(tx, network.id)
        subnets = [subnet for subnet in await networks.subnets_of(tx, network) if subnet.ip_version == 4]
        if not subnets:
            raise failures.bad("floatingip", f"Network {network.id} does not contain any IPv4 subnet")
        asked: list[dict[str, Any]] | None = None
        names = {"subnet_id": "subnet_id", "floating_ip_address": "ip_address"}
        if given := {names[name]: item[name] for name in names if item.get(name)}:
            asked = [given]
        port = Port(
            id=port_id,
            project_id="",
            network_id=network.id,
            network_project_id=network.project_id,
            mac_address=await ports.free_mac(tx, network.id, drawn.macs[0]),
            status="N/A",
            device_id=drawn.ids[1],
            device_owner=port_model.FLOATING_IP,
            fixed_ips=await choose(tx, network.id, subnets, asked, port_id=port_id),
            port_security_enabled=False,
            created_at=drawn.now,
            updated_at=drawn.now,
        )
        return await ports.insert(change, port)

    async def update(self, ctx: Context, floating_ip_id: str, given: dict[str, Any], expect: int | None) -> FloatingIp:
        now = self._parts.world.now()

        async def unit(tx: Tx) -> FloatingIp:
            change = Change(tx)
            old = await self._own(ctx, tx, floating_ip_id)
            self._rights.check(ctx, "update_floatingip", access.of_owned(old))
            check_revision(old.revision, expect)
            new = msgspec.structs.replace(old, updated_at=now, description=given.get("description", old.description))
            if "port_id" in given:
                new = await self._led(ctx, change, _loose(new), given)
            elif given.get("fixed_ip_address"):
                raise failures.bad("floatingip", "fixed_ip_address cannot be specified without a port_id")
            written = await routers.update_floating_ip(change, old, new)
            await change.close()
            return written

        return await self._parts.db.write(unit)

    async def delete(self, ctx: Context, floating_ip_id: str, expect: int | None) -> None:
        now = self._parts.world.now()

        async def unit(tx: Tx) -> None:
            change = Change(tx)
            found = await self._own(ctx, tx, floating_ip_id)
            self._rights.check(ctx, "delete_floatingip", access.of_owned(found))
            check_revision(found.revision, expect)
            await projects.give(tx, found.project_id, floatingip=1)
            await routers.delete_floating_ip(change, found)
            await remove_port(change, await ports.get(tx, found.floating_port_id), now)
            await change.close()

        await self._parts.db.write(unit)

    async def _own(self, ctx: Context, tx: Tx, floating_ip_id: str) -> FloatingIp:
        found = await routers.get_floating_ip(tx, floating_ip_id)
        missing = failures.floating_ip_not_found(floating_ip_id)
        self._rights.check_seen(ctx, "floatingip", access.of_owned(found), missing)
        return found

    async def _led(self, ctx: Context, change: Change, loose: FloatingIp, item: dict[str, Any]) -> FloatingIp:
        """The floating IP as it leads to the port that `item` names, or nowhere."""
        tx, port_id = change.tx, item.get("port_id")
        if not port_id:
            if item.get("fixed_ip_address"):
                raise failures.bad("floatingip", "fixed_ip_address cannot be specified without a port_id")
            return loose
        port = await ports.get(tx, port_id)
        self._rights.check_seen(ctx, "port", access.of_port(port), failures.port_not_found(port_id))
        if port.project_id != loose.project_id and not ctx.is_admin:
            raise failures.bad(
                "floatingip",
                f"Cannot process floating IP association with Port {port_id}, since that port is owned by a "
                "different project",
            )
        if port.device_owner in port_model.SERVICE_OWNERS | port_model.AUTOMATIC_OWNERS:
            raise failures.bad("floatingip", f"Port {port_id} is unable to be assigned a floating IP")
        await change.lock(f"port/{port_id}")
        subnet_id, address = await self._fixed_ip(tx, port, item.get("fixed_ip_address"))
        router_id = await self._router(tx, port, subnet_id, loose.floating_network_id)
        await change.lock(f"router/{router_id}")
        return msgspec.structs.replace(loose, port_id=port_id, fixed_ip_address=address, router_id=router_id)

    async def _fixed_ip(self, tx: Tx, port: Port, asked: str | None) -> FixedIp:
        if asked is not None:
            if ip_address(asked).version != 4:
                raise failures.bad(
                    "floatingip",
                    f"Cannot process floating IP association with {asked}, since that is not an IPv4 address",
                )
            for fixed in port.fixed_ips:
                if fixed[1] == asked:
                    return fixed
            raise failures.bad("floatingip", f"Port {port.id} does not have fixed ip {asked}")
        offered = [fixed for fixed in port.fixed_ips if ip_address(fixed[1]).version == 4]
        if not offered:
            raise failures.bad(
                "floatingip", f"Cannot add floating IP to port {port.id} that has no fixed IPv4 addresses"
            )
        if len(offered) > 1:
            raise failures.bad(
                "floatingip",
                f"Port {port.id} has multiple fixed IPv4 addresses.  Must provide a specific IPv4 address when "
                "assigning a floating IP",
            )
        return offered[0]

    async def _router(self, tx: Tx, port: Port, subnet_id: str, external_id: str) -> str:
        """The router between the port's subnet and the external network; the one that is its gateway if there are
        several."""
        subnet = await networks.get_subnet(tx, subnet_id)
        legs = [
            leg
            for leg in await PORTS.where(tx, network_id=port.network_id)
            if leg.device_owner == port_model.ROUTER_INTERFACE and subnet_id in dict(leg.fixed_ips)
        ]
        outside = {
            router.id
            for router in await ROUTERS.within(tx, "id", sorted({leg.device_id for leg in legs}))
            if router.gateway_network_id == external_id
        }
        found = [leg for leg in legs if leg.device_id in outside]
        if not found:
            raise NotFound(
                f"External network {external_id} is not reachable from subnet {subnet_id}.  Therefore, cannot "
                f"associate Port {port.id} with a Floating IP.",
                kind="ExternalGatewayForFloatingIPNotFound",
            )
        found.sort(key=lambda leg: (dict(leg.fixed_ips)[subnet_id] != subnet.gateway_ip, leg.created_at))
        return found[0].device_id


def _loose(floating_ip: FloatingIp) -> FloatingIp:
    """The floating IP as it leads nowhere."""
    return msgspec.structs.replace(floating_ip, port_id=None, fixed_ip_address=None, router_id=None, status="DOWN")
