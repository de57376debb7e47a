"""What callers may do to subnets."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, Conflict
from kilostack.network import failures
from kilostack.network.app import access, dhcp
from kilostack.network.app.access import Access
from kilostack.network.app.networks import check_revision
from kilostack.network.app.parts import Drawn, Parts
from kilostack.network.app.removals import remove_port
from kilostack.network.model import addressing
from kilostack.network.model import port as port_model
from kilostack.network.model.records import Subnet
from kilostack.network.store import addresses, networks, ports, projects
from kilostack.network.store.changes import Change
from kilostack.network.store.tables import ADDRESSES, NETWORKS, PORTS, ROUTERS, SUBNETS
from kilostack.store.database import Tx

MOST_NAMESERVERS, MOST_ROUTES = 5, 20


class Subnets:
    """Use cases of subnets."""

    def __init__(self, parts: Parts, rights: Access) -> None:
        self._parts, self._rights = parts, rights

    async def create(self, ctx: Context, wanted: list[dict[str, Any]]) -> list[Subnet]:
        """All of them or none."""
        drawn = [self._parts.draw(ids=2, macs=1) for _ in wanted]
        for item in wanted:
            check_new(item)

        async def unit(tx: Tx) -> list[Subnet]:
            change = Change(tx)
            for project_id in sorted({item["project_id"] for item in wanted}):
                await projects.take(tx, project_id, subnet=sum(i["project_id"] == project_id for i in wanted))
            written = [await self._insert(ctx, change, item, one) for item, one in zip(wanted, drawn, strict=True)]
            await change.close()
            return written

        return await self._parts.db.write(unit)

    async def _insert(self, ctx: Context, change: Change, item: dict[str, Any], drawn: Drawn) -> Subnet:
        tx, network_id = change.tx, item["network_id"]
        network = await networks.get(tx, network_id)
        self._rights.check_seen(ctx, "network", access.of_network(network), failures.network_not_found(network_id))
        target = access.of_network(network) | access.of_project(item["project_id"])
        self._rights.check_attributes(ctx, "create_subnet", item, target)
        await change.lock(f"network/{network_id}")
        await addresses.lock(tx, network_id)
        others = await SUBNETS.where(tx, network_id=network_id)
        addressing.check_overlap(item["cidr"], network_id, [other.cidr for other in others])
        values = dict(item)
        gateway = values.pop("gateway_ip") if "gateway_ip" in item else addressing.default_gateway(item["cidr"])
        pools = values.pop("allocation_pools", None)
        subnet = Subnet(
            id=drawn.ids[0],
            gateway_ip=gateway,
            allocation_pools=(
                addressing.default_pools(item["cidr"], gateway)
                if pools is None
                else addressing.check_pools(pools, item["cidr"], gateway)
            ),
            audience=network.audience,
            shared=network.shared,
            external=network.external,
            created_at=drawn.now,
            updated_at=drawn.now,
            **values,
        )
        network = await networks.insert_subnet(change, network, subnet)
        await dhcp.settle(change, network, await networks.subnets_of(tx, network), drawn)
        return subnet

    async def update(self, ctx: Context, subnet_id: str, given: dict[str, Any], expect: int | None) -> Subnet:
        drawn = self._parts.draw(ids=1, macs=1)

        async def unit(tx: Tx) -> Subnet:
            change = Change(tx)
            old = await self._own(ctx, tx, subnet_id, "update_subnet")
            check_revision(old.revision, expect)
            await projects.lock(tx, old.project_id)
            await change.lock(f"network/{old.network_id}")
            await addresses.lock(tx, old.network_id)
            new = msgspec.structs.replace(old, updated_at=drawn.now, **given)
            await self._check_change(tx, old, new)
            if "allocation_pools" in given:
                pools = addressing.check_pools(new.allocation_pools, new.cidr, new.gateway_ip)
                new = msgspec.structs.replace(new, allocation_pools=pools)
            written = await networks.update_subnet(change, new)
            network = await networks.get(tx, old.network_id)
            if old.enable_dhcp != new.enable_dhcp:
                await dhcp.settle(change, network, await networks.subnets_of(tx, network), drawn)
            if old.gateway_ip != new.gateway_ip:
                behind = await ROUTERS.where(tx, gateway_network_id=old.network_id)
                change.touch(*(f"router/{router.id}" for router in behind))
            await change.close()
            return written

        return await self._parts.db.write(unit)

    async def _check_change(self, tx: Tx, old: Subnet, new: Subnet) -> None:
        check_sound(new)
        if new.enable_dhcp and not old.enable_dhcp:
            addressing.check_cidr(new.cidr, new.ip_version, enable_dhcp=True)
        if old.gateway_ip == new.gateway_ip:
            return
        if new.gateway_ip is not None:
            addressing.check_gateway_outside(new.allocation_pools, new.gateway_ip)
        if old.gateway_ip is None:
            return
        held = await ADDRESSES.find(tx, subnet_id=old.id, number=addressing.number(old.gateway_ip))
        if held is not None:
            port = await PORTS.find(tx, id=held.port_id)
            if port is not None and port.device_owner == port_model.ROUTER_INTERFACE:
                raise Conflict(
                    f"Current gateway ip {old.gateway_ip} already in use by port {port.id}. Unable to update.",
                    kind="GatewayIpInUse",
                )

    async def _own(self, ctx: Context, tx: Tx, subnet_id: str, rule: str) -> Subnet:
        found = await networks.get_subnet(tx, subnet_id)
        network = await networks.get(tx, found.network_id)
        target = access.of_subnet(found, network)
        self._rights.check_seen(ctx, "subnet", target, failures.subnet_not_found(subnet_id))
        self._rights.check(ctx, rule, target)
        return found

    async def delete(self, ctx: Context, subnet_id: str, expect: int | None) -> None:
        """Remove the subnet; addresses of ports other than DHCP's keep it."""
        drawn = self._parts.draw(ids=1, macs=1)

        async def unit(tx: Tx) -> None:
            change = Change(tx)
            found = await self._own(ctx, tx, subnet_id, "delete_subnet")
            check_revision(found.revision, expect)
            await projects.give(tx, found.project_id, subnet=1)
            await change.lock(f"network/{found.network_id}")
            await addresses.lock(tx, found.network_id)
            await self._free(change, found, drawn.now)
            network = await NETWORKS.get(tx, id=found.network_id)
            await networks.delete_subnet(change, network, found, drawn.now)
            await change.close()

        await self._parts.db.write(unit)

    async def _free(self, change: Change, subnet: Subnet, now: int) -> None:
        """Take the DHCP port's address; raise when anybody else has one."""
        holders = await PORTS.within(change.tx, "id", await ports.ids_on_subnet(change.tx, subnet.id))
        users = [port.id for port in holders if port.device_owner not in port_model.AUTOMATIC_OWNERS]
        if users:
            raise failures.subnet_in_use(
                subnet.id, f"One or more ports have an IP allocation from this subnet: {', '.join(users[:20])}"
            )
        for port in holders:
            left = tuple(fixed for fixed in port.fixed_ips if fixed[0] != subnet.id)
            if left:
                await ports.update(change, port, msgspec.structs.replace(port, fixed_ips=left, updated_at=now))
            else:
                await remove_port(change, port, now)


