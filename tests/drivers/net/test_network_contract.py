"""Both network drivers under their one contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kilostack.core.world import RealWorld
from kilostack.drivers.net.flows import Flow
from kilostack.drivers.net.simulated import SimulatedHostNetwork, SimulatedNetworks
from tests.drivers.net.contract import MakeDriver, NetworkDriverContract
from tests.drivers.net.lab import Lab
from tests.drivers.net.site import NET, Site, allow


class TestSimulatedNetworks(NetworkDriverContract):
    @pytest.fixture
    def site(self) -> Site:
        return Site(homes={10: "here", 11: "there"})

    @pytest.fixture
    def host(self) -> SimulatedHostNetwork:
        return SimulatedHostNetwork()

    @pytest.fixture
    def make(self, world: RealWorld, host: SimulatedHostNetwork) -> MakeDriver:
        return lambda: SimulatedNetworks(world, host)

    async def test_the_twin_lets_through_what_the_rules_say(
        self, make: MakeDriver, host: SimulatedHostNetwork, site: Site
    ) -> None:
        site.rules = (allow("tcp", 22),)
        await self._all(make(), site)
        peer, own = site.address(11), site.address(10)
        assert host.connects(Flow(source=peer, target=own, protocol=6, port=22), NET)
        assert not host.connects(Flow(source=peer, target=own, protocol=6, port=23), NET)
        assert host.connects(Flow(source=own, target=peer, protocol=6, port=23), NET)


@pytest.mark.root
class TestLinuxNetworks(NetworkDriverContract):
    @pytest.fixture
    def lab(self) -> Iterator[Lab]:
        made = Lab(1)
        yield made
        made.close()

    @pytest.fixture
    def site(self, lab: Lab) -> Site:
        lab.site.homes = {10: lab.hosts[0], 11: "there"}
        return lab.site

    @pytest.fixture
    def make(self, lab: Lab) -> MakeDriver:
        return lambda: lab.driver(lab.hosts[0])
