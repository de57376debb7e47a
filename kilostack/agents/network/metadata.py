"""The metadata server of a host: answers 169.254.169.254 for its own guests, without asking anyone.

Its listening sockets stand inside the DHCP and router namespaces, so the socket on which a question comes tells the
network, and the address it comes from, which no guest can forge, tells the port.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterable
from http import HTTPStatus

from kilostack.agents.network.metadata_tree import Document, View, find
from kilostack.agents.network.plan import Desired
from kilostack.core.world import World
from kilostack.drivers.net import names
from kilostack.drivers.net.port import NetworkDriver, NetworkFailed
from kilostack.wire.compute import Guest
from kilostack.wire.network import Port

#: Finds the desired guest that owns a port's device id.
FindGuest = Callable[[str], Guest | None]

#: "dhcp" or "router", and the short id of the network or router.
Place = tuple[str, str]

log = logging.getLogger(__name__)

_REQUEST_LIMIT = 8192
_REQUEST_S = 10.0
#: Per place: the guests of one network cannot take the turns of another's.
_MOST_AT_ONCE = 64


class MetadataService:
    """One server per place; a request is small, is read within a deadline, and ends its connection."""

    def __init__(self, world: World, driver: NetworkDriver, guest: FindGuest) -> None:
        self._world = world
        self._driver = driver
        self._guest = guest
        self._desired = Desired()
        self._servers: dict[Place, asyncio.Server | None] = {}

    def changed(self, desired: Desired) -> None:
        """Answer from this desired state from now on."""
        self._desired = desired

    async def listen(self, places: Iterable[Place]) -> None:
        """Answer at exactly these places."""
        wanted = set(places)
        for place in [place for place in self._servers if place not in wanted]:
            await self.leave(place)
        for place in sorted(wanted - self._servers.keys()):
            try:
                listener = await self._open(place)
                self._servers[place] = await self._serve(place, listener) if listener else None
            except NetworkFailed as error:
                log.warning("metadata is not answered", extra={"place": "/".join(place), "error": str(error)})

    async def leave(self, place: Place) -> None:
        """Stop answering there."""
        if (server := self._servers.pop(place, None)) is not None:
            server.close()

    async def close(self) -> None:
        """Stop answering anywhere."""
        for place in list(self._servers):
            await self.leave(place)

    async def _open(self, place: Place) -> socket.socket | None:
        kind, key = place
        return await (self._driver.dhcp_listener(key) if kind == "dhcp" else self._driver.router_listener(key))

    async def _serve(self, place: Place, listener: socket.socket) -> asyncio.Server:
        free = asyncio.Semaphore(_MOST_AT_ONCE)

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                async with free, self._world.timeout(_REQUEST_S):
                    writer.write(await self._answer(place, reader, writer.get_extra_info("peername")[0]))
                    await writer.drain()
            except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):
                return
            finally:
                writer.close()

        return await asyncio.start_server(answer, sock=listener, limit=_REQUEST_LIMIT)

    async def _answer(self, place: Place, reader: asyncio.StreamReader, source: str) -> bytes:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _response(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, None)
        return respond(head, self._view(place, source))

    def _view(self, place: Place, source: str) -> View | None:
        """The guest behind an address as seen from a place."""
        port = self._port(place, source)
        guest = self._guest(port.device_id) if port else None
        if port is None or guest is None:
            return None
        by_id = {item.id: item for item in self._desired.ports.values() if item.device_id == guest.id}
        cards = [by_id[nic.port_id] for nic in guest.nics if nic.port_id in by_id]
        return View(
            guest=guest,
            ports=tuple(cards),
            networks=self._desired.networks,
            floating_ip=self._floating_ip(port, source),
            seed=lambda: os.urandom(512),
        )

    def _port(self, place: Place, source: str) -> Port | None:
        networks = self._networks(place)
        for port in self._desired.ports.values():
            if port.network_id in networks and any(address == source for _, address in port.fixed_ips):
                return port
        return None

    def _networks(self, place: Place) -> set[str]:
        kind, key = place
        if kind == "dhcp":
            return {network for network in self._desired.networks if names.short(network) == key}
        return {
            leg.network_id
            for router in self._desired.routers.values()
            if names.short(router.id) == key
            for leg in router.legs
        }

    def _floating_ip(self, port: Port, address: str) -> str:
        for router in self._desired.routers.values():
            if any(leg.network_id == port.network_id for leg in router.legs):
                for item in router.floating_ips:
                    if item.fixed_ip == address:
                        return item.floating_ip
        return ""


def respond(head: bytes, view: View | None) -> bytes:
    """The whole answer to a request whose head is `head`; `view` is None where no guest asks."""
    words = head.split(b"\r\n", 1)[0].split()
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        return _response(HTTPStatus.BAD_REQUEST, None)
    method, target = words[0], words[1].decode("latin-1")
    if method not in (b"GET", b"HEAD"):
        return _response(HTTPStatus.METHOD_NOT_ALLOWED, None)
    if target.startswith("http://"):
        target = "/" + target.removeprefix("http://").partition("/")[2]
    document = find(view, target.partition("?")[0].partition("#")[0]) if view else None
    status = HTTPStatus.OK if document else HTTPStatus.NOT_FOUND
    return _response(status, document, with_body=method == b"GET")


def _response(status: HTTPStatus, document: Document | None, *, with_body: bool = True) -> bytes:
    if document is None:
        document = Document(f"{status.value} {status.phrase}\n".encode())
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"Content-Type: {document.content_type}\r\n"
        f"Content-Length: {len(document.body)}\r\n"
        + ("Allow: GET, HEAD\r\n" if status is HTTPStatus.METHOD_NOT_ALLOWED else "")
        + "Connection: close\r\n\r\n"
    )
    return head.encode("latin-1") + (document.body if with_body else b"")
