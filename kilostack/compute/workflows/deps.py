"""What the sagas of compute work with."""

from __future__ import annotations

from typing import Protocol

import msgspec

from kilostack.compute.model.server import Server
from kilostack.compute.scheduler.request import Placement, Request
from kilostack.store.database import Database
from kilostack.wire.calls import Actor, Calls


class Chooser(Protocol):
    """The scheduler, as compute's sagas see it."""

    async def place(self, request: Request, actor: Actor, seed: int) -> Placement:
        """Choose a host and claim it; the same call again leaves one claim.

        Raises `Refused`, with the record in `facts` and whether only the connection of a host is missing, or
        `Unavailable`.
        """


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
