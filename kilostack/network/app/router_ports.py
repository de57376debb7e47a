"""A router's ports: its gateway, and its legs on tenant networks."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from typing import Any

import msgspec

from kilostack.core.errors import BadRequest
from kilostack.network import failures
from kilostack.network.app.parts import Drawn
from kilostack.network.app.port_addresses import choose
from kilostack.network.app.removals import remove_port
from kilostack.network.model import addressing
from kilostack.network.model import port as port_model
from kilostack.network.model.records import FixedIp, Network, Port, Router, Subnet
from kilostack.network.store import addresses, networks, ports, routers
from kilostack.network.store.changes import Change
from kilostack.network.store.tables import FLOATING_IPS, SUBNETS
from kilostack.store.database import Tx

Routes = tuple[tuple[str, str], ...]
MOST_ROUTES = 30


async def set_gateway(change: Change, router: Router, info: dict[str, Any], drawn: Drawn) -> Router:
    """The router with the gateway that `info` asks for; its old one is gone when it was on another network."""
    tx, network_id = change.tx, info["network_id"]
    network = await networks.get(tx, network_id)
    if not network.external:
        raise failures.bad("router", f"Network {network_id} is not an external network")
    asked: Sequence[dict[str, Any]] | None = info.get("external_fixed_ips") or None
    if router.gateway_network_id not in (None, network_id):
        router = await clear_gateway(change, router, drawn.now)
    await change.lock(f"network/{network_id}")
    await addresses.lock(tx, network_id)
    subnets = await networks.subnets_of(tx, network)
    gateways = {subnet.gateway_ip for subnet in subnets}
    for item in asked or ():
        if item.get("ip_address") in gateways:
            raise failures.bad("router", f"External IP {item['ip_address']} is the same as the gateway IP")
    await check_overlap(tx, router, subnets, but=router.gateway_port_id)
    router = msgspec.structs.replace(router, enable_snat=info.get("enable_snat", True))
    if router.gateway_port_id is not None:
        return await _moved(change, router, subnets, asked, drawn.now)
    fixed_ips = await choose(tx, network_id, subnets, asked, port_id=drawn.ids[0])
    port = _port(router, network, drawn, port_model.ROUTER_GATEWAY, fixed_ips)
    mac = await ports.free_mac(tx, network_id, drawn.macs[0])
    await ports.insert(change, msgspec.structs.replace(port, project_id="", mac_address=mac))
    return msgspec.structs.replace(
        router, gateway_network_id=network_id, gateway_port_id=port.id, gateway_fixed_ips=fixed_ips
    )


async def _moved(
    change: Change, router: Router, subnets: list[Subnet], asked: Sequence[dict[str, Any]] | None, now: int
) -> Router:
    if asked is None:
        return router
    port = await ports.get(change.tx, str(router.gateway_port_id))
    fixed_ips = await choose(change.tx, port.network_id, subnets, asked, port_id=port.id, had=port.fixed_ips)
    await ports.update(change, port, msgspec.structs.replace(port, fixed_ips=fixed_ips, updated_at=now))
    return msgspec.structs.replace(router, gateway_fixed_ips=fixed_ips)


async def clear_gateway(change: Change, router: Router, now: int) -> Router:
    """The router without a gateway. Raises `Conflict` while floating IPs need it."""
    if router.gateway_port_id is None:
        return router
    if await FLOATING_IPS.count(change.tx, router_id=router.id):
        raise failures.gateway_in_use(router.id, str(router.gateway_network_id))
    await remove_port(change, await ports.get(change.tx, router.gateway_port_id), now)
    return msgspec.structs.replace(
        router, gateway_network_id=None, gateway_port_id=None, gateway_fixed_ips=(), enable_snat=True
    )


async def add_leg(change: Change, router: Router, network: Network, subnet: Subnet, drawn: Drawn) -> Port:
    """A port with the subnet's gateway address. The caller has counted it."""
    if subnet.gateway_ip is None:
        raise failures.bad("router", "Subnet for router interface must have a gateway IP")
    await change.lock(f"network/{network.id}")
    await addresses.lock(change.tx, network.id)
    await check_overlap(change.tx, router, [subnet])
    asked = [{"subnet_id": subnet.id, "ip_address": subnet.gateway_ip}]
    fixed_ips = await choose(change.tx, network.id, [subnet], asked, port_id=drawn.ids[0])
    port = _port(router, network, drawn, port_model.ROUTER_INTERFACE, fixed_ips)
    mac = await ports.free_mac(change.tx, network.id, drawn.macs[0])
    return await ports.insert(change, msgspec.structs.replace(port, mac_address=mac))


