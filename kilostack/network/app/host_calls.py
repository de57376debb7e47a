"""What gateways ask: connections of hosts, their desired state, and what they report."""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import ip_address

import msgspec

from kilostack.core.errors import Refused
from kilostack.network.app import placement
from kilostack.network.app.parts import Parts
from kilostack.network.app.reports import Report, fold
from kilostack.network.model.records import Host
from kilostack.network.store import host_state, hosts
from kilostack.network.store.changes import Change, ensure_fabric, revisions
from kilostack.network.store.tables import FEED, HOSTS
from kilostack.store.database import Tx
from kilostack.wire.calls import Actor, Nothing
from kilostack.wire.hosts import (
    Beat,
    ChangesAsked,
    ChangesSeen,
    Connect,
    Connected,
    Disconnect,
    HostState,
    HostStateAsked,
    Reported,
)

_KEPT = 2000
#: objects that many hosts are given alike
_SHARED = ("network/", "group/")


class HostCalls:
    """Answers the six calls of `wire.hosts.NETWORK`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        #: key -> (revision, the object as JSON); a revision never means two things
        self._made: OrderedDict[str, tuple[int, msgspec.Raw]] = OrderedDict()

    async def connect(self, asked: Connect, actor: Actor) -> Connected:
        now, seed = self._parts.world.now(), self._parts.world.random().getrandbits(32)
        address = _underlay(asked.facts.address)

        async def unit(tx: Tx) -> Connected:
            change = Change(tx)
            old = await HOSTS.find(tx, name=asked.host)
            new = Host(
                name=asked.host,
                gateway=asked.gateway,
                epoch=old.epoch + 1 if old else 1,
                connected=True,
                address=address,
                created_at=old.created_at if old else now,
                connected_at=now,
                agents=old.agents if old else {},
            )
            await hosts.write(tx, old, new)
            if old is None or old.address != address:
                await ensure_fabric(change)
            await placement.place_waiting(change, self._parts.liveness, seed)
            await change.close()
            return Connected(new.epoch)

        return await self._parts.db.write(unit)

    async def disconnect(self, asked: Disconnect, actor: Actor) -> Nothing:
        """The connection of that epoch is gone; a newer one is left alone."""

        async def unit(tx: Tx) -> Nothing:
            found = await HOSTS.find(tx, name=asked.host)
            if found is not None and found.epoch == asked.epoch and found.connected:
                await hosts.write(tx, found, hosts.disconnected(found))
            return Nothing()

        return await self._parts.db.write(unit)

    async def state(self, asked: HostStateAsked, actor: Actor) -> HostState:
        """What differs from what the host knows."""

        async def unit(tx: Tx) -> tuple[dict[str, int], dict[str, msgspec.Raw]]:
            needed = await host_state.needs(tx, asked.host)
            present = await revisions(tx, sorted(needed.keys))
            wanted = {key: revision for key, revision in present.items() if asked.known.get(key) != revision}
            changed = self._remembered(wanted)
            rest = {key: revision for key, revision in wanted.items() if key not in changed}
            for key, made in (await host_state.objects(tx, needed, rest)).items():
                changed[key] = msgspec.Raw(msgspec.json.encode(made))
            self._remember(rest, changed)
            return present, changed

        present, changed = await self._parts.db.read(unit)
        return HostState(
            changed=changed,
            revisions={key: present[key] for key in changed},
            removed=tuple(sorted(asked.known.keys() - present.keys())),
        )

    def _remembered(self, wanted: dict[str, int]) -> dict[str, msgspec.Raw]:
        return {
            key: known[1]
            for key, revision in wanted.items()
            if (known := self._made.get(key)) is not None and known[0] == revision
        }

    def _remember(self, fresh: dict[str, int], changed: dict[str, msgspec.Raw]) -> None:
        for key, revision in fresh.items():
            if key.startswith(_SHARED) and key in changed:
                self._made[key] = (revision, changed[key])
                self._made.move_to_end(key)
        while len(self._made) > _KEPT:
            self._made.popitem(last=False)

    async def changes(self, asked: ChangesAsked, actor: Actor) -> ChangesSeen:
        found = await self._parts.db.read(lambda tx: FEED.after(tx, asked.after))
        return ChangesSeen(last=found.last, keys=found.keys, complete=found.complete)

    async def report(self, asked: Reported, actor: Actor) -> Nothing:
        """Fold what a host has seen. Raises `Refused` when the host has connected anew since."""
        reports = [msgspec.json.decode(raw, type=Report) for raw in asked.reports]
        now = self._parts.world.now()

        async def unit(tx: Tx) -> Nothing:
            found = await HOSTS.find(tx, name=asked.host)
            if found is None or found.epoch != asked.epoch:
                raise Refused(f"host {asked.host} has another connection than that of epoch {asked.epoch}")
            await fold(Change(tx), asked.host, reports, now)
            return Nothing()

        return await self._parts.db.write(unit)

    async def beat(self, asked: Beat, actor: Actor) -> Nothing:
        now = self._parts.world.now()
        await self._parts.db.write(lambda tx: hosts.beat(tx, asked.gateway, asked.beat, now))
        return Nothing()


def _underlay(text: str) -> str:
    """Where the host's tunnels end; "" when it has not said."""
    try:
        return str(ip_address(text)) if text else ""
    except ValueError:
        return ""
