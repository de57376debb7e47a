"""What a gateway does for one host at a time: states, reports, epochs, comparisons."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from kilostack.core.errors import BadRequest
from kilostack.gateway.lane import CHECK_S
from kilostack.wire import agent
from kilostack.wire.compute import GuestReport, HostFacts
from kilostack.wire.framing import MemoryChannel
from tests.gateway.rack import Rack, simulate

_FACTS = HostFacts(hostname="h1", vcpus=1, memory_mib=1, disk_gib=1, accelerator="simulated")


def _hello(known: dict[str, dict[str, int]] | None = None, protocol: int = agent.PROTOCOL) -> bytes:
    hello = agent.Hello(protocol=protocol, release="1", host="h1", facts=_FACTS, known=known or {})
    return agent.write(hello)


async def _next(channel: MemoryChannel, kind: type) -> Any:
    """The next message of a kind; others are passed over."""
    while (frame := await channel.receive()) is not None:
        message = agent.read_from_gateway(frame)
        if isinstance(message, kind):
            return message
    return None


async def _opened(rack: Rack, known: dict[str, dict[str, int]] | None = None) -> MemoryChannel:
    channel = rack.dial()
    await channel.send(_hello(known))
    assert await _next(channel, agent.Welcome)
    return channel


async def _states(channel: MemoryChannel) -> dict[str, agent.State]:
    first = [await _next(channel, agent.State), await _next(channel, agent.State)]
    return {state.service: state for state in first}


def _report(name: str) -> agent.Reports:
    raw = agent.report_json(GuestReport(id=name, generation=1, state="running"))
    return agent.Reports(service="compute", number=1, reports=(raw,))


def test_a_host_that_knows_something_is_told_only_what_differs() -> None:
    async def scene(rack: Rack) -> None:
        compute = rack.services["compute"]
        compute.want("h1", "same", 1)
        compute.want("h1", "newer", 2)
        channel = await _opened(rack, {"compute": {"guest/same": 1, "guest/newer": 1, "guest/gone": 4}})
        states = await _states(channel)
        assert set(states["compute"].changed) == {"guest/newer"}
        assert states["compute"].revisions == {"guest/newer": 2}
        assert states["compute"].removed == ("guest/gone",)
        assert not states["compute"].whole
        assert states["network"].whole, "a host that knows nothing gets everything"

    simulate(1, scene)


def test_after_everything_only_differences_are_sent() -> None:
    async def scene(rack: Rack) -> None:
        compute = rack.services["compute"]
        compute.want("h1", "a", 1)
        channel = await _opened(rack)
        assert set((await _states(channel))["compute"].changed) == {"guest/a"}
        compute.want("h1", "b", 1)
        state = await _next(channel, agent.State)
        assert (set(state.changed), state.whole) == ({"guest/b"}, False)
        await channel.send(agent.write(agent.Resend("compute")))
        state = await _next(channel, agent.State)
        assert (set(state.changed), state.whole) == ({"guest/a", "guest/b"}, True)
        compute.want("h1", "a", None)
        state = await _next(channel, agent.State)
        assert (dict(state.changed), state.removed, state.whole) == ({}, ("guest/a",), False)

    simulate(18, scene)


@pytest.mark.parametrize("seed", range(40))
def test_a_change_made_while_its_object_is_on_the_way_is_not_lost(seed: int) -> None:
    async def scene(rack: Rack) -> None:
        rack.call_s = 0.3
        host = rack.add_host("h1")
        await rack.until(rack.is_settled)
        for step in range(6):
            rack.services["network"].want("h1", f"p{step}", 1)
            await asyncio.sleep(rack.chance.uniform(0, 0.5))
            rack.services["network"].want("h1", f"p{step}", 2)
            await rack.until(lambda step=step: host.disks["network"].get(f"p{step}") == 2)  # type: ignore[misc]

    simulate(seed, scene)


def test_a_change_reaches_only_the_host_that_it_concerns_and_at_once() -> None:
    async def scene(rack: Rack) -> None:
        first, second = rack.add_host("h1"), rack.add_host("h2")
        rack.services["compute"].want("h1", "a", 1)
        await rack.until(rack.is_settled)
        asked = rack.services["compute"].asked
        asked.clear()
        before = second.parts["compute"].calls
        rack.services["compute"].want("h1", "b", 1)
        started = rack.loop.time()
        await rack.until(lambda: "b" in first.disks["compute"])
        assert rack.loop.time() - started < 0.2, "the hint is not waited for"
        assert set(asked) == {"h1"}
        assert second.parts["compute"].calls == before

    simulate(2, scene)


def test_without_any_hint_changes_come_within_a_second() -> None:
    async def scene(rack: Rack) -> None:
        host = rack.add_host("h1")
        await rack.until(rack.is_settled)
        rack.services["compute"].changed = lambda: None
        started = rack.loop.time()
        rack.services["compute"].want("h1", "a", 1)
        await rack.until(lambda: "a" in host.disks["compute"])
        assert rack.loop.time() - started < 1.0

    simulate(3, scene)


def test_the_newer_connection_of_a_host_takes_the_place_of_the_older() -> None:
    async def scene(rack: Rack) -> None:
        first = await _opened(rack)
        await _states(first)
        second = await _opened(rack)
        assert await _next(first, agent.Ping) is None, "the first one has ended"
        await _states(second)
        assert rack.services["compute"].epochs["h1"] == 2
        assert rack.services["compute"].connected == {"h1": rack.gateway.id}
        second.close()
        await rack.until(lambda: not rack.services["compute"].connected)

    simulate(4, scene)


@pytest.mark.parametrize("seed", range(20))
def test_a_host_that_connects_anew_while_it_connects_keeps_its_newer_connection(seed: int) -> None:
    async def scene(rack: Rack) -> None:
        rack.call_s = 1.0
        await _opened(rack)
        await asyncio.sleep(rack.chance.uniform(0, 1))
        channel = await _opened(rack)
        await channel.send(agent.write(_report("a")))
        assert await _next(channel, agent.Accepted) is not None

    simulate(seed, scene)


def test_a_report_with_an_old_epoch_ends_the_connection() -> None:
    async def scene(rack: Rack) -> None:
        channel = await _opened(rack)
        await _states(channel)
        rack.services["compute"].epochs["h1"] += 1
        await channel.send(agent.write(_report("a")))
        assert await _next(channel, agent.Accepted) is None
        assert not rack.services["compute"].seen

    simulate(5, scene)


def test_reports_wait_for_a_service_that_is_away() -> None:
    async def scene(rack: Rack) -> None:
        rack.away = {"compute"}
        channel = await _opened(rack)
        await channel.send(agent.write(_report("a")))
        await asyncio.sleep(2)
        rack.away = set()
        accepted = await _next(channel, agent.Accepted)
        assert (accepted.service, accepted.number) == ("compute", 1)
        assert set(rack.services["compute"].seen["h1"]) == {"a"}

    simulate(6, scene)


@pytest.mark.parametrize("error", [BadRequest("what is that?"), KeyError("a defect")])
def test_one_report_that_cannot_be_taken_does_not_hold_up_the_others(error: Exception) -> None:
    def refuse(report: dict[str, Any]) -> None:
        if report["id"] == "bad":
            raise error

    async def scene(rack: Rack) -> None:
        rack.services["compute"].refuse = refuse
        channel = await _opened(rack)
        raws = [_report(name).reports[0] for name in ("a", "bad", "b")]
        await channel.send(agent.write(agent.Reports(service="compute", number=9, reports=tuple(raws))))
        accepted = await _next(channel, agent.Accepted)
        assert accepted.number == 9
        assert set(rack.services["compute"].seen["h1"]) == {"a", "b"}

    simulate(7, scene)


def test_a_stranger_and_another_protocol_are_told_why() -> None:
    async def scene(rack: Rack) -> None:
        for opening in (b"GET / HTTP/1.1", _hello(protocol=99)):
            channel = rack.dial()
            await channel.send(opening)
            refusal = await _next(channel, agent.Refusal)
            assert refusal.reason
            assert await channel.receive() is None
        silent = rack.dial()
        assert await silent.receive() is None, "whoever says nothing is not waited for for ever"

    simulate(8, scene)


def test_a_silent_host_is_taken_for_gone() -> None:
    async def scene(rack: Rack) -> None:
        channel = await _opened(rack)
        await _states(channel)
        pings = 0
        while await _next(channel, agent.Ping) is not None:
            pings += 1
        assert pings >= 2
        await rack.until(lambda: not rack.services["network"].connected)

    simulate(9, scene)


def test_a_gateway_that_could_not_beat_lets_its_hosts_connect_anew() -> None:
    async def scene(rack: Rack) -> None:
        rack.add_host("h1")
        await rack.until(rack.is_settled)
        epoch = rack.services["network"].epochs["h1"]
        rack.away = {"compute"}
        await asyncio.sleep(7)
        rack.away = set()
        await rack.until(lambda: rack.services["network"].epochs["h1"] > epoch)
        await rack.until(rack.is_settled)

    simulate(10, scene)


def test_a_gateway_that_stops_says_that_its_hosts_are_gone() -> None:
    async def scene(rack: Rack) -> None:
        rack.add_host("h1")
        await rack.until(rack.is_settled)
        assert rack.gateway.hosts == ["h1"]
        rack.refuses_connections = True
        await rack.gateway.close()
        assert all(not service.connected for service in rack.services.values())
        assert rack.gateway.hosts == []

    simulate(11, scene)


def test_a_change_that_nobody_announced_is_found_by_the_comparison(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(rack: Rack) -> None:
        host = rack.add_host("h1")
        rack.services["compute"].want("h1", "a", 1)
        await rack.until(rack.is_settled)
        rack.services["compute"].desired["h1"]["guest/a"] = 2
        await asyncio.sleep(CHECK_S + 5)
        assert host.disks["compute"] == {"a": 2}

    with caplog.at_level(logging.WARNING):
        simulate(12, scene)
    assert "changes of compute for host h1 had not been noticed yet" in caplog.messages


def test_a_host_whose_memory_is_wrong_gets_everything_anew(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(rack: Rack) -> None:
        host = rack.add_host("h1")
        rack.services["compute"].want("h1", "a", 1)
        await rack.until(rack.is_settled)
        stream = host.runtime._streams["compute"]
        stream.objects["guest/a"] = (1, b"{}")
        await asyncio.sleep(CHECK_S + 5)
        assert stream.objects["guest/a"][1] != b"{}"

    with caplog.at_level(logging.WARNING):
        simulate(13, scene)
    assert "host h1 had a wrong state of compute" in caplog.messages
