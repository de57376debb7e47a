"""The kernel's table of tracked connections: read it, mark entries, drop entries.

Spoken to by netlink directly: the `conntrack` tool cannot change an entry that lies in a zone.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from kilostack.drivers.net.flows import Flow

_NETLINK_NETFILTER = 12
_SUBSYSTEM = 1 << 8
_NEW, _GET, _DELETE = _SUBSYSTEM | 0, _SUBSYSTEM | 1, _SUBSYSTEM | 2
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3
_NESTED = 0x8000

_TUPLE_ORIG, _TUPLE_REPLY, _MARK, _ZONE = 1, 2, 8, 18
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_PROTO_NUM, _DST_PORT = 1, 3
_ICMP_TYPE, _ICMP_CODE, _ICMP6_TYPE, _ICMP6_CODE = 5, 6, 8, 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A tracked connection."""

    flow: Flow
    #: to which its replies go
    reply_target: str
    zone: int
    mark: int
    family: int
    key: bytes


class Conntrack:
    """The table of the network namespace in which it is opened. Use as a context manager."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.settimeout(10)
        self._socket.bind((0, 0))

    def __enter__(self) -> Conntrack:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def entries(self) -> list[Entry]:
        """All connections over IPv4 and IPv6."""
        return [
            entry
            for family in (socket.AF_INET, socket.AF_INET6)
            for payload in self._ask(_GET, _REQUEST | _DUMP, family, b"")
            if (entry := _parse(payload)) is not None
        ]

    def mark(self, entry: Entry, mark: int) -> None:
        """Set the mark of a connection that may be gone by now."""
        body = entry.key + _attribute(_MARK, struct.pack(">I", mark))
        self._tell(_NEW, entry.family, body)

    def delete(self, entry: Entry) -> None:
        """Forget a connection that may be gone by now."""
        self._tell(_DELETE, entry.family, entry.key)

    def _tell(self, kind: int, family: int, body: bytes) -> None:
        try:
            for _ in self._ask(kind, _REQUEST | _ACK, family, body):
                pass
        except FileNotFoundError:
            return

    def _ask(self, kind: int, flags: int, family: int, body: bytes) -> Iterator[bytes]:
        payload = struct.pack("=BBH", family, 0, 0) + body
        self._socket.send(struct.pack("=IHHII", 16 + len(payload), kind, flags, 1, 0) + payload)
        while True:
            data = self._socket.recv(1 << 20)
            while data:
                length, answer = struct.unpack_from("=IH", data)
                if answer == _ERROR:
                    _check(struct.unpack_from("=i", data, 16)[0])
                    return
                if answer == _DONE:
                    return
                yield data[16:length]
                data = data[(length + 3) & ~3 :]


def _check(code: int) -> None:
    if code:
        raise OSError(-code, f"conntrack: error {-code}")


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[4:length]
        data = data[(length + 3) & ~3 :]
    return found


def _parse(payload: bytes) -> Entry | None:
    family = payload[0]
    fields = _attributes(payload[4:])
    if _TUPLE_ORIG not in fields:
        return None
    original, reply = _attributes(fields[_TUPLE_ORIG]), _attributes(fields.get(_TUPLE_REPLY, b""))
    protocol = _attributes(original.get(_TUPLE_PROTO, b""))
    source, target = _addresses(original)
    zone = fields.get(_ZONE, b"\0\0")
    return Entry(
        flow=Flow(
            source=source,
            target=target,
            protocol=protocol.get(_PROTO_NUM, b"\0")[0],
            port=int.from_bytes(protocol.get(_DST_PORT, b""), "big"),
            icmp=(
                protocol.get(_ICMP_TYPE, protocol.get(_ICMP6_TYPE, b"\0"))[0],
                protocol.get(_ICMP_CODE, protocol.get(_ICMP6_CODE, b"\0"))[0],
            ),
        ),
        reply_target=_addresses(reply)[1] if reply else "",
        zone=int.from_bytes(zone, "big"),
        mark=int.from_bytes(fields.get(_MARK, b""), "big"),
        family=family,
        key=_attribute(_TUPLE_ORIG | _NESTED, fields[_TUPLE_ORIG]) + (_attribute(_ZONE, zone) if any(zone) else b""),
    )


def _addresses(fields: dict[int, bytes]) -> tuple[str, str]:
    """Source and destination; attributes 1 and 2 carry IPv4, 3 and 4 carry IPv6."""
    found = _attributes(fields.get(_TUPLE_IP, b""))
    source, target = found.get(1, found.get(3, b"")), found.get(2, found.get(4, b""))
    return str(ip_address(source)), str(ip_address(target))
