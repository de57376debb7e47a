"""Claims take all or nothing, once, and never more than there is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kilostack.core.errors import BadRequest, NotFound, Refused
from kilostack.placement.store import allocations
from kilostack.placement.store.tables import META, SCHEMA_NUMBER
from kilostack.wire.placement_calls import Claim
from tests.databases import by_hand
from tests.placement.conftest import ClockWorld, Placement, actor, host, placement_on


async def test_a_claim_takes_every_class_or_nothing(placement: Placement) -> None:
    await placement.ensure(host(vcpus=4, memory=1024))
    first = await placement.claim("s1", "host1-id", VCPU=1, MEMORY_MB=1000)
    assert first.taken
    assert first.provider.inventories["MEMORY_MB"].free == 24
    second = await placement.claim("s2", "host1-id", VCPU=1, MEMORY_MB=25)
    assert not second.taken
    assert second.provider.inventories["MEMORY_MB"].free == 24
    assert await placement.used() == {"MEMORY_MB": 1000, "VCPU": 1}


async def test_the_allocation_ratio_makes_room(placement: Placement) -> None:
    await placement.ensure(host(vcpus=1, ratio=1.5))
    assert (await placement.claim("s1", "host1-id", VCPU=1)).taken
    assert not (await placement.claim("s2", "host1-id", VCPU=1)).taken


async def test_an_unknown_class_does_not_fit_and_an_unknown_provider_is_said(placement: Placement) -> None:
    await placement.ensure(host())
    assert not (await placement.claim("s1", "host1-id", VGPU=1)).taken
    assert (await placement.claim("s1", "host1-id", VGPU=0, VCPU=1)).taken
    with pytest.raises(NotFound, match="gone-id"):
        await placement.claim("s1", "gone-id", VCPU=1)
    with pytest.raises(BadRequest):
        await placement.claim("s1", "host1-id", VCPU=-1)


async def test_the_same_claim_again_changes_nothing(placement: Placement) -> None:
    await placement.ensure(host(vcpus=1))
    by = actor("saga", epoch=1)
    once = await placement.claim("s1", "host1-id", by, VCPU=1)
    twice = await placement.claim("s1", "host1-id", by, VCPU=1)
    assert once.taken and twice.taken
    assert twice.provider == once.provider
    assert await placement.used() == {"MEMORY_MB": 0, "VCPU": 1}


async def test_a_claim_elsewhere_replaces_what_was_held_or_keeps_it(placement: Placement) -> None:
    await placement.ensure(host("host1"))
    await placement.ensure(host("host2", vcpus=1))
    await placement.claim("s1", "host1-id", actor("saga"), VCPU=2)
    assert not (await placement.claim("s1", "host2-id", actor("saga"), VCPU=2)).taken
    assert (await placement.used("host1-id"))["VCPU"] == 2
    assert (await placement.claim("s1", "host2-id", actor("saga"), VCPU=1)).taken
    assert (await placement.used("host1-id"))["VCPU"] == 0
    assert (await placement.used("host2-id"))["VCPU"] == 1


async def test_release_gives_all_back_and_may_be_repeated(placement: Placement) -> None:
    await placement.ensure(host())
    await placement.claim("s1", "host1-id", VCPU=2, MEMORY_MB=5)
    await placement.release("s1")
    await placement.release("s1")
    assert await placement.used() == {"MEMORY_MB": 0, "VCPU": 0}


async def test_a_claim_after_its_release_or_from_an_old_epoch_is_refused(placement: Placement) -> None:
    await placement.ensure(host())
    await placement.claim("s1", "host1-id", actor("saga", epoch=2), VCPU=1)
    with pytest.raises(Refused):
        await placement.claim("s1", "host1-id", actor("saga", epoch=1), VCPU=2)
    await placement.release("s1", actor("saga", epoch=2))
    with pytest.raises(Refused):
        await placement.claim("s1", "host1-id", actor("saga", epoch=3), VCPU=1)
    assert (await placement.used())["VCPU"] == 0


async def test_many_claims_at_once_fill_a_host_exactly(placement: Placement) -> None:
    await placement.ensure(host(vcpus=5, memory=100))
    answers = await asyncio.gather(*(placement.claim(f"s{i}", "host1-id", VCPU=1, MEMORY_MB=10) for i in range(12)))
    assert sum(answer.taken for answer in answers) == 5
    assert await placement.used() == {"MEMORY_MB": 50, "VCPU": 5}


@pytest.mark.mariadb
async def test_two_processes_on_the_last_slot_one_wins(make_mariadb: Any) -> None:
    db = await make_mariadb(META, SCHEMA_NUMBER)
    placement = await placement_on(db, ClockWorld())
    await placement.ensure(host(vcpus=1))
    asked = Claim(consumer="s1", provider="host1-id", resources={"VCPU": 1}, project_id="p", user_id="u")
    async with by_hand(db) as other:
        await allocations.claim(other.tx, asked, actor(), ClockWorld().now())
        mine = asyncio.get_running_loop().create_task(placement.claim("s2", "host1-id", VCPU=1))
        done, _ = await asyncio.wait([mine], timeout=0.3)
        assert not done, "the second claim must wait for the first one's transaction"
        await other.commit()
        assert not (await mine).taken
    assert (await placement.used())["VCPU"] == 1


@pytest.mark.mariadb
async def test_one_consumer_claiming_through_two_processes_holds_one_provider(make_mariadb: Any) -> None:
    db = await make_mariadb(META, SCHEMA_NUMBER)
    placement = await placement_on(db, ClockWorld())
    await placement.ensure(host("host1"))
    await placement.ensure(host("host2"))
    asked = Claim(consumer="s1", provider="host1-id", resources={"VCPU": 1}, project_id="p", user_id="u")
    async with by_hand(db) as other:
        await allocations.claim(other.tx, asked, actor(), ClockWorld().now())
        mine = asyncio.get_running_loop().create_task(placement.claim("s1", "host2-id", VCPU=1))
        await asyncio.wait([mine], timeout=0.2)
        await other.commit()
        assert (await mine).taken
    assert (await placement.used("host1-id"))["VCPU"] == 0
    assert (await placement.used("host2-id"))["VCPU"] == 1
