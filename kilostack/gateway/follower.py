"""One service's changes, followed once for all hosts of a gateway, and the beat that says that the gateway lives."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Protocol

from kilostack.bus.hints import Hints
from kilostack.core.errors import Error
from kilostack.core.world import World
from kilostack.gateway.neighbours import Neighbours
from kilostack.wire.hosts import Beat, ChangesAsked, HostOps

_LOG = logging.getLogger("kilostack.gateway")

#: How often a service is asked what changed when no hint comes.
POLL_S = 0.5
BEAT_S = 1.0
#: A gateway that has not been able to beat for so long may have been taken for dead.
LAPSE_S = 4.0


class Watcher(Protocol):
    """One host's stream, as the follower sees it."""

    def named(self, keys: Iterable[str] | None) -> None:
        """These keys have changed, one of which it watches; None is anything."""


class Follower:
    """`lapsed` is called when the service may have taken this gateway for dead."""

    def __init__(
        self, ops: HostOps, world: World, neighbours: Neighbours, gateway_id: str, lapsed: Callable[[], None]
    ) -> None:
        self._ops, self._world, self._neighbours = ops, world, neighbours
        self._gateway_id, self._lapsed = gateway_id, lapsed
        # dictionaries, because their order is the same in each run
        self._watchers: defaultdict[str, dict[Watcher, None]] = defaultdict(dict)
        self._asking: dict[Watcher, None] = {}

    def watch(self, watcher: Watcher, keys: Iterable[str]) -> None:
        for key in keys:
            self._watchers[key][watcher] = None

    def unwatch(self, watcher: Watcher, keys: Iterable[str]) -> None:
        for key in keys:
            watchers = self._watchers[key]
            watchers.pop(watcher, None)
            if not watchers:
                del self._watchers[key]

    def asking(self, watcher: Watcher, *, begins: bool) -> None:
        """While a watcher asks for its state it is told of every change: it may be about to watch any key."""
        if begins:
            self._asking[watcher] = None
        else:
            self._asking.pop(watcher, None)

    async def follow(self, hints: Hints) -> None:
        """Ask for changes at each hint and twice a second, for ever, and tell those whom they concern."""
        listener = hints.listen(f"{self._ops.service}.feed")
        after = 0
        try:
            while True:
                try:
                    seen = await self._neighbours.once(self._ops.changes, ChangesAsked(after))
                except Error as error:
                    _LOG.warning("changes of %s: %s", self._ops.service, error)
                    await self._world.sleep(POLL_S)
                    continue
                self._tell(seen.keys if seen.complete else None)
                if seen.last == after:
                    await listener.wait(POLL_S)
                after = seen.last
        finally:
            listener.close()

    def _tell(self, keys: tuple[str, ...] | None) -> None:
        if keys is None:
            for watcher in self._everyone():
                watcher.named(None)
        elif keys:
            concerned = {watcher: None for key in keys for watcher in self._watchers.get(key, ())}
            for watcher in [*concerned, *(item for item in self._asking if item not in concerned)]:
                watcher.named(keys)

    def _everyone(self) -> list[Watcher]:
        return list({watcher: None for watchers in self._watchers.values() for watcher in watchers})

    async def beat(self) -> None:
        """Raise this gateway's beat once a second, for ever."""
        count, last = 0, self._world.monotonic()
        while True:
            try:
                await self._neighbours.once(self._ops.beat, Beat(self._gateway_id, count))
            except Error as error:
                _LOG.warning("beat for %s: %s", self._ops.service, error)
            else:
                now = self._world.monotonic()
                if now - last > LAPSE_S:
                    self._lapsed()
                count, last = count + 1, now
            await self._world.sleep(BEAT_S)
