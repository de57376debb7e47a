"""Ports: who owns them, and which hosts hear of a change."""

from __future__ import annotations

import random

from kilostack.network.model.records import Port

DHCP = "network:dhcp"
ROUTER_INTERFACE = "network:router_interface"
ROUTER_GATEWAY = "network:router_gateway"
FLOATING_IP = "network:floatingip"
COMPUTE_PREFIX = "compute:"
#: owners whose ports are removed through the resource that they serve
SERVICE_OWNERS = frozenset((ROUTER_INTERFACE, ROUTER_GATEWAY, FLOATING_IP))
#: owners whose ports go with their network or subnet
AUTOMATIC_OWNERS = frozenset((DHCP,))
_OUI = "fa:16:3e"


def draw_macs(chance: random.Random, count: int = 4) -> tuple[str, ...]:
    """Candidates for the MAC of a new port; the first that its network does not have is taken."""
    return tuple(
        _OUI + "".join(f":{byte:02x}" for byte in chance.getrandbits(24).to_bytes(3, "big")) for _ in range(count)
    )


def is_guest(port: Port) -> bool:
    """A host makes a tap for it once it is bound."""
    return bool(port.device_id) and not port.device_owner.startswith("network:")


def server_of(port: Port) -> str | None:
    """The server whose card the port is. What a port's owner writes into `device_id` makes it nobody's card: else
    anybody could put addresses into a server of somebody else."""
    return port.device_id if port.slot is not None and port.device_owner.startswith(COMPUTE_PREFIX) else None


def router_of(port: Port) -> str | None:
    """The router that the port belongs to."""
    return port.device_id if port.device_owner in (ROUTER_INTERFACE, ROUTER_GATEWAY) else None


def for_host(port: Port) -> tuple[object, ...]:
    """What the port's own host is told of it."""
    return (
        port.mac_address,
        port.fixed_ips,
        port.device_id,
        port.security_groups,
        port.port_security_enabled,
        port.admin_state_up,
        port.allowed_address_pairs,
        is_guest(port),
    )


def for_network(port: Port) -> tuple[object, ...]:
    """What every host of its network is told of it."""
    return (port.mac_address, port.fixed_ips, port.device_id, port.device_owner, port.host, port.hostname)


def for_groups(port: Port) -> tuple[object, ...]:
    """What members of its groups are told of it."""
    return (port.fixed_ips, port.allowed_address_pairs)


def for_server(port: Port) -> tuple[object, ...]:
    """What compute shows of it."""
    return (server_of(port), port.mac_address, port.fixed_ips, port.security_groups, port.slot)
