"""What the protocol of a security group rule means to nftables."""

from __future__ import annotations

from kilostack.core.protocols import NUMBERS

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
    number = NUMBERS.get(protocol)
    if number is None:
        number = int(protocol)
    return 58 if number == 1 and ethertype == "IPv6" else number
