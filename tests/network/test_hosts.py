"""Connections of hosts, what they are told, and what is believed of what they say."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kilostack.core import errors
from kilostack.core.world import RealWorld
from kilostack.network.app.liveness import Liveness
from kilostack.network.model import placement
from kilostack.network.model.records import Gateway, Host
from kilostack.network.store.tables import FLOATING_IPS, NETWORKS, PORTS, ROUTERS
from kilostack.wire.hosts import NETWORK, Beat, Disconnect, Reported
from kilostack.wire.network import PortReport, RouterReport
from tests.http.cloud import PROJECT
from tests.network.cloud import ADMIN, MEMBER, Cloud, decoded

_SERVER = "5ea7e55e-0000-4000-8000-000000000001"


async def _report(cloud: Cloud, host: str, *reports: Any, epoch: int | None = None) -> None:
    raw = tuple(msgspec.Raw(msgspec.json.encode(report)) for report in reports)
    asked = Reported(host=host, epoch=cloud.epochs[host] if epoch is None else epoch, reports=raw)
    await cloud.call(NETWORK.report, asked)


async def test_a_router_waits_for_a_host_and_goes_to_the_one_with_fewest(cloud: Cloud) -> None:
    await cloud.bootstrap()
    (router,) = await cloud.db.read(ROUTERS.where)
    assert router.host == ""
    await cloud.connect("h1", "192.0.2.1")
    (router,) = await cloud.db.read(ROUTERS.where)
    assert router.host == "h1"
    await cloud.connect("h2", "192.0.2.2")
    item = {"name": "r2", "project_id": PROJECT, "external_gateway_info": {"network_id": router.gateway_network_id}}
    (second,) = await cloud.service.routers.create(MEMBER, [item])
    assert second.host == "h2"
    state = decoded(await cloud.state("h1"))
    made = state[f"router/{router.id}"]
    assert made.legs[0].addresses == ("10.0.0.1/26",)
    assert made.gateway.via == "172.24.4.1"
    assert made.gateway.enable_snat
    assert state["fabric"].tunnels == {"h2": "192.0.2.2"}
    assert f"router/{second.id}" not in state


async def test_a_host_is_told_what_its_guests_need(cloud: Cloud) -> None:
    for host in ("h1", "h2"):
        await cloud.connect(host)
    network_id, _ = await cloud.network()
    group = await cloud.service.groups.ensure_default(PROJECT)
    bound = await cloud.bind(_SERVER, "h1", network_id, security_groups=(group,))
    state = await cloud.state("h1")
    objects = decoded(state)
    port = objects[f"port/{bound.ports[0].port_id}"]
    network = objects[f"network/{network_id}"]
    assert (port.mac, port.security_groups) == (bound.ports[0].mac, (group,))
    assert (network.vni, network.mtu, network.external) == (1001, 1450, False)
    assert network.dhcp.fixed_ips[0][1] == "10.1.0.2"
    assert [(entry.host, entry.hostname) for entry in network.entries] == [("h1", _SERVER[:8])]
    assert objects[f"group/{group}"].members == (port.fixed_ips[0][1],)
    assert set(decoded(await cloud.state("h2"))) == {"fabric"}
    nothing = await cloud.state("h1", state.revisions)
    assert (nothing.changed, nothing.removed) == ({}, ())


async def test_reports_become_states(cloud: Cloud) -> None:
    await cloud.bootstrap()
    await cloud.connect("h1")
    (router,) = await cloud.db.read(ROUTERS.where)
    network = next(n for n in await cloud.db.read(NETWORKS.where) if not n.external)
    bound = await cloud.bind(_SERVER, "h1", network.id)
    port_id = bound.ports[0].port_id
    item = {"floating_network_id": router.gateway_network_id, "project_id": PROJECT, "port_id": port_id}
    (floating,) = await cloud.service.floating_ips.create(MEMBER, [item])
    assert floating.status == "DOWN"
    seen = RouterReport(id=router.id, revision=9, floating_ips=(floating.floating_ip_address,), state="active")
    await _report(cloud, "h1", PortReport(id=port_id, revision=1, state="active"), seen)

    async def states() -> list[str]:
        port = await cloud.db.read(lambda tx: PORTS.get(tx, id=port_id))
        ip = await cloud.db.read(lambda tx: FLOATING_IPS.get(tx, id=floating.id))
        leg = (await cloud.db.read(lambda tx: PORTS.where(tx, device_owner="network:router_interface")))[0]
        (found,) = await cloud.db.read(ROUTERS.where)
        return [port.status, ip.status, leg.status, found.status]

    assert await states() == ["ACTIVE", "ACTIVE", "ACTIVE", "ACTIVE"]
    before = await cloud.state("h1")
    down = RouterReport(id=router.id, revision=9, state="down")
    await _report(cloud, "h1", PortReport(id=port_id, revision=1, state="down"), down)
    assert await states() == ["DOWN", "DOWN", "DOWN", "DOWN"]
    # what a host has said is no news to it
    assert (await cloud.state("h1", before.revisions)).changed == {}


async def test_a_router_that_is_switched_off_keeps_its_ports_wired(cloud: Cloud) -> None:
    await cloud.bootstrap()
    await cloud.connect("h1")
    (router,) = await cloud.db.read(ROUTERS.where)
    await cloud.service.routers.update(MEMBER, router.id, {"admin_state_up": False}, None)
    await _report(cloud, "h1", RouterReport(id=router.id, revision=9, state="down"))
    legs = await cloud.db.read(lambda tx: PORTS.where(tx, device_id=router.id))
    assert {leg.status for leg in legs} == {"ACTIVE"}


async def test_only_the_host_of_a_port_is_believed(cloud: Cloud) -> None:
    network_id, _ = await cloud.network()
    await cloud.connect("h1")
    await cloud.connect("h2")
    bound = await cloud.bind(_SERVER, "h1", network_id)
    report = PortReport(id=bound.ports[0].port_id, revision=1, state="active")
    await _report(cloud, "h2", report, PortReport(id="nothing", revision=1, state="active"))
    assert (await cloud.db.read(lambda tx: PORTS.get(tx, id=bound.ports[0].port_id))).status == "DOWN"
    old = cloud.epochs["h1"]
    assert await cloud.connect("h1") == old + 1
    with pytest.raises(errors.Refused, match="another connection"):
        await _report(cloud, "h1", report, epoch=old)
    await _report(cloud, "h1", report)
    assert (await cloud.db.read(lambda tx: PORTS.get(tx, id=bound.ports[0].port_id))).status == "ACTIVE"


async def test_agents_are_alive_while_their_gateway_beats(cloud: Cloud) -> None:
    await cloud.connect("h1")
    agents = await cloud.service.agents.every(ADMIN)
    assert [agent.kind.binary for agent in agents] == [
        "neutron-linuxbridge-agent",
        "neutron-dhcp-agent",
        "neutron-l3-agent",
        "neutron-metadata-agent",
    ]
    assert not any(agent.alive for agent in agents)
    await cloud.call(NETWORK.beat, Beat("g1", 1))
    assert all(agent.alive for agent in await cloud.service.agents.every(ADMIN))
    with pytest.raises(errors.Conflict, match="alive"):
        await cloud.service.agents.delete(ADMIN, agents[0].id)
    await cloud.call(NETWORK.disconnect, Disconnect("h1", cloud.epochs["h1"] - 1))
    assert all(agent.alive for agent in await cloud.service.agents.every(ADMIN))
    await cloud.call(NETWORK.disconnect, Disconnect("h1", cloud.epochs["h1"]))
    assert not any(agent.alive for agent in await cloud.service.agents.every(ADMIN))
    assert await cloud.service.agents.every(MEMBER) == []


def test_a_beat_that_stands_still_is_that_of_a_dead_gateway(world: RealWorld) -> None:
    host = Host(name="h", gateway="g", epoch=1, connected=True, address="", created_at=0, connected_at=0)
    at_once = Liveness(world, silence_s=0.0)
    at_once.observe({"g": Gateway(name="g", beat=1, at=0)})
    assert not at_once.is_alive(host)
    patient = Liveness(world)
    assert not patient.is_alive(host)
    patient.observe({"g": Gateway(name="g", beat=1, at=0)})
    assert patient.is_alive(host)
    assert not patient.is_alive(msgspec.structs.replace(host, connected=False))
    patient.observe({})
    assert not patient.is_alive(host)


async def test_a_dead_host_is_forgotten_and_its_routers_move(cloud: Cloud) -> None:
    await cloud.bootstrap()
    await cloud.connect("h1", "192.0.2.1")
    await cloud.connect("h2", "192.0.2.2")
    network_id, _ = await cloud.network("10.5.0.0/24")
    await cloud.bind(_SERVER, "h2", network_id)
    agents = {agent.host.name: agent for agent in await cloud.service.agents.every(ADMIN)}
    with pytest.raises(errors.Conflict, match="still has 1 ports"):
        await cloud.service.agents.delete(ADMIN, agents["h2"].id)
    await cloud.service.agents.delete(ADMIN, agents["h1"].id)
    (router,) = await cloud.db.read(ROUTERS.where)
    assert router.host == "h2"
    legs = await cloud.db.read(lambda tx: PORTS.where(tx, device_id=router.id))
    assert {leg.host for leg in legs} == {"h2"}
    assert decoded(await cloud.state("h2"))["fabric"].tunnels == {}


async def test_an_agent_that_is_down_for_service_gets_no_router(cloud: Cloud) -> None:
    await cloud.connect("h1")
    l3 = next(a for a in await cloud.service.agents.every(ADMIN) if a.kind.binary == "neutron-l3-agent")
    await cloud.service.agents.update(ADMIN, l3.id, {"admin_state_up": False})
    await cloud.bootstrap()
    (router,) = await cloud.db.read(ROUTERS.where)
    assert router.host == ""


def test_placement_is_even_and_decided_by_the_seed() -> None:
    assert placement.choose([], {}, 7) is None
    assert placement.choose(["b", "a"], {"a": 1}, 7) == "b"
    assert {placement.choose(["a", "b", "c"], {}, seed) for seed in range(3)} == {"a", "b", "c"}


async def test_the_first_networks_are_made_once(cloud: Cloud) -> None:
    await cloud.bootstrap()
    await cloud.bootstrap()
    found = await cloud.db.read(NETWORKS.where)
    assert sorted((n.name, n.external, n.mtu, n.network_type) for n in found) == [
        ("private", False, 1450, "vxlan"),
        ("public", True, 1500, "flat"),
    ]
    private = next(network for network in found if network.name == "private")
    (router,) = await cloud.db.read(ROUTERS.where)
    await cloud.service.routers.remove_interface(MEMBER, router.id, {"subnet_id": private.subnets[0]})
    await cloud.service.networks.delete(MEMBER, private.id, None)
    await cloud.bootstrap()
    assert [network.name for network in await cloud.db.read(NETWORKS.where)] == ["public"]


async def test_the_cost_of_a_port_does_not_depend_on_hosts(cloud: Cloud) -> None:
    network_id, _ = await cloud.network()
    counted = _Counting(cloud)
    costs = []
    for hosts in (1, 50):
        for number in range(hosts):
            await cloud.connect(f"h{number}", f"192.0.2.{number}")
            await cloud.bind(cloud.world.new_id(), f"h{number}", network_id)
        counted.statements = 0
        await cloud.bind(cloud.world.new_id(), "h0", network_id)
        costs.append(counted.statements)
    assert costs[0] == costs[1] < 40


class _Counting:
    """Counts the statements that the database is given from now on."""

    def __init__(self, cloud: Cloud) -> None:
        self.statements = 0
        cloud.db._writer.set_trace_callback(self._saw)  # type: ignore[attr-defined]

    def _saw(self, statement: str) -> None:
        self.statements += not statement.startswith(("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT", "--"))
