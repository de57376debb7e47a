"""The port of the hint bus, and the bus of a single process."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Protocol

from kilostack.core.world import World


class Subscription(Protocol):
    """A listener on one topic; closed by `close`."""

    async def wait(self, seconds: float) -> bool:
        """Until a hint arrives (True) or `seconds` pass (False). A hint since the last wait counts."""

    def close(self) -> None: ...


class Hints(Protocol):
    """Topics are "<service>.<what>", for example "compute.sagas"."""

    def send(self, topic: str) -> None:
        """Wake the listeners of `topic`. Never fails, never waits."""

    def listen(self, topic: str) -> Subscription: ...


class LocalHints:
    """The bus inside one process."""

    def __init__(self, world: World) -> None:
        self._world = world
        # in the order in which they came, so that a simulation replays exactly
        self._listeners: defaultdict[str, dict[_Listener, None]] = defaultdict(dict)

    def send(self, topic: str) -> None:
        for listener in self._listeners.get(topic, ()):
            listener.event.set()

    def listen(self, topic: str) -> Subscription:
        return _Listener(self._world, self._listeners[topic])


class _Listener:
    def __init__(self, world: World, peers: dict[_Listener, None]) -> None:
        self._world, self._peers = world, peers
        self.event = asyncio.Event()
        peers[self] = None

    async def wait(self, seconds: float) -> bool:
        try:
            async with self._world.timeout(seconds):
                await self.event.wait()
        except TimeoutError:
            return False
        self.event.clear()
        return True

    def close(self) -> None:
        self._peers.pop(self, None)
