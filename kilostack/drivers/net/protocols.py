"""The protocol names that a security group rule may carry, and their numbers."""

from __future__ import annotations

_NUMBERS = {
    "ah": 51,
    "dccp": 33,
    "egp": 8,
    "esp": 50,
    "gre": 47,
    "icmp": 1,
    "icmpv6": 58,
    "igmp": 2,
    "ipip": 4,
    "ipv6-encap": 41,
    "ipv6-frag": 44,
    "ipv6-icmp": 58,
    "ipv6-nonxt": 59,
    "ipv6-opts": 60,
    "ipv6-route": 43,
    "ospf": 89,
    "pgm": 113,
    "rsvp": 46,
    "sctp": 132,
    "tcp": 6,
    "udp": 17,
    "udplite": 136,
    "vrrp": 112,
}

#: Protocols whose port range is a range of ports.
PORT_NUMBERS = frozenset({6, 17, 33, 132, 136})

#: Protocols whose port range is a type and a code, and how nft calls their header.
ICMP_NUMBERS = {1: "icmp", 58: "icmpv6"}


def protocol_number(protocol: str | None, ethertype: str) -> int | None:
    """The number of a rule's protocol; None for any. In IPv6, `icmp` means ICMPv6, as in the API.

    Raises `ValueError` for a name that the API does not know.
    """
    if protocol is None or protocol == "any":
        return None
    number = _NUMBERS.get(protocol)
    if number is None:
        number = int(protocol)
    return 58 if number == 1 and ethertype == "IPv6" else number
