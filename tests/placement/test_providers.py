"""Providers are made as wanted, keep what is used, and can be followed by number."""

from __future__ import annotations

import pytest

from kilostack.core.errors import BadRequest, Conflict
from kilostack.wire.placement_calls import Inventory, Provider
from tests.placement.conftest import Placement, host


async def test_ensure_keeps_what_is_used_and_says_nothing_when_nothing_changed(placement: Placement) -> None:
    made = await placement.ensure(host(vcpus=4))
    await placement.claim("s1", "host1-id", VCPU=3)
    before = await placement.providers()
    same = await placement.ensure(host(vcpus=4))
    assert same.generation == made.generation + 1, "only the claim raised it"
    assert (await placement.providers()).last == before.last
    shrunk = await placement.ensure(host(vcpus=2))
    assert shrunk.inventories["VCPU"].used == 3
    assert not (await placement.claim("s2", "host1-id", VCPU=1)).taken


async def test_a_class_that_is_gone_offers_nothing_more(placement: Placement) -> None:
    await placement.ensure(host())
    await placement.claim("s1", "host1-id", VCPU=1)
    bare = await placement.ensure(Provider(id="host1-id", name="host1", inventories={}, traits=("B", "A", "A")))
    assert set(bare.inventories) == {"VCPU"}
    assert bare.inventories["VCPU"].free == -1
    assert bare.traits == ("A", "B")


async def test_a_name_belongs_to_one_provider(placement: Placement) -> None:
    await placement.ensure(host())
    with pytest.raises(Conflict, match="host1"):
        await placement.ensure(Provider(id="other", name="host1", inventories={}))


async def test_absurd_inventories_are_refused(placement: Placement) -> None:
    for wrong in (Inventory(total=-1), Inventory(total=1, reserved=2), Inventory(total=1, allocation_ratio=0.0)):
        with pytest.raises(BadRequest):
            await placement.ensure(Provider(id="x", name="x", inventories={"VCPU": wrong}))


async def test_followers_get_everything_first_and_then_what_changed(placement: Placement) -> None:
    await placement.ensure(host("host1"))
    await placement.ensure(host("host2"))
    start = await placement.providers()
    assert start.whole and [provider.name for provider in start.providers] == ["host1", "host2"]
    await placement.claim("s1", "host2-id", VCPU=1)
    then = await placement.providers(start.last)
    assert not then.whole
    assert [(provider.name, provider.inventories["VCPU"].used) for provider in then.providers] == [("host2", 1)]
    assert (await placement.providers(then.last)).providers == ()
    assert (await placement.providers(then.last + 100)).whole, "a number that never was given: start over"
