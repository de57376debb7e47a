"""The scheduler against a real placement service: races, crashes between claim and answer, and what is refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kilostack.compute.scheduler.request import HostsSeen, HostState, Request
from kilostack.compute.scheduler.scheduler import Scheduler
from kilostack.core.errors import Refused, Unavailable
from kilostack.placement.store.tables import META, SCHEMA_NUMBER
from kilostack.wire.calls import Actor, Op
from kilostack.wire.placement_calls import CLAIM, Inventory, Provider
from tests.placement.conftest import ClockWorld, Placement, actor, placement_on


class Table:
    """Compute's table of hosts, as a test has filled it."""

    def __init__(self, *names: str) -> None:
        self.hosts = {name: self.state(name) for name in names}

    @staticmethod
    def state(name: str, **fields: bool) -> HostState:
        known = {"enabled": True, "connected": True} | fields
        return HostState(name=name, provider_id=f"{name}-id", zone="nova", **known)

    async def changed(self, after: int) -> HostsSeen:
        return HostsSeen(last=after + 1, hosts=tuple(self.hosts.values()), whole=True)


class LossyCalls:
    """Calls whose answer to a claim gets lost when the test says so."""

    def __init__(self, placement: Placement) -> None:
        self._calls = placement.calls
        self.lose_claim = False

    async def call(self, op: Op[Any, Any], params: Any, by: Actor) -> Any:
        answer = await self._calls.call(op, params, by)
        if op is CLAIM and self.lose_claim:
            raise Unavailable("the answer was lost")
        return answer


def request(consumer: str = "s1", *, memory: int = 256) -> Request:
    return Request(consumer=consumer, project_id="p", user_id="u", resources={"VCPU": 1, "MEMORY_MB": memory})


async def _host(placement: Placement, name: str, memory: int) -> None:
    offered = {"VCPU": Inventory(total=8), "MEMORY_MB": Inventory(total=memory)}
    await placement.ensure(Provider(id=f"{name}-id", name=name, inventories=offered))


@pytest.fixture
async def placement(make_sqlite: Any) -> Placement:
    return await placement_on(await make_sqlite(META, SCHEMA_NUMBER), ClockWorld())


async def test_a_server_gets_a_host_and_the_reason_is_kept(placement: Placement) -> None:
    await _host(placement, "h1", 1024)
    scheduler = Scheduler(placement.world, placement.calls, Table("h1"))
    placed = await scheduler.place(request(), actor("saga"), 1)
    assert (placed.host, placed.provider_id) == ("h1", "h1-id")
    assert placed.record["tried"] == [{"host": "h1", "taken": True}]
    assert (await placement.used("h1-id"))["MEMORY_MB"] == 256


async def test_no_room_is_refused_with_the_record(placement: Placement) -> None:
    await _host(placement, "h1", 100)
    scheduler = Scheduler(placement.world, placement.calls, Table("h1"))
    with pytest.raises(Refused, match=r"No valid host was found.*1 without 256 MiB memory free") as refused:
        await scheduler.place(request(), actor("saga"), 1)
    assert refused.value.facts["record"]["rules"][-1]["removed"] == {"h1": "needs 256 MiB memory, has 100 free"}
    assert not refused.value.facts["only_connection_missing"]


async def test_two_schedulers_on_one_last_slot_the_loser_takes_the_next_host(placement: Placement) -> None:
    await _host(placement, "h1", 10_000)
    table = Table("h1", "h2")
    first = Scheduler(placement.world, placement.calls, table)
    second = Scheduler(placement.world, placement.calls, table)
    await _host(placement, "h2", 300)
    await first.place(request("a", memory=9_900), actor("saga-a"), 1)

    class Meanwhile:
        """Placement's calls, between whose reading and claiming the other scheduler is faster."""

        done = False

        async def call(self, op: Op[Any, Any], params: Any, by: Actor) -> Any:
            if op is CLAIM and not self.done:
                self.done = True
                assert (await first.place(request("b"), actor("saga-b"), 1)).host == "h2"
                await _host(placement, "h1", 20_000)
            return await placement.calls.call(op, params, by)

    second._calls = Meanwhile()
    placed = await second.place(request("c"), actor("saga-c"), 1)
    assert placed.host == "h1"
    assert placed.record["tried"] == [{"host": "h2", "taken": False}, {"host": "h1", "taken": True}]


async def test_a_herd_is_spread_and_never_refused_while_there_is_room(placement: Placement) -> None:
    names = [f"h{at}" for at in range(5)]
    for name in names:
        await _host(placement, name, 512)
    scheduler = Scheduler(placement.world, placement.calls, Table(*names))
    work = [scheduler.place(request(f"s{at}"), actor(f"saga{at}"), at) for at in range(11)]
    placed = await asyncio.gather(*work, return_exceptions=True)
    hosts = [item.host for item in placed if not isinstance(item, BaseException)]
    assert sorted(hosts) == sorted(names * 2)
    assert [type(item) for item in placed if isinstance(item, BaseException)] == [Refused]


async def test_a_saga_cut_off_after_its_claim_finds_its_host_again_although_it_is_full(placement: Placement) -> None:
    await _host(placement, "h1", 300)
    lossy = LossyCalls(placement)
    scheduler = Scheduler(placement.world, lossy, Table("h1"))
    lossy.lose_claim = True
    with pytest.raises(Unavailable):
        await scheduler.place(request(), actor("saga", epoch=1), 1)
    lossy.lose_claim = False
    assert (await scheduler.place(request(), actor("saga", epoch=2), 1)).host == "h1"
    fresh = Scheduler(placement.world, placement.calls, Table("h1"))
    assert (await fresh.place(request(), actor("saga", epoch=3), 1)).host == "h1"
    assert (await placement.used("h1-id"))["MEMORY_MB"] == 256


async def test_hosts_that_are_only_unconnected_are_told_apart(placement: Placement) -> None:
    await _host(placement, "h1", 1024)
    table = Table("h1")
    table.hosts["h1"] = table.state("h1", connected=False)
    scheduler = Scheduler(placement.world, placement.calls, table)
    with pytest.raises(Refused) as refused:
        await scheduler.place(request(), actor("saga"), 1)
    assert refused.value.facts["only_connection_missing"]
    table.hosts["h1"] = table.state("h1")
    assert (await scheduler.place(request(), actor("saga"), 1)).host == "h1"


async def test_what_others_release_is_seen_at_once(placement: Placement) -> None:
    await _host(placement, "h1", 300)
    scheduler = Scheduler(placement.world, placement.calls, Table("h1"))
    await scheduler.place(request("a"), actor("saga-a"), 1)
    await placement.release("a")
    assert (await scheduler.place(request("b"), actor("saga-b"), 1)).host == "h1"
