"""Ports of servers that compute does not know: bound by a saga that is gone, and let go of here."""

from __future__ import annotations

import logging

from kilostack.core.context import internal
from kilostack.network.app.parts import Parts
from kilostack.network.app.server_ports import release
from kilostack.network.store import ports
from kilostack.network.store.changes import Change
from kilostack.network.store.tables import PORTS
from kilostack.store.database import Tx
from kilostack.wire.calls import Actor, Calls
from kilostack.wire.compute_calls import EXISTING, Servers

_LOG = logging.getLogger("kilostack.network.orphans")
_BATCH = 500
#: how long a server must have been unknown
PATIENCE_S = 600.0


class Orphans:
    """A slow sweep that should find nothing; what it removes is counted, because it is somebody's bug."""

    name = "orphan ports"

    def __init__(self, parts: Parts, calls: Calls, patience_s: float = PATIENCE_S) -> None:
        self._parts, self._calls, self._patience_s = parts, calls, patience_s
        self._actor = Actor(ctx=internal("req-network-orphans"))
        #: server -> since when nobody knows it, by this process's clock
        self._missing: dict[str, float] = {}
        self.removed = 0

    async def due(self) -> list[str]:
        """Servers that have been unknown for long enough."""
        now = self._parts.world.monotonic()
        bound = await self._parts.db.read(ports.servers)
        unknown: set[str] = set()
        for start in range(0, len(bound), _BATCH):
            batch = bound[start : start + _BATCH]
            known = await self._calls.call(EXISTING, Servers(tuple(batch)), self._actor)
            unknown |= set(batch) - set(known.ids)
        self._missing = {server_id: self._missing.get(server_id, now) for server_id in unknown}
        return sorted(server for server, since in self._missing.items() if now - since >= self._patience_s)

    async def work(self, key: str) -> None:
        """Let go of the ports of server `key`."""
        now = self._parts.world.now()

        async def unit(tx: Tx) -> int:
            change = Change(tx)
            bound = [port for port in await PORTS.where(tx, device_id=key) if port.slot is not None]
            count = await release(change, bound, now)
            await change.close()
            return count

        count = await self._parts.db.write(unit)
        self.removed += count
        _LOG.error("%d ports of a server that nobody knows were let go of", count, extra={"resource_id": key})
