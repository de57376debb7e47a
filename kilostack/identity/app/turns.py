"""Waiting in turns: whoever comes with many does not keep out whoever comes with one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """Room for some at once. Those who wait are let in one of each kind after the other, the first of each first."""

    def __init__(self, at_once: int) -> None:
        #: more than none only while nobody waits
        self._free = at_once
        #: the kind whose turn is next comes first
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def taken(self, kind: str) -> AsyncIterator[None]:
        """Inside there is room."""
        await self._enter(kind)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, kind: str) -> None:
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(kind, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # the room came at the same moment
                self._leave()
            raise

    def _leave(self) -> None:
        while self._waiting:
            kind = next(iter(self._waiting))
            queue = self._waiting.pop(kind)
            turn = queue.popleft()
            if queue:
                self._waiting[kind] = queue
            # one that was cancelled does not wait any more
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
