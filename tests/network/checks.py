"""What must hold after every change: counted is what there is, nothing is had twice, hosts are told what is true."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import select

from kilostack.core.context import internal
from kilostack.network.app.host_calls import HostCalls
from kilostack.network.model.quota import COUNTED
from kilostack.network.store import tables
from kilostack.network.store.changes import FABRIC
from kilostack.network.store.tables import streams
from kilostack.store.database import Tx
from kilostack.store.sql import Query
from kilostack.wire.calls import Actor
from kilostack.wire.hosts import HostStateAsked
from tests.network.cloud import Cloud, decoded

_ACTOR = Actor(ctx=internal("req-check"))
_STREAMS = Query(select(streams.c.name, streams.c.revision))
_COUNTED_IN: dict[str, Any] = {
    "network": tables.NETWORKS,
    "subnet": tables.SUBNETS,
    "port": tables.PORTS,
    "router": tables.ROUTERS,
    "floatingip": tables.FLOATING_IPS,
    "security_group": tables.GROUPS,
    "security_group_rule": tables.RULES,
}


async def check_rows(tx: Tx) -> None:
    """The rows of one database agree with each other."""
    rows = {name: await records.where(tx) for name, records in _COUNTED_IN.items()}
    counted = {(u.project_id, name): getattr(u, name) for u in await tables.USAGE.where(tx) for name in COUNTED}
    live = Counter((row.project_id, name) for name, found in rows.items() for row in found if row.project_id)
    assert {key: count for key, count in counted.items() if count} == dict(live)

    ports = rows["port"]
    taken = sorted((a.subnet_id, a.address, a.port_id) for a in await tables.ADDRESSES.where(tx))
    assert taken == sorted((subnet, address, port.id) for port in ports for subnet, address in port.fixed_ips)
    assert len({(subnet, address) for subnet, address, _ in taken}) == len(taken)
    members = {(m.group_id, m.port_id) for m in await tables.MEMBERS.where(tx)}
    assert members == {(group, port.id) for port in ports for group in port.security_groups}
    assert len({(port.network_id, port.mac_address) for port in ports}) == len(ports)

    names = {"network": "network", "port": "port", "router": "router", "security_group": "group"}
    expected = {f"{key}/{row.id}" for name, key in names.items() for row in rows[name]}
    assert {name for name, _ in await tx.all(_STREAMS)} - {FABRIC} == expected

    by_network: dict[str, list[str]] = {network.id: [] for network in rows["network"]}
    for subnet in rows["subnet"]:
        by_network[subnet.network_id].append(subnet.id)
    for network in rows["network"]:
        assert sorted(network.subnets) == sorted(by_network[network.id])
        dhcp = [p for p in ports if p.network_id == network.id and p.device_owner == "network:dhcp"]
        with_dhcp = {s.id for s in rows["subnet"] if s.network_id == network.id and s.enable_dhcp}
        assert {subnet for port in dhcp for subnet, _ in port.fixed_ips} == with_dhcp
        assert len(dhcp) == bool(with_dhcp)
    held = {port.id for port in ports if port.device_owner == "network:floatingip"}
    assert held == {floating_ip.floating_port_id for floating_ip in rows["floatingip"]}


class Follower:
    """A host that follows its stream by differences, and is compared with one that has just come."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.known: dict[str, int] = {}
        self.objects: dict[str, Any] = {}
        self._meant: dict[tuple[str, int], Any] = {}

    async def follow(self, cloud: Cloud) -> set[str]:
        """Apply the difference, check it against the whole; the keys that changed or went."""
        state = await cloud.state(self.host, self.known)
        for key in state.removed:
            del self.known[key], self.objects[key]
        self.known |= state.revisions
        self.objects |= decoded(state)
        # a service that remembers nothing derives it all from the rows
        whole = await HostCalls(cloud.service._parts).state(HostStateAsked(host=self.host), _ACTOR)
        assert self.known == whole.revisions
        assert self.objects == decoded(whole)
        for key, value in self.objects.items():
            if key != FABRIC:
                assert self._meant.setdefault((key, self.known[key]), value) == value
        self._check_complete()
        return set(state.removed) | set(state.changed)

    def _check_complete(self) -> None:
        """Whatever an object refers to is there."""
        for key, value in self.objects.items():
            kind = key.partition("/")[0]
            if kind == "port":
                assert f"network/{value.network_id}" in self.objects
                assert all(f"group/{group}" in self.objects for group in value.security_groups)
            if kind == "router":
                legs = [*value.legs, *([value.gateway] if value.gateway else [])]
                assert all(f"network/{leg.network_id}" in self.objects for leg in legs)
