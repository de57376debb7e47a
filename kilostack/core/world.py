"""The one way to time, chance, tasks and threads.

A process owns one `World`. Product code never reads a clock, draws a random number, starts a task or a thread in any
other way (ruff bans the direct ways), so that a simulation can hand it virtual time and a seed, and can crash the
process: every port of a crashed world raises `Dead`, so that late `finally` blocks have no effect.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NewType, Protocol, TypeVar

T = TypeVar("T")

#: Microseconds since 1970 (UTC); the form in which times are stored and compared.
Micros = NewType("Micros", int)


class Dead(BaseException):
    """Raised by every port of a world whose process has crashed. Never caught by product code."""


class World(Protocol):
    """Time, chance, tasks and threads of one process."""

    def now(self) -> Micros:
        """Wall clock. For records and tokens only, never for deadlines."""

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps; only differences mean anything."""

    def new_id(self) -> str:
        """A random UUID (version 4) as text."""

    def random(self) -> random.Random:
        """The source of chance that is not secret: jitter, seeds of tie-breaks."""

    async def sleep(self, seconds: float) -> None: ...

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[None]:
        """A deadline for the block; raises `TimeoutError` when it passes. None is no deadline."""

    def spawn(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Run `work` beside the caller. The world keeps a reference and cancels it at `close`."""

    async def in_thread(self, call: Callable[..., T], *args: Any) -> T:
        """Run a blocking call in the small pool of this process."""

    async def close(self) -> None:
        """Cancel what `spawn` started and wait until it has ended."""


class RealWorld:
    """The machine's clocks, the running event loop and a pool of `threads` threads."""

    def __init__(self, threads: int = 4) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._pool: ThreadPoolExecutor | None = None
        self._threads = threads
        self._random = random.Random()

    def now(self) -> Micros:
        return Micros(time.time_ns() // 1000)

    def monotonic(self) -> float:
        return time.monotonic()

    def new_id(self) -> str:
        return str(uuid.uuid4())

    def random(self) -> random.Random:
        return self._random

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    @asynccontextmanager
    async def timeout(self, seconds: float | None) -> AsyncIterator[None]:
        async with asyncio.timeout(seconds):
            yield

    def spawn(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": f"task {task.get_name()} ended by an error", "exception": error, "task": task}
            )

    async def in_thread(self, call: Callable[..., T], *args: Any) -> T:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="pool")
        return await asyncio.get_running_loop().run_in_executor(self._pool, call, *args)

    async def close(self) -> None:
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None
