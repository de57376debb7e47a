"""The compute part of an agent, on virtual time, with simulated guests, in many orders."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from kilostack.agents.guests.patience import DIED_TOO_OFTEN
from kilostack.drivers.guests.port import GuestFault, Stop
from kilostack.drivers.guests.simulated import Behaviour
from kilostack.wire.compute import Guest, GuestReport, Nic
from tests.agents.guests.bench import OTHER, Bench, absent, running, simulated, stopped
from tests.agents.guests.test_plan import GUEST, guest


@simulated
async def test_a_wanted_guest_is_started_and_told_once(bench: Bench) -> None:
    wanted = guest(nics=(Nic(port_id="port", network_id="net", mac="m", tap="tapport", mtu=1450),))
    await bench.running(wanted)
    await asyncio.sleep(100)
    assert bench.told == [running(wanted)]
    assert bench.part.reports() == [running(wanted)]
    assert bench.ports.asked == [("port",)]


@simulated
async def test_nothing_is_done_before_the_desired_state_is_complete(bench: Bench) -> None:
    await bench.running(guest())
    bench.crash()
    bench.want(guest(id=OTHER), complete=False)
    await asyncio.sleep(100)
    assert {name: there.stop for name, there in bench.machine.guests.items()} == {GUEST: None}
    bench.want(guest(id=OTHER))
    await bench.until_told(running(guest(id=OTHER)))
    await bench.until_told(absent(0))
    assert list(bench.machine.guests) == [OTHER]


@simulated
async def test_a_guest_waits_for_its_ports(bench: Bench) -> None:
    bench.ports.ready.clear()
    bench.want(guest())
    await asyncio.sleep(20)
    assert bench.told == []
    bench.ports.ready.set()
    await bench.until_told(running(guest()))


@simulated
async def test_ports_that_never_come_are_told_as_a_fault(bench: Bench) -> None:
    bench.ports.ready.clear()
    bench.want(guest())
    await bench.until(lambda: bench.last() is not None)
    report = bench.last()
    assert report is not None
    assert (report.state, report.fault) == ("failed", "The guest's network was not ready in time.")
    bench.ports.ready.set()
    await bench.until_told(running(guest()))


@simulated
async def test_power_off_and_on(bench: Bench) -> None:
    await bench.running(guest())
    off = guest(power="off", generation=2)
    bench.want(off)
    await bench.until_told(stopped(off))
    assert bench.machine.guests[GUEST].stop is Stop.ASKED
    await bench.running(guest(generation=3, boot=2))


@simulated
async def test_a_guest_that_is_wanted_off_gets_its_disk(bench: Bench) -> None:
    off = guest(power="off", boot=0)
    bench.want(off)
    await bench.until_told(stopped(off))


@simulated
async def test_each_boot_count_is_one_run(bench: Bench) -> None:
    await bench.running(guest())
    for count, kind in ((2, "soft"), (3, "hard"), (6, "soft")):
        await bench.running(guest(generation=count, boot=count, boot_kind=kind))
        assert bench.machine.guests[GUEST].boot == count
    assert [report.boot for report in bench.told] == [1, 2, 3, 6]


@simulated
async def test_a_hard_reboot_does_not_wait_for_a_soft_one(bench: Bench) -> None:
    bench.machine.behaviour = replace(bench.machine.behaviour, hears_power_button=False)
    await bench.running(guest(stop_timeout_s=1000))
    bench.want(guest(generation=2, boot=2, boot_kind="soft", stop_timeout_s=1000))
    await asyncio.sleep(10)
    begun = asyncio.get_running_loop().time()
    await bench.running(guest(generation=3, boot=3, stop_timeout_s=1000))
    assert asyncio.get_running_loop().time() - begun < 5


@simulated
async def test_a_guest_that_stops_itself_is_left_alone_until_its_boot_count_rises(bench: Bench) -> None:
    await bench.running(guest())
    bench.machine.end(GUEST, Stop.ITSELF)
    await bench.until_told(stopped(guest(), itself=True))
    bench.crash()
    bench.want(guest(generation=2))
    await bench.until_told(stopped(guest(generation=2), itself=True))
    await asyncio.sleep(100)
    assert bench.machine.guests[GUEST].stop is Stop.ITSELF
    await bench.running(guest(generation=3, boot=2))


@simulated
async def test_a_guest_that_died_is_started_again(bench: Bench) -> None:
    await bench.running(guest())
    bench.machine.end(GUEST, Stop.DIED)
    await bench.until(lambda: bench.machine.guests[GUEST].stop is None, within_s=2)
    await asyncio.sleep(100)
    assert bench.told == [running(guest())]


@simulated
async def test_a_restart_of_the_machine_starts_what_should_run(bench: Bench) -> None:
    off = guest(id=OTHER, power="off")
    await bench.running(guest())
    bench.want(guest(), off)
    await bench.until(lambda: bench.last(OTHER) is not None)
    bench.machine.restart()
    bench.crash()
    bench.want(guest(), off)
    await bench.until(lambda: bench.machine.guests[GUEST].stop is None)
    await asyncio.sleep(10)
    assert bench.machine.guests[OTHER].stop is Stop.NEVER_STARTED


@simulated
async def test_a_guest_that_dies_again_and_again_has_failed_until_it_changes(bench: Bench) -> None:
    bench.machine.behaviours[GUEST] = Behaviour(dies_after_s=2)
    bench.want(guest())
    failed = GuestReport(id=GUEST, generation=1, state="failed", boot=1, fault=DIED_TOO_OFTEN)
    await bench.until_told(failed)
    del bench.machine.behaviours[GUEST]
    await asyncio.sleep(1000)
    assert bench.last() == failed
    await bench.running(guest(generation=2))


@simulated
async def test_deaths_far_apart_are_no_failure(bench: Bench) -> None:
    bench.machine.behaviours[GUEST] = Behaviour(dies_after_s=100)
    bench.want(guest())
    await asyncio.sleep(2000)
    assert bench.told == [running(guest())]


@simulated
async def test_a_trouble_that_passes_is_not_told(bench: Bench) -> None:
    bench.machine.behaviour = replace(bench.machine.behaviour, start_fault=GuestFault("Not now."))
    bench.want(guest())
    await asyncio.sleep(0.8)
    bench.machine.behaviour = replace(bench.machine.behaviour, start_fault=None)
    await bench.until(lambda: bench.told != [])
    assert bench.told == [running(guest())]


@simulated
async def test_a_trouble_that_stays_is_told_and_tried_again(bench: Bench) -> None:
    bench.machine.behaviour = replace(bench.machine.behaviour, start_fault=GuestFault("Not now."))
    bench.want(guest())
    await bench.until_told(GuestReport(id=GUEST, generation=1, state="failed", fault="Not now."))
    bench.machine.behaviour = replace(bench.machine.behaviour, start_fault=None)
    await bench.until_told(running(guest()))


@simulated
async def test_what_cannot_be_helped_is_told_at_once(bench: Bench) -> None:
    bench.machine.behaviour = replace(bench.machine.behaviour, disk_fault=GuestFault("Bad image.", final=True))
    bench.want(guest())
    await bench.until_told(GuestReport(id=GUEST, generation=1, state="failed", fault="Bad image."))
    assert asyncio.get_running_loop().time() < 1
    bench.want()
    await bench.until_told(absent(1))


@simulated
async def test_removal_ends_absent_and_is_told_again_on_request(bench: Bench) -> None:
    wanted = guest(generation=7, nics=(Nic(port_id="port", network_id="net", mac="m", tap="tapport", mtu=1450),))
    await bench.running(wanted)
    bench.want()
    await bench.until_told(absent(7))
    assert bench.machine.guests == {}
    assert bench.ports.released == [("port",)]
    await asyncio.sleep(100)
    assert bench.part.reports() == [absent(7)]
    await bench.running(msgspec.structs.replace(wanted, generation=8))
    assert bench.part.reports() == [running(guest(generation=8))]


@simulated
async def test_removal_breaks_off_what_is_under_way(bench: Bench) -> None:
    bench.machine.behaviour = replace(bench.machine.behaviour, fetch_s=1000)
    bench.want(guest())
    await asyncio.sleep(1)
    bench.want()
    await bench.until_told(absent(1))
    assert asyncio.get_running_loop().time() < 5
    assert bench.machine.guests == {}


@simulated
async def test_a_guest_that_came_and_went_unseen_is_told_absent(bench: Bench) -> None:
    bench.want(guest())
    bench.want()
    await bench.until_told(absent(1))


@simulated
async def test_late_news_of_a_guest_that_nobody_knows_are_not_told(bench: Bench) -> None:
    bench.want()
    await asyncio.sleep(1)
    bench.machine.tell(GUEST)
    await asyncio.sleep(100)
    assert bench.told == []


@simulated
async def test_a_guest_that_is_wanted_again_while_it_goes_comes_back(bench: Bench) -> None:
    bench.machine.behaviour = replace(bench.machine.behaviour, look_s=0.01)
    for number in range(1, 30):
        await bench.running(guest(generation=2 * number))
        bench.want()
        await asyncio.sleep(number * 0.002)
        begun = asyncio.get_running_loop().time()
        await bench.running(guest(generation=2 * number + 1))
        assert asyncio.get_running_loop().time() - begun < 5


@simulated
async def test_guests_are_served_side_by_side(bench: Bench) -> None:
    bench.machine.behaviour = replace(bench.machine.behaviour, start_s=10, disk_s=1, fetch_s=0)
    wanted = [guest(id=f"{number:08x}-1111-4222-8333-444444444444") for number in range(6)]
    bench.want(*wanted)
    await bench.until(lambda: len(bench.told) == 6)
    # Two start at once: six take three times as long as one.
    assert 31 <= asyncio.get_running_loop().time() < 33


@simulated
async def test_stop_all_stops_what_runs_and_a_new_agent_starts_it_again(bench: Bench) -> None:
    deaf = guest(id=OTHER)
    bench.machine.behaviours[OTHER] = Behaviour(hears_power_button=False)
    await bench.running(guest())
    bench.want(guest(), deaf)
    await bench.until_told(running(deaf))
    begun = asyncio.get_running_loop().time()
    await bench.part.stop_all(30)
    assert 30 <= asyncio.get_running_loop().time() - begun < 31
    await asyncio.sleep(100)
    assert [there.stop for there in bench.machine.guests.values()] == [Stop.ASKED, Stop.ASKED]
    bench.crash()
    bench.want(guest(), deaf)
    await bench.until(lambda: all(there.stop is None for there in bench.machine.guests.values()))


@simulated
async def test_stop_all_breaks_off_starts(bench: Bench) -> None:
    bench.machine.behaviour = replace(bench.machine.behaviour, start_s=5)
    bench.want(guest())
    await asyncio.sleep(2)
    await bench.part.stop_all(1)
    await asyncio.sleep(100)
    assert [there.stop for there in bench.machine.guests.values()] == [Stop.NEVER_STARTED]


@simulated
async def test_an_agent_that_crashes_at_any_time_ends_where_it_would_have(bench: Bench) -> None:
    states: list[tuple[Guest, ...]] = [
        (guest(),),
        (guest(generation=2, boot=2, boot_kind="soft"),),
        (guest(generation=3, boot=2, power="off"), guest(id=OTHER)),
        (guest(generation=4, boot=3),),
        (),
    ]
    for state in states:
        for _ in range(6):
            bench.want(*state)
            await asyncio.sleep(bench.world.chance.uniform(0, 1.5))
            bench.crash()
        bench.want(*state)
        await eventually_so(bench, state)


async def eventually_so(bench: Bench, state: Sequence[Guest]) -> None:
    def is_so() -> bool:
        there = {name: (seen.boot, seen.stop is None) for name, seen in bench.machine.guests.items()}
        return there.keys() == {wanted.id for wanted in state} and all(
            there[wanted.id] == (wanted.boot, True) or (wanted.power == "off" and not there[wanted.id][1])
            for wanted in state
        )

    await bench.until(is_so)
    await asyncio.sleep(100)
    assert is_so()
