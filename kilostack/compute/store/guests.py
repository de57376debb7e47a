"""Desired guests on hosts: what a host should run, and what it said of it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from sqlalchemy import select

from kilostack.compute.model.records import Placed
from kilostack.compute.store.tables import FEED, GUESTS, guests
from kilostack.core.world import Micros
from kilostack.store.database import Tx
from kilostack.store.sql import Query, p
from kilostack.wire.compute import GUEST_PREFIX, Guest
from kilostack.wire.hosts import HostState

_ON_HOST = Query(select(guests.c.server_id, guests.c.revision, guests.c.removing).where(guests.c.host == p("host")))


async def place(tx: Tx, host: str, guest: Guest, now: Micros) -> None:
    """Desire a guest on a host."""
    placed = Placed(server_id=guest.id, host=host, revision=guest.generation, guest=guest, updated_at=now)
    await GUESTS.insert(tx, placed)
    await _announce(tx, placed)


async def change(tx: Tx, placed: Placed, now: Micros, edit: Callable[[Guest], Guest]) -> Placed:
    """Desire the same guest otherwise, one revision further."""
    revision = placed.revision + 1
    guest = msgspec.structs.replace(edit(placed.guest), generation=revision)
    changed = msgspec.structs.replace(placed, revision=revision, guest=guest, updated_at=now)
    await GUESTS.update(tx, changed)
    await _announce(tx, changed)
    return changed


async def withdraw(tx: Tx, placed: Placed, now: Micros) -> None:
    """Desire that the guest goes."""
    changed = msgspec.structs.replace(placed, revision=placed.revision + 1, removing=True, updated_at=now)
    await GUESTS.update(tx, changed)
    await _announce(tx, changed)


async def _announce(tx: Tx, placed: Placed) -> None:
    await FEED.append(tx, [GUEST_PREFIX + placed.server_id, "host/" + placed.host])


async def host_state(tx: Tx, host: str, known: dict[str, int]) -> HostState:
    """What a host that knows `known` has to learn.

    A guest that is being removed is named as removed even when the host does not know it: someone waits to hear that it
    is gone.
    """
    rows = await tx.all(_ON_HOST, host=host)
    now = {GUEST_PREFIX + server_id: revision for server_id, revision, removing in rows if not removing}
    going = {GUEST_PREFIX + server_id for server_id, _, removing in rows if removing}
    newer = [key for key, revision in now.items() if known.get(key) != revision]
    found = await GUESTS.within(tx, "server_id", [key.removeprefix(GUEST_PREFIX) for key in newer])
    changed = {GUEST_PREFIX + placed.server_id: msgspec.Raw(msgspec.json.encode(placed.guest)) for placed in found}
    return HostState(
        changed=changed,
        revisions={key: now[key] for key in changed},
        removed=tuple(sorted(going.union(key for key in known if key not in now))),
    )
