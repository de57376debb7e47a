"""What devices and namespaces are called, so that each can be found again from the id it stands for.

A device name has 15 characters at most, hence the first 11 of an id (40 bits), as operators of OpenStack know them.
"""

from __future__ import annotations

ID_LENGTH = 11

BRIDGE = "brq"
TAP = "tap"
VXLAN = "vx"
#: host ends of the veth pairs to a DHCP namespace, a router's leg, a router's gateway and a name service link
DHCP = "ksd"
LEG = "ksr"
GATEWAY = "ksg"
NAMES = "kss"

#: ends inside namespaces
INNER_DHCP = "ns-"
INNER_LEG = "qr-"
INNER_GATEWAY = "qg-"
INNER_NAMES = "dns"


def short(identifier: str) -> str:
    """The part of an id that names carry."""
    return identifier[:ID_LENGTH]


def bridge(network_id: str) -> str:
    return BRIDGE + short(network_id)


def vxlan(vni: int) -> str:
    return f"{VXLAN}{vni}"


def dhcp_namespace(prefix: str, network_id: str) -> str:
    return f"{prefix}-dhcp-{short(network_id)}"


def router_namespace(prefix: str, router_id: str) -> str:
    return f"{prefix}-router-{short(router_id)}"


def shorts_after(prefix: str, names: frozenset[str]) -> frozenset[str]:
    """The short ids of those `names` that are `prefix` and a short id."""
    size = len(prefix) + ID_LENGTH
    return frozenset(name[len(prefix) :] for name in names if name.startswith(prefix) and len(name) == size)
