"""The saga contract on a toy: success, repetition, failure at each step, undo twice, crash at every instant."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kilostack.store.sqlite import SqliteDatabase
from kilostack.workflow.saga import Run, Saga, Step
from tests.sim.loop import VirtualLoop
from tests.sim.world import SimWorld
from tests.workflow.toy import CLAIMS, KINDS, MAKE, NEIGHBOUR, SAGAS, Conductor, Deps, Params

STEPS = ("claim", "label", "close")


def simulate(seed: int, body: Callable[[VirtualLoop], Awaitable[None]]) -> None:
    loop = VirtualLoop(seed)
    try:
        loop.run_until_complete(body(loop))
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()


def neighbour(loop: VirtualLoop, folder: Path, seed: int = 0) -> Deps:
    world = SimWorld(loop, "neighbour", seed)
    db = SqliteDatabase(folder / "neighbour.db", world)
    db.prepare("neighbour", 1, NEIGHBOUR)
    return Deps(db, {})


async def claims(deps: Deps) -> list[str]:
    return [claim.what for claim in await deps.db.read(CLAIMS.where)]


def test_a_saga_succeeds(tmp_path: Path) -> None:
    async def body(loop: VirtualLoop) -> None:
        deps = neighbour(loop, tmp_path)
        conductor = Conductor(SimWorld(loop, "a", 1), tmp_path, deps)
        await conductor.start()
        await conductor.make("box", Params())
        shown = await conductor.box("box")
        assert shown is not None and shown.task == "claiming"
        box = await conductor.idle("box")
        assert box is not None and (box.state, box.task, box.saga_id) == ("ready", None, None)
        assert await claims(deps) == ["claim", "label"]

    simulate(1, body)


@pytest.mark.parametrize("step", STEPS)
def test_a_refused_step_leaves_nothing(tmp_path: Path, step: str) -> None:
    async def body(loop: VirtualLoop) -> None:
        deps = neighbour(loop, tmp_path)
        conductor = Conductor(SimWorld(loop, "a", 1), tmp_path, deps)
        await conductor.start()
        await conductor.make("box", Params(refuse=step))
        box = await conductor.idle("box")
        assert box is not None and box.state == f"failed: no {step}"
        assert await claims(deps) == []

    simulate(1, body)


def test_an_unavailable_neighbour_is_tried_again(tmp_path: Path) -> None:
    async def body(loop: VirtualLoop) -> None:
        deps = neighbour(loop, tmp_path)
        conductor = Conductor(SimWorld(loop, "a", 1), tmp_path, deps)
        await conductor.start()
        await conductor.make("box", Params(flaky="label"))
        box = await conductor.idle("box")
        assert box is not None and box.state == "ready"
        assert deps.tried["label"] == 2

    simulate(1, body)


def doubled(saga: Saga) -> dict[str, Saga]:
    """The kind with each do and each undo made twice."""

    def twice(call: Any) -> Any:
        async def both(deps: Any, run: Run) -> Any:
            await call(deps, run)
            return await call(deps, run)

        return both if call is not None else None

    steps = tuple(
        step
        if step.write is not None
        else Step(name=step.name, do=twice(step.do), undo=twice(step.undo), task_state=step.task_state)
        for step in saga.steps
    )
    return {**KINDS, "make/1": msgspec.structs.replace(saga, steps=steps)}


@pytest.mark.parametrize("refuse", ["", *STEPS])
def test_each_step_and_each_undo_may_run_twice(tmp_path: Path, refuse: str) -> None:
    async def body(loop: VirtualLoop) -> None:
        deps = neighbour(loop, tmp_path)
        conductor = Conductor(SimWorld(loop, "a", 1), tmp_path, deps, doubled(MAKE))
        await conductor.start()
        await conductor.make("box", Params(refuse=refuse))
        box = await conductor.idle("box")
        assert box is not None and box.state == (f"failed: no {refuse}" if refuse else "ready")
        assert await claims(deps) == ([] if refuse else ["claim", "label"])

    simulate(1, body)


@pytest.mark.parametrize("refuse", ["", *STEPS])
def test_a_crash_at_any_instant_loses_nothing(tmp_path: Path, refuse: str) -> None:
    """The process dies before or after each commit in turn; the next one goes on to the same end."""
    for crash_at in range(3, 60):
        folder = tmp_path / f"{crash_at}"
        folder.mkdir()
        reached = _crash_once(folder, crash_at, refuse)
        if not reached:
            assert crash_at > 10
            return
    raise AssertionError("more instants than expected")


def _crash_once(folder: Path, crash_at: int, refuse: str) -> bool:
    crashed: list[bool] = []

    async def body(loop: VirtualLoop) -> None:
        deps = neighbour(loop, folder, crash_at)
        first = Conductor(SimWorld(loop, "a", crash_at), folder, deps)
        await first.start()
        await first.make("box", Params(refuse=refuse))
        first.world.crash_at = first.world.crash_points + crash_at - 2
        world = SimWorld(loop, "test", 0)
        for _ in range(100):
            await world.sleep(0.05)
            if first.world.dead:
                break
        crashed.append(first.world.dead)
        last = first
        if first.world.dead:
            last = Conductor(SimWorld(loop, "b", crash_at), folder, deps)
            await last.start()
        box = await last.idle("box")
        assert box is not None and box.state == (f"failed: no {refuse}" if refuse else "ready")
        assert await claims(deps) == ([] if refuse else ["claim", "label"])

    simulate(crash_at, body)
    # beats commit for ever: past the end of the saga a crash shows nothing new
    return crashed[0] and crash_at < 40


def test_a_paused_conductor_is_fenced(tmp_path: Path) -> None:
    """The first conductor stops beating in the middle of a step; the second takes over; the late call is refused."""

    async def body(loop: VirtualLoop) -> None:
        deps = neighbour(loop, tmp_path)
        first = Conductor(SimWorld(loop, "a", 1), tmp_path, deps)
        await first.lease.start(exclusive=True)
        first.world.spawn(first.runner.run(), "runner")
        deps.open = False
        await first.make("box", Params(wait=True))
        await first.world.sleep(1.0)
        second = Conductor(SimWorld(loop, "b", 1), tmp_path, deps)
        await second.start(exclusive=False)
        await second.world.sleep(10.0)
        deps.open = True
        await second.db.write(lambda tx: _wake(tx))
        box = await second.idle("box")
        assert box is not None and box.state == "ready"
        assert not await first.lease._beat()

    simulate(3, body)


async def _wake(tx: Any) -> None:
    from tests.workflow.toy import SAGAS

    await SAGAS.wake(tx, "box")


@pytest.mark.parametrize("delay", [0.0, 0.002, 0.004, 0.006, 0.01, 0.02, 0.05])
def test_a_removal_supersedes_at_any_instant(tmp_path: Path, delay: float) -> None:
    async def body(loop: VirtualLoop) -> None:
        deps = neighbour(loop, tmp_path)
        conductor = Conductor(SimWorld(loop, "a", int(delay * 1000)), tmp_path, deps)
        await conductor.start()
        await conductor.make("box", Params())
        await conductor.world.sleep(delay)
        before = await conductor.box("box")
        await conductor.remove("box")
        assert await conductor.idle("box") is None
        if before is not None and before.state != "ready":
            assert await claims(deps) == []

    simulate(5, body)


def test_a_waiting_saga_is_woken_at_once(tmp_path: Path) -> None:
    async def body(loop: VirtualLoop) -> None:
        deps = neighbour(loop, tmp_path)
        deps.open = False
        conductor = Conductor(SimWorld(loop, "a", 1), tmp_path, deps)
        await conductor.start()
        await conductor.make("box", Params(wait=True))
        await conductor.world.sleep(1.0)
        deps.open = True
        woken = loop.time()
        await conductor.db.write(lambda tx: _wake(tx))
        box = await conductor.idle("box")
        assert box is not None and box.state == "ready"
        # of virtual time: far less than the 30 s that the step asked to wait
        assert loop.time() - woken < 2.0

    simulate(1, body)


def test_sagas_dropped_at_any_turn_go_on(tmp_path: Path) -> None:
    """A process that was taken for dead drops its sagas, those included whose tasks have not begun."""

    async def body(loop: VirtualLoop) -> None:
        deps = neighbour(loop, tmp_path)
        conductor = Conductor(SimWorld(loop, "a", 1), tmp_path, deps)
        await conductor.start()
        for turns in range(1, 12):
            await conductor.make(f"box-{turns}", Params())
            await _first_turns(conductor, turns)
            await conductor.runner.drop()
            await _starts_over(conductor)
            box = await conductor.idle(f"box-{turns}")
            assert box is not None and box.state == "ready"

    simulate(1, body)


async def _first_turns(conductor: Conductor, count: int) -> None:
    """Return when the conductor has a saga under way and `count` turns of the loop have passed."""
    while count:
        await asyncio.sleep(0)
        count -= bool(conductor.runner.under_way)


async def _starts_over(conductor: Conductor) -> None:
    """Under a new life, while what the old one held is freed."""
    old = conductor.lease.id
    await conductor.lease.start(exclusive=False)
    await conductor.db.write(lambda tx: SAGAS.free(tx, old))
