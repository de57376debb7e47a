"""What a host is given: derived from the rows of networks, groups and routers, and never written per host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_network

import msgspec

from kilostack.network.model import port as model
from kilostack.network.model.records import Host, Port, Router, Subnet
from kilostack.network.store.changes import FABRIC
from kilostack.network.store.tables import (
    FLOATING_IPS,
    GROUPS,
    HOSTS,
    MEMBERS,
    NETWORKS,
    PORTS,
    ROUTERS,
    RULES,
    SUBNETS,
)
from kilostack.store.database import Tx
from kilostack.wire import network as wire

_UNSEEN_OWNERS = {model.DHCP, model.FLOATING_IP}


class Needs(msgspec.Struct, frozen=True):
    """What belongs to one host: its guests' ports and its routers, and the keys of all objects that they need."""

    host: str
    ports: dict[str, Port]
    routers: dict[str, Router]
    legs: list[Port]
    keys: frozenset[str]


async def needs(tx: Tx, host: str) -> Needs:
    """The host's part of the desired state, at the cost of a few statements however many hosts there are."""
    bound = await PORTS.where(tx, host=host)
    ports = {port.id: port for port in bound if model.is_guest(port)}
    routers = {router.id: router for router in await ROUTERS.where(tx, host=host)}
    legs = [port for port in bound if model.router_of(port) in routers]
    group_ids = {group_id for port in ports.values() for group_id in port.security_groups}
    rules = await RULES.within(tx, "security_group_id", sorted(group_ids))
    group_ids |= {rule.remote_group_id for rule in rules if rule.remote_group_id}
    keys = {FABRIC}
    keys |= {f"port/{port_id}" for port_id in ports}
    keys |= {f"router/{router_id}" for router_id in routers}
    keys |= {f"network/{port.network_id}" for port in [*ports.values(), *legs]}
    keys |= {f"group/{group_id}" for group_id in group_ids}
    return Needs(host, ports, routers, legs, frozenset(keys))


async def objects(tx: Tx, needed: Needs, wanted: Mapping[str, int]) -> dict[str, msgspec.Struct]:
    """The objects under the keys of `wanted`, each carrying the revision given there."""
    found: dict[str, msgspec.Struct] = {}
    by_kind: dict[str, list[str]] = {"network": [], "group": [], "router": [], "port": []}
    for key in wanted:
        kind, _, name = key.partition("/")
        if key == FABRIC:
            found[key] = _fabric(await HOSTS.where(tx), needed.host, wanted[key])
        else:
            by_kind[kind].append(name)
    for port_id in by_kind["port"]:
        found[f"port/{port_id}"] = _port(needed.ports[port_id], wanted[f"port/{port_id}"])
    if by_kind["network"]:
        found |= await _networks(tx, by_kind["network"], wanted)
    if by_kind["group"]:
        found |= await _groups(tx, by_kind["group"], wanted)
    if by_kind["router"]:
        found |= await _routers(tx, needed, by_kind["router"], wanted)
    return found


def _fabric(hosts: Iterable[Host], own: str, revision: int) -> wire.Fabric:
    return wire.Fabric(
        revision=revision, tunnels={host.name: host.address for host in hosts if host.name != own and host.address}
    )


def _port(port: Port, revision: int) -> wire.Port:
    return wire.Port(
        id=port.id,
        revision=revision,
        network_id=port.network_id,
        mac=port.mac_address,
        fixed_ips=port.fixed_ips,
        device_id=port.device_id,
        security_groups=port.security_groups,
        port_security=port.port_security_enabled,
        admin_state_up=port.admin_state_up,
        allowed_address_pairs=port.allowed_address_pairs,
    )


async def _networks(tx: Tx, network_ids: list[str], wanted: Mapping[str, int]) -> dict[str, msgspec.Struct]:
    subnets = {subnet.id: subnet for subnet in await SUBNETS.within(tx, "network_id", network_ids)}
    entries: dict[str, list[wire.Entry]] = {network_id: [] for network_id in network_ids}
    dhcp: dict[str, wire.Entry] = {}
    for port in sorted(await PORTS.within(tx, "network_id", network_ids), key=lambda port: port.id):
        if port.device_owner == model.DHCP:
            dhcp[port.network_id] = _entry(port)
        elif port.device_owner not in _UNSEEN_OWNERS:
            entries[port.network_id].append(_entry(port))
    made: dict[str, msgspec.Struct] = {}
    for network in await NETWORKS.within(tx, "id", network_ids):
        key = f"network/{network.id}"
        made[key] = wire.Network(
            id=network.id,
            revision=wanted[key],
            project_id=network.project_id,
            vni=network.segmentation_id,
            external=network.network_type == "flat",
            mtu=network.mtu,
            subnets=tuple(_subnet(subnets[subnet_id]) for subnet_id in network.subnets if subnet_id in subnets),
            dhcp=dhcp.get(network.id),
            entries=tuple(entries[network.id]),
        )
    return made


