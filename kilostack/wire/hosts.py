"""What a gateway asks of every service that has desired state on hosts: the same six calls for each.

A stream is one service's desired state of one host: objects by key, each with its own revision. `state` answers with
what differs from what the host already knows, so nothing is remembered per host but what it was last given.
"""

from __future__ import annotations

import msgspec

from kilostack.wire.calls import Nothing, Op
from kilostack.wire.compute import HostFacts


class Connect(msgspec.Struct, frozen=True, kw_only=True):
    """A host's agent has connected to a gateway."""

    host: str
    gateway: str
    facts: HostFacts


class Connected(msgspec.Struct, frozen=True):
    """The epoch that reports of this connection carry; lower ones are refused from now on."""

    epoch: int


class Disconnect(msgspec.Struct, frozen=True):
    host: str
    epoch: int


class HostStateAsked(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    #: key -> revision that the host has
    known: dict[str, int] = {}


class HostState(msgspec.Struct, frozen=True, kw_only=True):
    """The difference between what the host knows and what should be."""

    #: key -> object as JSON, for keys that are new or newer than known
    changed: dict[str, msgspec.Raw] = {}
    #: key -> revision of each changed object
    revisions: dict[str, int] = {}
    #: known keys that are no longer part of this host's desired state
    removed: tuple[str, ...] = ()


class ChangesAsked(msgspec.Struct, frozen=True):
    after: int


class ChangesSeen(msgspec.Struct, frozen=True):
    """Keys after a number; a gateway asks anew for hosts that know one of them, or that "host/<name>" names."""

    last: int
    keys: tuple[str, ...]
    complete: bool = True


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """Reports of one host, in order; each is a report struct of that service as JSON, with its type in "kind"."""

    host: str
    epoch: int
    reports: tuple[msgspec.Raw, ...]


class Beat(msgspec.Struct, frozen=True):
    """A gateway is alive; one row for all its hosts."""

    gateway: str
    beat: int


class HostOps:
    """The calls of one service."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.connect: Op[Connect, Connected] = Op(f"{service}.connect_host", Connect, Connected)
        self.disconnect: Op[Disconnect, Nothing] = Op(f"{service}.disconnect_host", Disconnect, Nothing)
        self.state: Op[HostStateAsked, HostState] = Op(f"{service}.host_state", HostStateAsked, HostState)
        self.changes: Op[ChangesAsked, ChangesSeen] = Op(f"{service}.host_changes", ChangesAsked, ChangesSeen)
        self.report: Op[Reported, Nothing] = Op(f"{service}.report_host", Reported, Nothing)
        self.beat: Op[Beat, Nothing] = Op(f"{service}.beat_gateway", Beat, Nothing)


COMPUTE = HostOps("compute")
NETWORK = HostOps("network")
