"""What a host is given: derived from the rows of networks, groups and routers, and never written per host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_network
from typing import Any

import msgspec
from sqlalchemy import select

from kilostack.network.model import port as model
from kilostack.network.model.records import FixedIp, Host, Port, Router, Subnet
from kilostack.network.store.changes import FABRIC
from kilostack.network.store.tables import (
    FLOATING_IPS,
    GROUPS,
    HOSTS,
    NETWORKS,
    PORTS,
    ROUTERS,
    RULES,
    SUBNETS,
    addresses,
    members,
    ports,
)
from kilostack.store.database import Tx
from kilostack.store.sql import InList, Query
from kilostack.wire import network as wire

# read column by column: a network may have thousands of ports, and one of them has changed
_ENTRIES = Query(
    select(
        ports.c.network_id,
        ports.c.id,
        ports.c.mac_address,
        ports.c.fixed_ips,
        ports.c.host,
        ports.c.device_id,
        ports.c.device_owner,
        ports.c.hostname,
    )
    .where(InList(ports.c.network_id, "networks"))
    .order_by(ports.c.id)
)
_MEMBER_ADDRESSES = Query(
    select(members.c.group_id, addresses.c.address)
    .join(addresses, addresses.c.port_id == members.c.port_id)
    .where(InList(members.c.group_id, "groups"))
)
_MEMBER_PAIRS = Query(
    select(members.c.group_id, ports.c.allowed_address_pairs)
    .join(ports, ports.c.id == members.c.port_id)
    .where(InList(members.c.group_id, "groups"), ports.c.allowed_address_pairs != "[]")
)
_fixed_ips = msgspec.json.Decoder(tuple[FixedIp, ...]).decode
_pairs = msgspec.json.Decoder(tuple[tuple[str, str], ...]).decode


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
    guests = {port.id: port for port in bound if model.is_guest(port)}
    routers = {router.id: router for router in await ROUTERS.where(tx, host=host)}
    legs = [port for port in bound if model.router_of(port) in routers]
    group_ids = {group_id for port in guests.values() for group_id in port.security_groups}
    rules = await RULES.within(tx, "security_group_id", sorted(group_ids))
    group_ids |= {rule.remote_group_id for rule in rules if rule.remote_group_id}
    keys = {FABRIC}
    keys |= {f"port/{port_id}" for port_id in guests}
    keys |= {f"router/{router_id}" for router_id in routers}
    keys |= {f"network/{port.network_id}" for port in [*guests.values(), *legs]}
    keys |= {f"group/{group_id}" for group_id in group_ids}
    return Needs(host, guests, routers, legs, frozenset(keys))


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
    for network_id, *row in await tx.all(_ENTRIES, networks=msgspec.json.encode(network_ids).decode()):
        entry = _entry(row)
        if entry.device_owner == model.DHCP:
            dhcp[network_id] = entry
        elif entry.device_owner != model.FLOATING_IP:
            entries[network_id].append(entry)
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


def _entry(row: Sequence[Any]) -> wire.Entry:
    port_id, mac, fixed_ips, place, device_id, device_owner, hostname = row
    return wire.Entry(
        port_id=port_id,
        mac=mac,
        fixed_ips=_fixed_ips(fixed_ips),
        host=place,
        device_id=device_id,
        device_owner=device_owner,
        hostname=hostname,
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
    reached: dict[str, set[str]] = {group_id: set() for group_id in group_ids}
    wanted_ids = msgspec.json.encode(group_ids).decode()
    for group_id, address in await tx.all(_MEMBER_ADDRESSES, groups=wanted_ids):
        reached[group_id].add(address)
    for group_id, pairs in await tx.all(_MEMBER_PAIRS, groups=wanted_ids):
        reached[group_id] |= {address for address, _ in _pairs(pairs)}
    made: dict[str, msgspec.Struct] = {}
    for group in await GROUPS.within(tx, "id", group_ids):
        key = f"group/{group.id}"
        made[key] = wire.Group(
            id=group.id,
            revision=wanted[key],
            rules=tuple(rules[group.id]),
            members=tuple(sorted(reached[group.id])),
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
