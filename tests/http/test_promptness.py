"""What fails the tests that hold the event loop does so, and leaves alone what waits."""

from __future__ import annotations

import asyncio
import gc
import time

import pytest

from tests.promptness import LIMIT_S, Prompt, PromptWorld


async def _busy(seconds: float) -> str:
    await asyncio.sleep(0)
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass
    return "done"


async def _waiting() -> str:
    for _ in range(20):
        await asyncio.sleep(0)
        await _busy(LIMIT_S / 20)
    return "done"


async def _failing() -> None:
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        await asyncio.sleep(0)


async def test_a_step_that_holds_the_loop_is_named() -> None:
    with pytest.raises(AssertionError, match="work held the event loop"):
        await Prompt(_busy(LIMIT_S * 1.2), "work")


async def test_many_short_steps_hold_nothing() -> None:
    assert await Prompt(_waiting(), "work") == "done"


async def test_what_is_cancelled_cleans_up() -> None:
    task = asyncio.create_task(Prompt(_failing(), "work"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_task_that_is_cancelled_before_it_began() -> None:
    task = asyncio.create_task(Prompt(_failing(), "work"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_world_tells_which_of_its_tasks_held_the_loop() -> None:
    world = PromptWorld()
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    with pytest.raises(AssertionError):
        await world.spawn(_busy(LIMIT_S * 1.2), "work")
    await world.spawn(_waiting(), "other")
    assert [text.split()[0] for text in world.held] == ["work"]
    await world.close()


async def test_the_garbage_collector_is_not_counted() -> None:
    async def collect() -> None:
        until = time.thread_time() + LIMIT_S * 1.2
        while time.thread_time() < until:
            gc.collect()

    await Prompt(collect(), "work")