def check_new(item: dict[str, Any]) -> None:
    """Raise unless the attributes of a new subnet go together."""
    if "cidr" not in item:
        raise failures.bad("subnets", "a subnetpool must be specified in the absence of a cidr")
    version = item["ip_version"]
    addressing.check_cidr(item["cidr"], version, enable_dhcp=item.get("enable_dhcp", True))
    _check_versions(
        version, item["cidr"], item.get("gateway_ip"), item.get("dns_nameservers", ()), item.get("host_routes", ())
    )


def check_sound(subnet: Subnet) -> None:
    """Raise unless the changed attributes of a subnet go together."""
    _check_versions(subnet.ip_version, subnet.cidr, subnet.gateway_ip, subnet.dns_nameservers, subnet.host_routes)


def _check_versions(
    version: int, cidr: str, gateway: str | None, nameservers: tuple[str, ...], routes: tuple[tuple[str, str], ...]
) -> None:
    if gateway is not None:
        addressing.check_gateway(cidr, gateway, version)
    if len(nameservers) > MOST_NAMESERVERS:
        raise BadRequest(
            f"Unable to complete operation for new subnet. The number of DNS nameservers exceeds the limit "
            f"{MOST_NAMESERVERS}.",
            kind="DNSNameServersExhausted",
        )
    if len(routes) > MOST_ROUTES:
        raise BadRequest(
            f"Unable to complete operation for new subnet. The number of host routes exceeds the limit {MOST_ROUTES}.",
            kind="HostRoutesExhausted",
        )
    for server in nameservers:
        if ip_address(server).version != version:
            raise failures.invalid(f"dns_nameserver '{server}' does not match the ip_version '{version}'")
    for destination, hop in routes:
        for name, value in (("destination", destination.split("/")[0]), ("nexthop", hop)):
            if ip_address(value).version != version:
                raise failures.invalid(f"{name} '{value}' does not match the ip_version '{version}'")
