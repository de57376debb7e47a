"""Runs one seed in a loop and a folder of its own."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from kilostack.compute.service import KINDS
from kilostack.workflow.saga import Saga
from tests.sim.loop import VirtualLoop
from tests.sim.scenario import play


def run_seed(seed: int, kinds: Sequence[Saga] = KINDS, trace: list[str] | None = None) -> tuple[float, int]:
    """Play a seed in a folder of its own; (virtual seconds, turns of the loop)."""
    loop = VirtualLoop(seed)
    loop.trace = trace
    asyncio.set_event_loop(loop)
    try:
        with tempfile.TemporaryDirectory(prefix="kilostack-sim-", dir=_fast_disk()) as folder:
            loop.run_until_complete(play(loop, Path(folder), seed, kinds))
            _end_tasks(loop)
        return loop.time(), loop.steps
    finally:
        _end_tasks(loop)
        loop.close()
        asyncio.set_event_loop(None)


def _end_tasks(loop: VirtualLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


def _fast_disk() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
