"""Connections cut, processes killed and services away at any time: afterwards hosts and services agree, always."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tests.gateway.rack import Rack, simulate

_HOSTS = ("h1", "h2")


def _trouble(rack: Rack, step: int) -> None:
    """One random event."""
    chance = rack.chance
    host = rack.hosts[chance.choice(_HOSTS)]
    service = rack.services[chance.choice(["compute", "network"])]
    names = [key.partition("/")[2] for key in service.desired.get(host.name, {})]
    match chance.randrange(10):
        case 0 | 1 | 2:
            service.want(host.name, f"{host.name}-{service.name}-{step}", 1)
        case 3 if names:
            name = chance.choice(names)
            service.want(host.name, name, service.desired[host.name][f"{service.prefix}/{name}"] + 1)
        case 4 if names:
            service.want(host.name, chance.choice(names), None)
        case 5 | 6:
            rack.cut_any()
        case 7:
            host.crash()
        case 8:
            rack.crash_gateway()
        case 9:
            rack.away ^= {service.name}


async def _storm(rack: Rack) -> None:
    chance = rack.chance
    rack.failing = chance.choice((0.0, 0.05, 0.3))
    rack.call_s, rack.wire_s = chance.choice((0.001, 0.2)), chance.choice((0.001, 0.5))
    for name in _HOSTS:
        rack.add_host(name)
    for step in range(40):
        _trouble(rack, step)
        if chance.random() < 0.05:
            rack.hosts[chance.choice(_HOSTS)].journal.content = None
        await asyncio.sleep(chance.choice((0.0, 0.01, 0.3, 2.0)))
    rack.failing, rack.away = 0.0, set()
    here = dict.fromkeys(_HOSTS, rack.gateway.id)
    await rack.until(lambda: rack.is_settled() and all(service.connected == here for service in rack.services.values()))
    await asyncio.sleep(5)
    asked = [len(service.asked) for service in rack.services.values()]
    await asyncio.sleep(30)
    assert asked == [len(service.asked) for service in rack.services.values()], "a quiet rack asks for no state"


@pytest.mark.parametrize("seed", range(60))
def test_hosts_and_services_agree_after_a_storm(seed: int) -> None:
    simulate(seed, _storm)


@pytest.mark.parametrize("seed", range(5))
def test_the_comparison_every_ten_minutes_finds_nothing(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(rack: Rack) -> None:
        await _storm(rack)
        caplog.clear()
        await asyncio.sleep(1300)
        assert rack.is_settled()

    with caplog.at_level(logging.WARNING):
        simulate(1000 + seed, scene)
    assert not [record.message for record in caplog.records]


def test_one_seed_is_one_run() -> None:
    def run() -> list[object]:
        seen: list[object] = []

        async def scene(rack: Rack) -> None:
            await _storm(rack)
            seen.extend(
                [rack.loop.steps, rack.loop.time(), rack.services["compute"].seen, rack.services["network"].asked]
            )

        simulate(7, scene)
        return seen

    assert run() == run()
