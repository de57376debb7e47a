"""Code that holds the event loop fails its test: by its CPU time, so that a busy machine is no reason.

What the garbage collector takes is left out: in a process full of tests it has more to look through than in a cloud.
"""

from __future__ import annotations

import gc
import time
from asyncio import Task
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from kilostack.core.world import RealWorld

#: The promise is 5 ms. Here a step may hold a whole request, statements that are compiled at their first use included.
LIMIT_S = 0.05

T = TypeVar("T")
_collecting = [0.0]


def _collector(phase: str, info: dict[str, int]) -> None:
    _collecting[0] += time.thread_time() if phase == "stop" else -time.thread_time()


gc.callbacks.append(_collector)


def _spent() -> float:
    return time.thread_time() - _collecting[0]


class Prompt(Coroutine[Any, Any, T]):
    """`work`, which raises AssertionError after a step that held the loop for longer than `LIMIT_S`."""

    def __init__(self, work: Coroutine[Any, Any, T], name: str) -> None:
        self._work, self._name = work, name

    def send(self, value: Any) -> Any:
        return self._step(self._work.send, value)

    def throw(self, *error: Any) -> Any:
        return self._step(self._work.throw, *error)

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Any:
        return self

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def _step(self, step: Callable[..., Any], *given: Any) -> Any:
        began = _spent()
        try:
            return step(*given)
        finally:
            took = _spent() - began
            assert took < LIMIT_S, f"{self._name} held the event loop for {took * 1000:.0f} ms of CPU"


class PromptWorld(RealWorld):
    """The machine's own clocks and threads; `held` tells which of its tasks held the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[str] = []

    def spawn(self, work: Coroutine[Any, Any, T], name: str) -> Task[T]:
        task = super().spawn(Prompt(work, name), name)
        task.add_done_callback(self._look)
        return task

    def _look(self, task: Task[Any]) -> None:
        if not task.cancelled() and isinstance(error := task.exception(), AssertionError):
            self.held.append(str(error))