def _port(router: Router, network: Network, drawn: Drawn, owner: str, fixed_ips: tuple[FixedIp, ...]) -> Port:
    return Port(
        id=drawn.ids[0],
        project_id=router.project_id,
        network_id=network.id,
        network_project_id=network.project_id,
        mac_address="",
        device_id=router.id,
        device_owner=owner,
        fixed_ips=fixed_ips,
        port_security_enabled=False,
        host=router.host,
        created_at=drawn.now,
        updated_at=drawn.now,
    )


async def subnets_of(tx: Tx, found: Sequence[Port]) -> dict[str, Subnet]:
    """The subnets on which these ports have addresses, by id."""
    wanted = sorted({subnet_id for port in found for subnet_id, _ in port.fixed_ips})
    return {subnet.id: subnet for subnet in await SUBNETS.within(tx, "id", wanted)}


async def check_overlap(tx: Tx, router: Router, new: Sequence[Subnet], but: str | None = None) -> None:
    """Raise when a subnet that the router is to join overlaps one that it is on (by a port other than `but`)."""
    legs = [port for port in await routers.ports_of(tx, router.id) if port.id != but]
    joined = await subnets_of(tx, legs)
    for subnet in new:
        if subnet.id in joined:
            raise failures.bad("router", f"Router already has a port on subnet {subnet.id}")
        for other in joined.values():
            if addressing.overlap(subnet.cidr, other.cidr):
                raise failures.bad(
                    "router",
                    f"Cidr {subnet.cidr} of subnet {subnet.id} overlaps with cidr {other.cidr} of subnet {other.id}",
                )


async def check_leg_unused(tx: Tx, router: Router, subnets: Sequence[Subnet]) -> None:
    """Raise when floating IPs or routes need the router's leg on one of these subnets."""
    floating = await FLOATING_IPS.where(tx, router_id=router.id)
    for subnet in subnets:
        net = ip_network(subnet.cidr)
        if any(ip_address(found.fixed_ip_address or "0.0.0.0") in net for found in floating):
            raise failures.leg_in_use(router.id, subnet.id, "floating IPs", "RouterInterfaceInUseByFloatingIP")
        if any(ip_address(hop) in net for _, hop in router.routes):
            raise failures.leg_in_use(router.id, subnet.id, "routes", "RouterInterfaceInUseByRoute")


async def check_routes(tx: Tx, router: Router, routes: Routes) -> None:
    """Raise unless each next hop is on a subnet of the router and is not the router itself."""
    if len(routes) > MOST_ROUTES:
        raise BadRequest(
            f"Unable to complete operation for {router.id}. The number of routes exceeds the maximum {MOST_ROUTES}.",
            kind="RoutesExhausted",
        )
    if not routes:
        return
    found = await routers.ports_of(tx, router.id)
    nets = [ip_network(subnet.cidr) for subnet in (await subnets_of(tx, found)).values()]
    own = {address for port in found for _, address in port.fixed_ips}
    for destination, hop in routes:
        reason = ""
        if not any(ip_address(hop) in net for net in nets):
            reason = "the nexthop is not connected with router"
        elif hop in own:
            reason = "the nexthop is used by router"
        elif ip_address(hop).version != ip_network(destination).version:
            reason = "destination and nexthop are of different IP versions"
        if reason:
            shown = [{"destination": destination, "nexthop": hop}]
            raise BadRequest(f"Invalid format for routes: {shown}, {reason}", kind="InvalidRoutes")
