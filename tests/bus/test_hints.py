"""Hints inside one process: heard by whoever listens, never lost between two waits, harmless to nobody."""

from __future__ import annotations

import asyncio

from kilostack.bus.hints import LocalHints
from kilostack.core.world import RealWorld


async def test_a_hint_wakes_the_listeners_of_its_topic(world: RealWorld) -> None:
    hints = LocalHints(world)
    first, second, other = hints.listen("a"), hints.listen("a"), hints.listen("b")
    waits = [asyncio.create_task(listener.wait(10)) for listener in (first, second)]
    await asyncio.sleep(0)
    hints.send("a")
    assert await asyncio.gather(*waits) == [True, True]
    assert not await other.wait(0.01)


async def test_a_hint_between_two_waits_counts_once(world: RealWorld) -> None:
    hints = LocalHints(world)
    listener = hints.listen("a")
    hints.send("a")
    hints.send("a")
    assert await listener.wait(10)
    assert not await listener.wait(0.01)


async def test_nobody_listens_any_more(world: RealWorld) -> None:
    hints = LocalHints(world)
    hints.send("never heard of")
    listener = hints.listen("a")
    listener.close()
    listener.close()
    hints.send("a")
    assert not await listener.wait(0.01)
