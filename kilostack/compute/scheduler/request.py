"""What the scheduler is asked, what it knows of hosts, and what it answers."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One server that needs a host. `resources` is by resource class."""

    consumer: str
    project_id: str
    user_id: str
    resources: dict[str, int]
    #: None is any
    zone: str | None = None
    #: only this host; None is any
    host: str | None = None


class HostState(msgspec.Struct, frozen=True, kw_only=True):
    """A compute host, as far as placement does not know it."""

    name: str
    provider_id: str
    zone: str
    enabled: bool
    connected: bool


class HostsSeen(msgspec.Struct, frozen=True, kw_only=True):
    """Hosts as of a number of compute's feed."""

    last: int
    hosts: tuple[HostState, ...]
    #: names of hosts that are gone
    removed: tuple[str, ...] = ()
    #: these are all hosts, not only the changed ones
    whole: bool = False
    #: there is more to be had after `last`
    more: bool = False


class Hosts(Protocol):
    """Where the scheduler learns of hosts."""

    async def changed(self, after: int) -> HostsSeen:
        """Hosts that changed after a number, all of them after 0. Answering with all of them is always right."""


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """A host that was claimed, and why it was that one."""

    host: str
    provider_id: str
    record: dict[str, Any]
