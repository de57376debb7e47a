"""The network part over a simulated host: reports, readiness, trouble, restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from kilostack.agents.network.part import NetworkPart, Report
from kilostack.core.world import RealWorld
from kilostack.drivers.net import names
from kilostack.drivers.net.simulated import SimulatedHostNetwork, SimulatedNetworks
from kilostack.wire.network import PortReport, RouterReport
from tests.agents.network.test_network_plan import OBJECTS, PORT, SITE
from tests.drivers.net.site import NET, ROUTER

SHORT = names.short(PORT)


class Agent:
    """One process's network part on a host."""

    def __init__(self, world: RealWorld, host: SimulatedHostNetwork) -> None:
        self.world, self.host = world, host
        self.part = NetworkPart(world, SimulatedNetworks(world, host), lambda _: None)
        self.told: list[Report] = []
        self.task = world.spawn(self.part.run(self.told.append), "network part")

    async def until(self, condition: Callable[[], object]) -> None:
        async with self.world.timeout(10):
            while not condition():
                await self.world.sleep(0.005)

    async def kill(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@pytest.fixture
def host() -> SimulatedHostNetwork:
    return SimulatedHostNetwork()


@pytest.fixture
async def agent(world: RealWorld, host: SimulatedHostNetwork) -> AsyncIterator[Agent]:
    made = Agent(world, host)
    yield made
    await made.kill()


UP = PortReport(id=PORT, revision=1, state="active")
ROUTING = RouterReport(id=ROUTER, revision=1, floating_ips=(), state="active")


async def test_ports_and_routers_come_up_and_are_reported_once(agent: Agent, host: SimulatedHostNetwork) -> None:
    agent.part.changed(OBJECTS, True)
    await agent.part.wait_ready([PORT])
    assert SHORT in host.ports
    assert host.policy is not None
    await agent.until(lambda: ROUTING in agent.told)
    assert sorted(agent.told, key=str) == sorted([UP, ROUTING], key=str), "something was down in between"
    assert set(agent.part.reports()) == {UP, ROUTING}
    changes = host.changes
    agent.part.changed(dict(OBJECTS), True)
    await agent.until(lambda: not agent.part._wake.is_set())
    assert host.changes == changes


async def test_nothing_is_touched_before_the_state_is_complete(agent: Agent, host: SimulatedHostNetwork) -> None:
    host.ports[SHORT] = SITE.port(10)
    agent.part.changed({}, False)
    await agent.world.sleep(0.1)
    assert host.ports
    assert host.changes == 0
    agent.part.changed({}, True)
    await agent.until(lambda: not host.ports)


async def test_what_fails_is_reported_down_and_tried_again(agent: Agent, host: SimulatedHostNetwork) -> None:
    host.failures["ensure_port"] = 1
    agent.part.changed(OBJECTS, True)
    await agent.part.wait_ready([PORT])
    mine = [report for report in agent.told if report.id == PORT]
    assert [report.state for report in mine] == ["down", "active"]
    assert names.short(ROUTER) in host.routers, "a port's trouble kept the router away"


async def test_a_tap_stays_until_its_guest_has_given_it_back(agent: Agent, host: SimulatedHostNetwork) -> None:
    agent.part.changed(OBJECTS, True)
    await agent.part.wait_ready([PORT])
    host.in_use.add(SHORT)
    agent.part.changed({}, True)
    await agent.until(lambda: not host.networks)
    assert SHORT in host.ports
    agent.part.release([PORT])
    await agent.until(lambda: not host.ports)


async def test_a_guest_that_stops_keeps_its_tap(agent: Agent, host: SimulatedHostNetwork) -> None:
    agent.part.changed(OBJECTS, True)
    await agent.part.wait_ready([PORT])
    agent.part.release([PORT])
    await agent.part.wait_ready([PORT])
    await agent.until(lambda: not agent.part._wake.is_set())
    assert SHORT in host.ports


async def test_a_new_process_takes_over_without_changing_anything(
    agent: Agent, world: RealWorld, host: SimulatedHostNetwork
) -> None:
    agent.part.changed(OBJECTS, True)
    await agent.until(lambda: ROUTING in agent.told)
    await agent.kill()
    changes = host.changes
    later = Agent(world, host)
    later.part.changed(OBJECTS, True)
    await later.part.wait_ready([PORT])
    await later.until(lambda: ROUTING in later.told)
    assert host.changes == changes
    await later.kill()


async def test_down_leaves_nothing(agent: Agent, host: SimulatedHostNetwork) -> None:
    agent.part.changed(OBJECTS, True)
    await agent.until(lambda: ROUTING in agent.told)
    await agent.kill()
    await agent.part.down()
    assert not (host.networks or host.ports or host.dhcp or host.routers or host.policy)


async def test_a_change_of_the_network_does_not_make_its_ports_flap(agent: Agent) -> None:
    agent.part.changed(OBJECTS, True)
    await agent.part.wait_ready([PORT])
    more = type(SITE)(homes={**SITE.homes, 12: "there"})
    agent.part.changed({**OBJECTS, f"network/{NET}": more.network("here")}, True)
    await agent.until(lambda: not agent.part._wake.is_set())
    await agent.world.sleep(0.1)
    assert agent.told.count(UP) == 1
    assert all(report.state == "active" for report in agent.told if report.id == PORT)
