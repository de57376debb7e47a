"""The world of one simulated process: virtual clocks, chance from the seed, threads that take time, a way to die."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from kilostack.core.world import Dead, Micros
from tests.sim.loop import VirtualLoop

T = TypeVar("T")
_EPOCH = 1_790_000_000_000_000


class SimWorld:
    """`core.world.World` on a `VirtualLoop`. Wall clocks of processes differ by up to `skew_s`.

    `crash_points` counts the instants before and after each call in a thread (a commit, a file written); when
    `crash_at` says so, the process dies right there.
    """

    def __init__(self, loop: VirtualLoop, name: str, seed: int, skew_s: float = 0.0) -> None:
        self.loop, self.name = loop, name
        self.chance = random.Random(f"{seed}/{name}")
        self.dead = False
        self.crash_points = 0
        self.crash_at: int | None = None
        #: until then the process stands still wherever it sleeps, as if it had been stopped by a signal
        self.paused_until = 0.0
        self.on_crash: Callable[[], None] = lambda: None
        self.failures: list[BaseException] = []
        self._skew = int(skew_s * 1e6)
        self._offset = self.chance.uniform(0, 1000)
        # a dictionary, because its order is the same in each run
        self._tasks: dict[asyncio.Task[Any], None] = {}

    def _alive(self) -> None:
        if self.dead:
            raise Dead(self.name)

    def now(self) -> Micros:
        self._alive()
        return Micros(_EPOCH + self._skew + int(self.loop.time() * 1e6))

    def monotonic(self) -> float:
        self._alive()
        return self.loop.time() + self._offset

    def new_id(self) -> str:
        self._alive()
        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))

    def random(self) -> random.Random:
        self._alive()
        return self.chance

    async def sleep(self, seconds: float) -> None:
        self._alive()
        await asyncio.sleep(seconds)
        while self.loop.time() < self.paused_until:  # noqa: ASYNC110 - a signal is no event of the loop
            await asyncio.sleep(min(0.05, self.paused_until - self.loop.time()))
        self._alive()

    @asynccontextmanager
    async def timeout(self, seconds: float | None) -> AsyncIterator[None]:
        self._alive()
        async with asyncio.timeout(seconds):
            yield
        self._alive()

    def spawn(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        if self.dead:
            work.close()
            raise Dead(self.name)
        task = self.loop.create_task(work, name=f"{self.name}: {name}")
        self._tasks[task] = None
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not self.dead and not isinstance(error, Dead):
            self.failures.append(error)

    async def in_thread(self, call: Callable[..., T], *args: Any) -> T:
        await self._crash_point()
        result = call(*args)
        await self._crash_point()
        return result

    async def _crash_point(self) -> None:
        self._alive()
        await asyncio.sleep(self.chance.choice((0.0, 0.0, 0.001, 0.005)))
        self._alive()
        self.crash_points += 1
        if self.crash_at is not None and self.crash_points >= self.crash_at:
            self.crash()
            raise Dead(self.name)

    def crash(self) -> None:
        """Die now, at whatever instant this is. What the process has not committed is gone."""
        if self.dead:
            return
        self.dead = True
        for task in list(self._tasks):
            if task is not asyncio.current_task():
                task.cancel()
        self.on_crash()

    async def close(self) -> None:
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
