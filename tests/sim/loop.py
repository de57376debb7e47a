"""An event loop on virtual time, in an order that comes from a seed.

The selector never waits: it jumps the clock to the next timer. What is ready at one instant runs in an order drawn from
the seed, so that one seed replays exactly and many seeds see many orders.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Mapping
from typing import Any


class Stalled(AssertionError):
    """Nothing is ready and no timer is set: the simulated world would wait for ever."""


class _Selector(selectors.BaseSelector):
    """Reports no event, ever; waiting moves the virtual clock."""

    def __init__(self) -> None:
        self.loop: VirtualLoop | None = None
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = selectors.SelectorKey(fileobj, fileobj if isinstance(fileobj, int) else fileobj.fileno(), events, data)
        self._keys[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert self.loop is not None
        if timeout is None:
            raise Stalled("nothing is ready and no timer is set")
        self.loop.advance(timeout)
        return []

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys


class VirtualLoop(asyncio.SelectorEventLoop):
    """Virtual time starts at 0. `steps` counts the turns, so that a run-away simulation can be ended."""

    def __init__(self, seed: int) -> None:
        self._virtual = 0.0
        self.steps = 0
        #: when set to a list: what was ready at each turn, to compare two runs of one seed
        self.trace: list[str] | None = None
        self.chance = random.Random(seed)
        selector = _Selector()
        super().__init__(selector)
        selector.loop = self

    def time(self) -> float:
        return self._virtual

    def advance(self, seconds: float) -> None:
        """Called once per turn: move the clock, and draw the order of what is ready."""
        self.steps += 1
        if self.trace is not None:
            self._note()
        if seconds > 0:
            # a hair more, or rounding would leave the timer just short of its time
            self._virtual += seconds + 1e-9
        ready = self._ready  # type: ignore[attr-defined]
        if len(ready) > 1:
            handles = list(ready)
            self.chance.shuffle(handles)
            ready.clear()
            ready.extend(handles)

    def _note(self) -> None:
        names = []
        for handle in self._ready:  # type: ignore[attr-defined]
            owner = getattr(handle._callback, "__self__", None)
            name = owner.get_name() if isinstance(owner, asyncio.Task) else type(owner).__name__
            names.append("Task" if name.startswith("Task-") else name)
        assert self.trace is not None
        self.trace.append(f"{self._virtual:.9f} {names}")
