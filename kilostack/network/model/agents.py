"""Agents as operators know them: rows that each host's one agent stands for."""

from __future__ import annotations

import uuid

import msgspec

from kilostack.network.model.records import AgentChange, Host

_SPACE = uuid.UUID("6ff3f0e4-1b0c-5a55-9a4e-5f0a3c1f2c11")


class Kind(msgspec.Struct, frozen=True):
    type: str
    binary: str
    topic: str
    has_zone: bool


L3_BINARY = "neutron-l3-agent"
KINDS = (
    Kind("Linux bridge agent", "neutron-linuxbridge-agent", "N/A", False),
    Kind("DHCP agent", "neutron-dhcp-agent", "dhcp_agent", True),
    Kind("L3 agent", L3_BINARY, "l3_agent", True),
    Kind("Metadata agent", "neutron-metadata-agent", "N/A", False),
)


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    kind: Kind
    host: Host
    alive: bool
    heartbeat_at: int
    change: AgentChange


def agent_id(kind: Kind, host: str) -> str:
    """The same for as long as the host has its name."""
    return str(uuid.uuid5(_SPACE, f"{kind.binary}/{host}"))


def of_host(host: Host, *, alive: bool, heartbeat_at: int) -> list[Agent]:
    return [
        Agent(
            id=agent_id(kind, host.name),
            kind=kind,
            host=host,
            alive=alive,
            heartbeat_at=heartbeat_at,
            change=host.agents.get(kind.binary, AgentChange()),
        )
        for kind in KINDS
    ]