def _subnet(subnet: Subnet) -> wire.Subnet:
    return wire.Subnet(
        id=subnet.id,
        cidr=subnet.cidr,
        ip_version=6 if subnet.ip_version == 6 else 4,
        gateway_ip=subnet.gateway_ip,
        enable_dhcp=subnet.enable_dhcp,
        dns_nameservers=subnet.dns_nameservers,
        host_routes=subnet.host_routes,
    )


def _entry(port: Port) -> wire.Entry:
    return wire.Entry(
        port_id=port.id,
        mac=port.mac_address,
        fixed_ips=port.fixed_ips,
        host=port.host,
        device_id=port.device_id,
        device_owner=port.device_owner,
        hostname=port.hostname,
    )


async def _groups(tx: Tx, group_ids: list[str], wanted: Mapping[str, int]) -> dict[str, msgspec.Struct]:
    rules: dict[str, list[wire.Rule]] = {group_id: [] for group_id in group_ids}
    for rule in sorted(
        await RULES.within(tx, "security_group_id", group_ids), key=lambda rule: (rule.created_at, rule.id)
    ):
        rules[rule.security_group_id].append(
            wire.Rule(
                id=rule.id,
                direction="ingress" if rule.direction == "ingress" else "egress",
                ethertype="IPv6" if rule.ethertype == "IPv6" else "IPv4",
                protocol=rule.protocol,
                port_range_min=rule.port_range_min,
                port_range_max=rule.port_range_max,
                remote_ip_prefix=rule.remote_ip_prefix,
                remote_group_id=rule.remote_group_id,
            )
        )
    members: dict[str, set[str]] = {group_id: set() for group_id in group_ids}
    rows = await MEMBERS.within(tx, "group_id", group_ids)
    ports = {port.id: port for port in await PORTS.within(tx, "id", sorted({row.port_id for row in rows}))}
    for row in rows:
        port = ports[row.port_id]
        members[row.group_id] |= {address for _, address in port.fixed_ips}
        members[row.group_id] |= {address for address, _ in port.allowed_address_pairs}
    made: dict[str, msgspec.Struct] = {}
    for group in await GROUPS.within(tx, "id", group_ids):
        key = f"group/{group.id}"
        made[key] = wire.Group(
            id=group.id,
            revision=wanted[key],
            rules=tuple(rules[group.id]),
            members=tuple(sorted(members[group.id])),
        )
    return made


async def _routers(
    tx: Tx, needed: Needs, router_ids: list[str], wanted: Mapping[str, int]
) -> dict[str, msgspec.Struct]:
    legs = [leg for leg in needed.legs if leg.device_id in router_ids]
    network_ids = sorted({leg.network_id for leg in legs})
    subnets = {subnet.id: subnet for subnet in await SUBNETS.within(tx, "network_id", network_ids)}
    floating: dict[str, list[wire.FloatingIp]] = {router_id: [] for router_id in router_ids}
    for item in sorted(await FLOATING_IPS.within(tx, "router_id", router_ids), key=lambda item: item.id):
        floating[str(item.router_id)].append(
            wire.FloatingIp(id=item.id, floating_ip=item.floating_ip_address, fixed_ip=str(item.fixed_ip_address))
        )
    made: dict[str, msgspec.Struct] = {}
    for router_id in router_ids:
        router, key = needed.routers[router_id], f"router/{router_id}"
        mine = sorted((leg for leg in legs if leg.device_id == router_id), key=lambda leg: leg.id)
        gateway = next((leg for leg in mine if leg.device_owner == model.ROUTER_GATEWAY), None)
        made[key] = wire.Router(
            id=router_id,
            revision=wanted[key],
            admin_state_up=router.admin_state_up,
            legs=tuple(_leg(leg, subnets) for leg in mine if leg is not gateway),
            gateway=None if gateway is None else _gateway(router, gateway, subnets),
            floating_ips=tuple(floating[router_id]),
            routes=router.routes,
        )
    return made


def _leg(port: Port, subnets: Mapping[str, Subnet]) -> wire.RouterLeg:
    return wire.RouterLeg(
        port_id=port.id, network_id=port.network_id, mac=port.mac_address, addresses=_with_lengths(port, subnets)
    )


def _gateway(router: Router, port: Port, subnets: Mapping[str, Subnet]) -> wire.RouterGateway:
    on = [subnets[subnet_id] for subnet_id, _ in port.fixed_ips]
    return wire.RouterGateway(
        port_id=port.id,
        network_id=port.network_id,
        mac=port.mac_address,
        addresses=_with_lengths(port, subnets),
        via=next((subnet.gateway_ip for subnet in on if subnet.ip_version == 4), None),
        enable_snat=router.enable_snat,
    )


def _with_lengths(port: Port, subnets: Mapping[str, Subnet]) -> tuple[str, ...]:
    return tuple(f"{address}/{ip_network(subnets[subnet_id].cidr).prefixlen}" for subnet_id, address in port.fixed_ips)
