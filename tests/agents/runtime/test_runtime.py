"""An agent without a control plane, between two of them, and at its own end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from kilostack.agents.runtime.runtime import TRUST_JOURNAL_S
from kilostack.core.errors import Unavailable
from tests.gateway.rack import Host, Rack, simulate


async def _settled(rack: Rack) -> Host:
    """A host with one guest and one port, made and reported."""
    host = rack.add_host("h1")
    rack.services["compute"].want("h1", "a", 1)
    rack.services["network"].want("h1", "p", 1)
    await rack.until(rack.is_settled)
    await asyncio.sleep(0.1)
    return host


def test_a_restarted_agent_goes_by_its_journal_when_nobody_answers() -> None:
    async def scene(rack: Rack) -> None:
        host = await _settled(rack)
        rack.refuses_connections = True
        host.disks["compute"]["stray"] = 1
        rack.services["compute"].removed.add("stray")
        rack.world.crash()
        host.crash()
        await asyncio.sleep(TRUST_JOURNAL_S - 1)
        assert "stray" in host.disks["compute"], "it waits for word from the control plane first"
        await rack.until(lambda: host.disks["compute"] == {"a": 1}, 3)

    simulate(1, scene)


def test_an_agent_without_journal_and_control_plane_removes_nothing() -> None:
    async def scene(rack: Rack) -> None:
        host = await _settled(rack)
        rack.refuses_connections = True
        rack.world.crash()
        host.journal.content = None
        host.crash()
        await asyncio.sleep(60)
        assert host.disks == {"compute": {"a": 1}, "network": {"p": 1}}
        rack.refuses_connections = False
        rack.start_gateway()
        await rack.until(rack.is_settled)

    simulate(2, scene)


def test_what_was_removed_while_the_agent_was_away_goes_and_is_reported() -> None:
    async def scene(rack: Rack) -> None:
        host = await _settled(rack)
        host.world.crash()
        rack.services["compute"].want("h1", "a", None)
        rack.worlds.append(host.world)
        host.start()
        await rack.until(rack.is_settled)
        assert rack.services["compute"].seen["h1"]["a"]["state"] == "absent"

    simulate(3, scene)


def test_an_absence_whose_report_died_with_the_agent_is_told_by_the_next_one() -> None:
    async def scene(rack: Rack) -> None:
        host = await _settled(rack)
        rack.services["compute"].refuse = _unavailable
        rack.services["compute"].want("h1", "a", None)
        await rack.until(lambda: not host.disks["compute"])
        await asyncio.sleep(1)
        rack.services["compute"].refuse = lambda report: None
        host.crash()
        await rack.until(lambda: rack.services["compute"].seen["h1"]["a"]["state"] == "absent")

    simulate(4, scene)


def _unavailable(report: dict[str, Any]) -> None:
    raise Unavailable("not now")


def test_a_change_on_the_host_is_reported_once_the_control_plane_is_back() -> None:
    async def scene(rack: Rack) -> None:
        host = await _settled(rack)
        rack.refuses_connections = True
        rack.crash_gateway()
        host.disks["compute"]["a"] = 1
        host.parts["compute"]._tell(host.parts["compute"]._report_of("a", 1, "stopped"))
        await asyncio.sleep(10)
        rack.refuses_connections = False
        part = host.parts["compute"]
        part._good = lambda: "stopped"  # type: ignore[method-assign]
        await rack.until(lambda: rack.services["compute"].seen["h1"]["a"]["state"] == "stopped")

    simulate(5, scene)


def test_a_drain_stops_first_and_clears_when_the_parts_have_ended() -> None:
    async def scene(rack: Rack) -> None:
        host = await _settled(rack)
        await host.runtime.drain()
        assert set(host.drained[:2]) == {("stop compute", True), ("stop network", True)}
        assert host.drained[2:] == [("clear compute", False), ("clear network", False)]
        await rack.until(lambda: not rack.gateway.hosts)

    simulate(6, scene)


def test_an_end_leaves_everything_on_the_host() -> None:
    async def scene(rack: Rack) -> None:
        host = await _settled(rack)
        await host.runtime.end()
        await asyncio.sleep(30)
        assert host.disks == {"compute": {"a": 1}, "network": {"p": 1}}
        assert not host.runtime.is_connected

    simulate(7, scene)


def test_an_agent_that_is_ended_before_it_began_does_not_begin() -> None:
    async def scene(rack: Rack) -> None:
        host = rack.add_host("h1")
        await host.runtime.end()
        await asyncio.sleep(30)
        assert not rack.gateway.hosts

    simulate(8, scene)


def test_a_gateway_that_falls_silent_is_left_for_another() -> None:
    async def scene(rack: Rack) -> None:
        host = await _settled(rack)
        rack.wire_s = 0.0
        epoch = rack.services["compute"].epochs["h1"]
        rack.hold_frames = True
        await asyncio.sleep(25)
        rack.hold_frames = False
        await rack.until(lambda: rack.services["compute"].epochs["h1"] > epoch)
        assert host.runtime.is_connected

    simulate(10, scene)


def test_a_disk_that_is_full_keeps_nobody_from_working() -> None:
    async def scene(rack: Rack) -> None:
        host = await _settled(rack)
        host.journal.is_full = True
        before = host.journal.content
        rack.services["compute"].want("h1", "b", 1)
        await rack.until(rack.is_settled)
        assert host.journal.content == before
        host.journal.is_full = False
        await rack.until(lambda: host.journal.content != before)

    simulate(11, scene)


def test_what_an_agent_does_not_understand_does_not_stop_it() -> None:
    async def scene(rack: Rack) -> None:
        host = await _settled(rack)
        await rack.taken[-1].send(b'{"type":"from a newer release"}')
        rack.services["compute"].want("h1", "b", 1)
        await rack.until(rack.is_settled)
        assert rack.services["compute"].epochs["h1"] == 1
        assert host.runtime.is_connected

    simulate(12, scene)


def test_a_part_that_fails_ends_the_agent() -> None:
    async def scene(rack: Rack) -> None:
        host = rack.add_host("h1")

        async def fail(report: Callable[[Any], None]) -> None:
            raise ValueError("a defect")

        host.parts["network"].run = fail  # type: ignore[method-assign]
        with pytest.raises(ValueError, match="a defect"):
            await host.runtime.run()
        host.world.failures.clear()

    simulate(9, scene)
