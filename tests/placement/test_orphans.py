"""Allocations without an owner go after ten minutes, and not before."""

from __future__ import annotations

import pytest

from kilostack.core.errors import Unavailable
from kilostack.wire.calls import Actor, Answers
from kilostack.wire.compute_calls import EXISTING, Servers
from tests.placement.conftest import Placement, host


async def _sweep(placement: Placement) -> int:
    orphans = placement.service.orphans
    before = orphans.removed
    for key in await orphans.due():
        await orphans.work(key)
    return orphans.removed - before


async def test_only_what_stays_unknown_goes(placement: Placement) -> None:
    await placement.ensure(host())
    placement.servers.add("known")
    await placement.claim("known", "host1-id", VCPU=1)
    await placement.claim("lost", "host1-id", VCPU=1)
    assert await _sweep(placement) == 0, "too young to be looked at"
    placement.world.ahead_s = 601
    assert await _sweep(placement) == 0, "unknown since this moment"
    placement.world.ahead_s = 1100
    assert await _sweep(placement) == 0
    placement.world.ahead_s = 1202
    assert await _sweep(placement) == 1
    assert (await placement.used())["VCPU"] == 1
    assert await _sweep(placement) == 0


async def test_whoever_turns_up_again_is_kept(placement: Placement) -> None:
    await placement.ensure(host())
    await placement.claim("s1", "host1-id", VCPU=1)
    placement.world.ahead_s = 601
    await _sweep(placement)
    placement.servers.add("s1")
    placement.world.ahead_s = 1300
    assert await _sweep(placement) == 0
    placement.servers.clear()
    assert await _sweep(placement) == 0, "the time starts anew"
    assert (await placement.used())["VCPU"] == 1


async def test_a_new_claim_between_look_and_removal_is_kept(placement: Placement) -> None:
    await placement.ensure(host())
    await placement.claim("s1", "host1-id", VCPU=1)
    placement.world.ahead_s = 601
    await _sweep(placement)
    placement.world.ahead_s = 1300
    assert await placement.service.orphans.due() == ["s1"]
    await placement.claim("s1", "host1-id", VCPU=2)
    await placement.service.orphans.work("s1")
    assert placement.service.orphans.removed == 0
    assert (await placement.used())["VCPU"] == 2


async def test_nothing_goes_while_compute_cannot_be_asked(placement: Placement) -> None:
    await placement.ensure(host())
    await placement.claim("s1", "host1-id", VCPU=1)
    placement.world.ahead_s = 601
    away = Answers()

    async def fail(asked: Servers, by: Actor) -> Servers:
        raise Unavailable("compute is away")

    away.add(EXISTING, fail)
    placement.calls.serve(away)
    with pytest.raises(Unavailable):
        await placement.service.orphans.due()
