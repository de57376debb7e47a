"""What the host's agent needs from networks: every verb may be called at any time and again after a crash."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from kilostack.wire.network import Group, Network, Port, Router


class NetworkFailed(Exception):
    """The host could not be made as wanted; the text says what was tried and what the machine said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What is on the host, by the short ids (`names.short`) that names carry. Read from the host, never remembered."""

    networks: frozenset[str] = frozenset()
    dhcp: frozenset[str] = frozenset()
    routers: frozenset[str] = frozenset()
    #: port -> whether a process has its tap open
    ports: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterInput:
    """Everything that the packet filter of a host is made from."""

    ports: Mapping[str, Port]
    networks: Mapping[str, Network]
    groups: Mapping[str, Group]


class NetworkDriver(Protocol):
    """Networks, ports, DHCP and routers of one host. All verbs raise `NetworkFailed`.

    `ensure_*` changes only what differs, so that what runs is not disturbed; `remove_*` of what is not there is done.
    A new driver on the same host finds what an earlier one made.
    """

    async def observe(self) -> Observed: ...

    async def ensure_host(self) -> None:
        """What all networks of the host share. Called first, and in each sweep."""

    async def ensure_network(self, network: Network, tunnels: Mapping[str, str]) -> None:
        """The network's segment, and its forwarding entries towards the hosts in `tunnels` (host -> address)."""

    async def ensure_port(self, port: Port, network: Network) -> None:
        """The port's tap, plugged into its network, which must exist. A tap that is there already is kept."""

    async def ensure_filter(self, policy: FilterInput) -> None:
        """Anti-spoofing and security groups for exactly these ports, in one step. What runs over a connection that is
        no longer allowed stops."""

    async def ensure_dhcp(self, network: Network) -> None:
        """Leases and names of a network that has a DHCP port."""

    async def ensure_router(self, router: Router, networks: Mapping[str, Network]) -> None:
        """The router with its legs and addresses; `networks` holds at least those of its legs and its gateway."""

    async def remove_port(self, port: str) -> None:
        """By short id, as all of these. The caller has made sure that no guest uses the tap."""

    async def remove_dhcp(self, network: str) -> None: ...

    async def remove_network(self, network: str) -> None: ...

    async def remove_router(self, router: str) -> None: ...

    async def remove_host(self) -> None:
        """What `ensure_host` and `ensure_filter` made. Called last."""

    async def dhcp_listener(self, network: str) -> socket.socket | None:
        """A listening socket for metadata where the network's guests reach it; None where there are no real guests."""

    async def router_listener(self, router: str) -> socket.socket | None:
        """The same at a router, for guests that send everything to it."""
