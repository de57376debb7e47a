"""A server: its states, what may be done in which state, and its record."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from kilostack.core.errors import Conflict, IllegalTransition
from kilostack.wire.network_calls import ServerNetworking, WantedNic


class ServerState(StrEnum):
    """What the API shows as the status of an idle server."""

    BUILD = "BUILD"
    ACTIVE = "ACTIVE"
    SHUTOFF = "SHUTOFF"
    ERROR = "ERROR"


class ServerEvent(StrEnum):
    """What can happen to a server."""

    GUEST_RUNNING = "guest_running"
    GUEST_STOPPED = "guest_stopped"
    GUEST_FAILED = "guest_failed"
    BUILD_FAILED = "build_failed"


TRANSITIONS: dict[tuple[ServerState, ServerEvent], ServerState] = {
    (ServerState.BUILD, ServerEvent.GUEST_RUNNING): ServerState.ACTIVE,
    # a guest that halts at once has been running
    (ServerState.BUILD, ServerEvent.GUEST_STOPPED): ServerState.SHUTOFF,
    (ServerState.BUILD, ServerEvent.GUEST_FAILED): ServerState.ERROR,
    (ServerState.BUILD, ServerEvent.BUILD_FAILED): ServerState.ERROR,
    (ServerState.ACTIVE, ServerEvent.GUEST_RUNNING): ServerState.ACTIVE,
    (ServerState.ACTIVE, ServerEvent.GUEST_STOPPED): ServerState.SHUTOFF,
    (ServerState.ACTIVE, ServerEvent.GUEST_FAILED): ServerState.ERROR,
    (ServerState.SHUTOFF, ServerEvent.GUEST_RUNNING): ServerState.ACTIVE,
    (ServerState.SHUTOFF, ServerEvent.GUEST_STOPPED): ServerState.SHUTOFF,
    (ServerState.SHUTOFF, ServerEvent.GUEST_FAILED): ServerState.ERROR,
    (ServerState.ERROR, ServerEvent.GUEST_RUNNING): ServerState.ACTIVE,
    (ServerState.ERROR, ServerEvent.GUEST_STOPPED): ServerState.SHUTOFF,
    (ServerState.ERROR, ServerEvent.GUEST_FAILED): ServerState.ERROR,
    (ServerState.ERROR, ServerEvent.BUILD_FAILED): ServerState.ERROR,
}

#: verb -> states in which it is legal for an idle server; others are a 409
LEGAL: dict[str, frozenset[ServerState]] = {
    "start": frozenset({ServerState.SHUTOFF}),
    "stop": frozenset({ServerState.ACTIVE, ServerState.ERROR}),
    "reboot_soft": frozenset({ServerState.ACTIVE}),
    "reboot_hard": frozenset({ServerState.ACTIVE, ServerState.SHUTOFF, ServerState.ERROR}),
}


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Why a server is in ERROR, for its owner."""

    code: int
    message: str
    created_at: int
    details: str = ""


class FlavorFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A flavor as it was when the server was made."""

    id: str
    name: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    ephemeral_gib: int = 0
    swap_mib: int = 0
    extra_specs: dict[str, str] = {}


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """The record. `state` changes only by `after`; `task_state` and `saga_id` only through the workflow package."""

    id: str
    cell: int = 1
    project_id: str
    user_id: str
    name: str
    hostname: str
    description: str | None = None
    flavor: FlavorFacts
    image_id: str
    image_properties: dict[str, str] = {}
    key_name: str | None = None
    #: name -> public key line, as it was at create
    keys: dict[str, str] = {}
    #: base64
    user_data: str | None = None
    metadata: dict[str, str] = {}
    state: ServerState = ServerState.BUILD
    task_state: str | None = None
    #: the one saga that works on this server; the lock of its verbs
    saga_id: str | None = None
    host: str | None = None
    #: asked for by the user; None is any
    wanted_zone: str | None = None
    fault: Fault | None = None
    created_at: int
    updated_at: int
    launched_at: int | None = None
    reservation_id: str
    launch_index: int = 0
    nics: tuple[WantedNic, ...] = ()
    #: ids, as checked at create
    wanted_groups: tuple[str, ...] = ()
    networking: ServerNetworking = ServerNetworking()
    disk_config: str = "MANUAL"
    config_drive: bool = False
    access_ip_v4: str = ""
    access_ip_v6: str = ""
    locked: bool = False
    #: by an administrator, so that its owner cannot unlock it
    locked_by_admin: bool = False
    locked_reason: str | None = None
    tags: tuple[str, ...] = ()
    generation: int = 1
    revision: int = 1

    def after(self, event: ServerEvent) -> ServerState:
        """The state once `event` has happened. Raises `IllegalTransition`."""
        if (target := TRANSITIONS.get((self.state, event))) is None:
            raise IllegalTransition(f"server {self.id} is {self.state}: {event}")
        return target

    def check_idle(self, verb: str) -> None:
        """Raise `Conflict` unless nothing is under way and the verb is legal in this state."""
        if self.saga_id is not None or self.task_state is not None:
            shown = self.task_state or "busy"
            raise Conflict(f"Cannot '{verb.split('_')[0]}' instance {self.id} while it is in task_state {shown}")
        if self.state not in LEGAL[verb]:
            raise Conflict(
                f"Cannot '{verb.split('_')[0]}' instance {self.id} while it is in vm_state {vm_state(self.state)}"
            )


def vm_state(state: ServerState) -> str:
    """The word of OS-EXT-STS:vm_state."""
    return {"BUILD": "building", "ACTIVE": "active", "SHUTOFF": "stopped", "ERROR": "error"}[state]
