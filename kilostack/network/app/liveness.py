"""Which hosts are alive: connected, and their gateway's beat has changed of late by this process's own clock."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from kilostack.core.errors import Unavailable
from kilostack.core.world import World
from kilostack.network.model.records import Gateway, Host
from kilostack.network.store import hosts
from kilostack.store.database import Database

_LOG = logging.getLogger("kilostack.network.liveness")

#: as the lease of a process: a beat that has been the same for this long is that of a dead gateway
SILENCE_S = 5.0


class Liveness:
    """What this process has seen of the gateways' beats, in memory only."""

    def __init__(self, world: World, silence_s: float = SILENCE_S) -> None:
        self._world, self._silence_s = world, silence_s
        self._seen: dict[str, tuple[int, float]] = {}

    def observe(self, beats: Mapping[str, Gateway]) -> None:
        """Take note of the beats as they are in the database now."""
        now = self._world.monotonic()
        self._seen = {
            name: known if (known := self._seen.get(name)) and known[0] == gateway.beat else (gateway.beat, now)
            for name, gateway in beats.items()
        }

    def is_alive(self, host: Host) -> bool:
        seen = self._seen.get(host.gateway)
        return host.connected and seen is not None and self._world.monotonic() - seen[1] < self._silence_s

    async def watch(self, db: Database) -> None:
        """Look at the beats for ever."""
        while True:
            try:
                self.observe(await db.read(hosts.beats))
            except Unavailable as error:
                # what was seen last grows old meanwhile, which is right
                _LOG.warning("beats of gateways cannot be read: %s", error)
            await self._world.sleep(self._silence_s / 2)
