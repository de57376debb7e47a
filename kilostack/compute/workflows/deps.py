"""What the sagas of compute work with."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from kilostack.compute.model.server import Server
from kilostack.store.database import Database
from kilostack.wire.calls import Actor, Calls


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """Where a server goes, claimed; `record` says why."""

    host: str
    provider_id: str
    record: dict[str, Any]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a server needs of a host."""

    server_id: str
    resources: dict[str, int]
    project_id: str
    user_id: str
    zone: str | None = None
    host: str | None = None


class Chooser(Protocol):
    """The scheduler, as compute's sagas see it."""

    async def place(self, wanted: Wanted, actor: Actor) -> Chosen:
        """Choose a host and claim it. Raises `Refused` (with the record in `facts`) or `Unavailable`."""


class Deps(msgspec.Struct, frozen=True, kw_only=True):
    db: Database
    calls: Calls
    chooser: Chooser


def resources(server: Server) -> dict[str, int]:
    """What placement counts for a server, by resource class."""
    flavor = server.flavor
    counted = {
        "VCPU": flavor.vcpus,
        "MEMORY_MB": flavor.memory_mib,
        "DISK_GB": flavor.disk_gib + flavor.ephemeral_gib,
    }
    return {name: amount for name, amount in counted.items() if amount > 0}
