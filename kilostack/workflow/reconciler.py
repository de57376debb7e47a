"""The loop of reconcilers: keys that need work are found in the database, hints only say when to look.

A reconciler takes no instruction but a key. A key whose work failed is tried again after a pause that doubles; nothing
else is remembered between turns.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from kilostack.bus.hints import Hints
from kilostack.core.world import World

_LOG = logging.getLogger("kilostack.reconciler")


class Reconciler(Protocol):
    """One kind of upkeep."""

    @property
    def name(self) -> str: ...

    async def due(self) -> list[str]:
        """Keys whose observed state is behind what is desired; the cost is proportional to what changed."""

    async def work(self, key: str) -> None:
        """Bring one key up to date. May run again at any time, and beside other keys."""


async def run(reconciler: Reconciler, world: World, hints: Hints, topic: str, interval_s: float) -> None:
    """Run a reconciler for ever: at each hint on `topic`, and at least every `interval_s`."""
    listener = hints.listen(topic)
    paused: dict[str, tuple[float, int]] = {}
    while True:
        try:
            keys = await reconciler.due()
        except Exception:
            _LOG.exception("%s cannot find its work", reconciler.name)
            keys = []
        paused = {key: value for key, value in paused.items() if key in keys}
        for key in keys:
            until, tries = paused.get(key, (0.0, 0))
            if world.monotonic() < until:
                continue
            if await _attempt(reconciler.work, key, reconciler.name):
                paused.pop(key, None)
            else:
                paused[key] = (world.monotonic() + min(60.0, 0.5 * 2 ** min(tries, 8)), tries + 1)
        await listener.wait(interval_s)


async def _attempt(work: Callable[[str], Awaitable[None]], key: str, name: str) -> bool:
    try:
        await work(key)
    except Exception:
        _LOG.exception("%s failed", name, extra={"resource_id": key})
        return False
    return True
