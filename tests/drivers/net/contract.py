"""What every `NetworkDriver` promises the agent, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kilostack.drivers.net import names
from kilostack.drivers.net.port import FilterInput, NetworkDriver, NetworkFailed
from tests.drivers.net.site import GROUP, NET, PUBLIC, ROUTER, Site

#: Makes a driver on one and the same host, as a process that starts anew does.
MakeDriver = Callable[[], NetworkDriver]


class NetworkDriverContract:
    """Inherit and give fixtures `make` (a `MakeDriver`) and `site`."""

    async def _all(self, driver: NetworkDriver, site: Site) -> None:
        network = site.network()
        await driver.ensure_host()
        await driver.ensure_network(network, {})
        await driver.ensure_port(site.port(10), network)
        await driver.ensure_filter(
            FilterInput(ports={site.port(10).id: site.port(10)}, networks={NET: network}, groups={GROUP: site.group()})
        )
        await driver.ensure_dhcp(network)
        await driver.ensure_router(site.router(), {NET: network, PUBLIC: site.public()})

    async def test_what_is_ensured_is_observed(self, make: MakeDriver, site: Site) -> None:
        driver = make()
        await self._all(driver, site)
        observed = await driver.observe()
        assert observed.networks == {names.short(NET)}
        assert observed.dhcp == {names.short(NET)}
        assert observed.routers == {names.short(ROUTER)}
        assert dict(observed.ports) == {names.short(site.port(10).id): False}

    async def test_each_verb_may_be_called_again(self, make: MakeDriver, site: Site) -> None:
        driver = make()
        await self._all(driver, site)
        before = await driver.observe()
        await self._all(driver, site)
        assert await driver.observe() == before

    async def test_a_new_process_finds_what_an_earlier_one_made(self, make: MakeDriver, site: Site) -> None:
        await self._all(make(), site)
        later = make()
        before = await later.observe()
        assert before.ports
        await self._all(later, site)
        assert await later.observe() == before

    async def test_removal_leaves_nothing_and_may_be_called_again(self, make: MakeDriver, site: Site) -> None:
        await self._all(make(), site)
        driver = make()
        for _ in range(2):
            await driver.remove_router(names.short(ROUTER))
            await driver.remove_port(names.short(site.port(10).id))
            await driver.remove_dhcp(names.short(NET))
            await driver.remove_network(names.short(NET))
            await driver.remove_host()
        observed = await driver.observe()
        assert not (observed.networks or observed.dhcp or observed.routers or observed.ports)

    async def test_a_port_needs_its_network(self, make: MakeDriver, site: Site) -> None:
        driver = make()
        await driver.ensure_host()
        with pytest.raises(NetworkFailed):
            await driver.ensure_port(site.port(10), site.network())
        assert not (await driver.observe()).ports
