"""Compute's hosts as a scheduler wants to know them."""

from __future__ import annotations

from kilostack.compute.model.records import Host
from kilostack.compute.scheduler.request import HostsSeen, HostState
from kilostack.compute.store.tables import FEED, HOSTS
from kilostack.store.database import Database, Tx

_PREFIX = "host/"


class KnownHosts:
    """`compute.scheduler.request.Hosts` over compute's own rows and feed."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def changed(self, after: int) -> HostsSeen:
        async def unit(tx: Tx) -> HostsSeen:
            head = await FEED.head(tx)
            changes = await FEED.after(tx, after)
            if after <= 0 or after > head or not changes.complete:
                return HostsSeen(last=head, hosts=tuple(map(_state, await HOSTS.where(tx))), whole=True)
            names = [key.removeprefix(_PREFIX) for key in changes.keys if key.startswith(_PREFIX)]
            found = await HOSTS.within(tx, "name", names)
            gone = set(names) - {host.name for host in found}
            more = changes.last < head
            hosts = tuple(map(_state, found))
            return HostsSeen(last=changes.last, hosts=hosts, removed=tuple(sorted(gone)), more=more)

        return await self._db.read(unit)


def _state(host: Host) -> HostState:
    return HostState(
        name=host.name,
        provider_id=host.id,
        zone=host.zone,
        enabled=not host.disabled,
        connected=host.connected and not host.forced_down,
    )
