"""A guest that announces an IPv6 address as its own, whether it is or not."""

from __future__ import annotations

import ipaddress
import socket
import struct
from pathlib import Path


def announce(source: str, target: str, address: str, link: str = "eth0") -> None:
    """Send `target` an unasked neighbour advertisement that overrides what it knows of `address`."""
    mac = bytes.fromhex(Path(f"/sys/class/net/{link}/address").read_text().strip().replace(":", ""))
    body = struct.pack(">BBHI", 136, 0, 0, 0x20000000) + ipaddress.IPv6Address(address).packed + b"\x02\x01" + mac
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as wire:
        wire.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 255)
        wire.bind((source, 0))
        wire.sendto(body, (target, 0))
