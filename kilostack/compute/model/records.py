"""The smaller records of compute."""

from __future__ import annotations

from typing import Any

import msgspec

from kilostack.wire.compute import Guest, HostFacts


class Flavor(msgspec.Struct, frozen=True, kw_only=True):
    """A size of servers. `id` is the public flavor id."""

    id: str
    name: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    ephemeral_gib: int = 0
    swap_mib: int = 0
    rxtx_factor: str = "1.0"
    public: bool = True
    disabled: bool = False
    description: str | None = None
    extra_specs: dict[str, str] = {}
    created_at: int
    generation: int = 1
    revision: int = 1


class Keypair(msgspec.Struct, frozen=True, kw_only=True):
    """A public key of a user, by name."""

    user_id: str
    name: str
    #: a number shown by the API
    number: int
    type: str
    public_key: str
    fingerprint: str
    created_at: int


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """A compute host: what it has, and the connection of its agent."""

    name: str
    #: UUID of the hypervisor and of the resource provider
    id: str
    #: UUID and number of the nova-compute service row
    service_id: str
    number: int
    facts: HostFacts
    zone: str = "nova"
    gateway: str = ""
    #: raised by each connection; reports with a lower one are refused
    epoch: int = 0
    connected: bool = False
    disabled: bool = False
    disabled_reason: str | None = None
    forced_down: bool = False
    created_at: int
    updated_at: int
    generation: int = 1
    revision: int = 1


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """The desired guest of a server on a host, and what the host last said of it."""

    server_id: str
    host: str
    #: raised with every change of `guest` or `removing`
    revision: int
    guest: Guest
    #: the guest should go; the row goes when its host says "absent"
    removing: bool = False
    observed: str = ""
    observed_revision: int = 0
    observed_boot: int = 0
    updated_at: int


class ServerAction(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a server's history (os-instance-actions)."""

    server_id: str
    request_id: str
    action: str
    user_id: str
    project_id: str
    started_at: int
    updated_at: int
    message: str | None = None
    #: name, started_at, finished_at, result, host
    events: tuple[dict[str, Any], ...] = ()


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Why a server came to be where it is, as it was decided; written once per attempt."""

    server_id: str
    saga_id: str
    at: int
    #: "placed on HOST" or why not
    outcome: str
    host: str | None
    #: {"asked": {...}, "rules": [{"rule", "left", "removed": {host: number}}], "weights": {...}, "tried": [...]}
    record: dict[str, Any]


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """The lock row of a project's quota: what it uses, and limits that differ from the defaults."""

    project_id: str
    servers: int = 0
    cores: int = 0
    memory_mib: int = 0
    limits: dict[str, int] = {}
