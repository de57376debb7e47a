"""The gateway: takes connections, knows which host is on which, and is asked for consoles."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from kilostack.bus.hints import Hints
from kilostack.core.errors import NotFound, Unavailable
from kilostack.core.world import World
from kilostack.gateway.bulk import Bulk, refuse
from kilostack.gateway.connection import Connection
from kilostack.gateway.follower import Follower
from kilostack.gateway.lane import Lane, Link
from kilostack.gateway.neighbours import Neighbours
from kilostack.gateway.tickets import ConsoleAwaited, ImageGrant, Tickets
from kilostack.wire import agent
from kilostack.wire.calls import Calls
from kilostack.wire.framing import Channel, Closed
from kilostack.wire.hosts import COMPUTE, NETWORK, Connect, HostOps, HostStateAsked

_LOG = logging.getLogger("kilostack.gateway")

OPENING_S = 10.0
CONSOLE_S = 10.0


class GatewayParts(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway is made from. `services` have desired state on hosts."""

    world: World
    calls: Calls
    hints: Hints
    services: Sequence[HostOps] = (COMPUTE, NETWORK)


class _ImageId(msgspec.Struct, frozen=True):
    id: str


class _GuestImage(msgspec.Struct, frozen=True):
    """As much of a guest as a gateway understands."""

    image: _ImageId


class Gateway:
    """Holds connections and nothing else: all of it can be lost at any time."""

    def __init__(self, parts: GatewayParts) -> None:
        self._parts, self._world = parts, parts.world
        self.id = parts.world.new_id()
        self._neighbours = Neighbours(parts.world, parts.calls)
        self._tickets = Tickets(parts.world)
        self._bulk = Bulk(parts.world, self._neighbours, self._tickets)
        self._connections: dict[str, Connection] = {}
        self._is_closing = False
        self._loops: list[asyncio.Task[None]] = []
        self._followers = {
            ops.service: Follower(ops, parts.world, self._neighbours, self.id, self._lapsed) for ops in parts.services
        }

    async def start(self) -> None:
        """Follow the services and beat. Call it once, before connections are given to `accept`."""
        for service, follower in self._followers.items():
            self._loops.append(self._world.spawn(follower.follow(self._parts.hints), f"follow {service}"))
            self._loops.append(self._world.spawn(follower.beat(), f"beat for {service}"))

    async def close(self) -> None:
        """End all connections and tell the services that the hosts are gone from here."""
        self._is_closing = True
        held = list(self._connections.values())
        for connection in held:
            connection.close("the gateway stops")
        for connection in held:
            await connection.ended.wait()
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)

    @property
    def hosts(self) -> list[str]:
        """Names of the hosts that are connected here."""
        return sorted(self._connections)

    async def accept(self, channel: Channel) -> None:
        """Serve one connection to its end. Run it as a task for each connection that a listener takes."""
        try:
            async with self._world.timeout(OPENING_S):
                frame = await channel.receive()
            if frame is not None:
                await self._opened(channel, frame)
        except (Closed, TimeoutError):
            _LOG.debug("a connection ended before it was opened")
        finally:
            channel.close()

    async def _opened(self, channel: Channel, frame: bytes) -> None:
        try:
            opening = agent.read_opening(frame)
        except msgspec.DecodeError as error:
            await refuse(channel, f"that is no way to open a connection: {error}")
            return
        if opening.protocol != agent.PROTOCOL:
            reason = f"this gateway speaks protocol {agent.PROTOCOL}, not {opening.protocol}"
            await refuse(channel, reason)
        elif self._is_closing:
            await refuse(channel, "this gateway stops")
        elif isinstance(opening, agent.Hello):
            await self._serve_host(channel, opening)
        elif isinstance(opening, agent.ImageWanted):
            await self._bulk.send_image(channel, opening)
        else:
            await self._bulk.take_console(channel, opening)

    async def _serve_host(self, channel: Channel, hello: agent.Hello) -> None:
        connection = Connection(self._world, channel, hello.host, self._ticket_for)
        connect = Connect(host=hello.host, gateway=self.id, facts=hello.facts)
        link = Link(
            world=self._world,
            neighbours=self._neighbours,
            channel=channel,
            connect=connect,
            broken=connection.close,
        )
        connection.lanes = {
            ops.service: Lane(ops, self._followers[ops.service], link, hello.known.get(ops.service, {}))
            for ops in self._parts.services
        }
        before = self._connections.get(hello.host)
        self._connections[hello.host] = connection
        if before is not None:
            before.is_replaced = True
            before.close("the host has connected anew")
            await before.ended.wait()
        _LOG.info("host %s is connected", hello.host)
        try:
            await connection.run(agent.Welcome(gateway=self.id))
        finally:
            if self._connections.get(hello.host) is connection:
                del self._connections[hello.host]

    def _lapsed(self) -> None:
        """A service may have taken this gateway for dead: its hosts connect anew, under new epochs."""
        for connection in list(self._connections.values()):
            connection.close("this gateway was not able to beat in time")

    # Bulk data.

    async def _ticket_for(self, host: str, image_id: str) -> str:
        """A ticket for an image that a guest of the host starts from. Raises `NotFound` for other images."""
        state = await self._neighbours.once(COMPUTE.state, HostStateAsked(host=host))
        wanted = {msgspec.json.decode(raw, type=_GuestImage).image.id for raw in state.changed.values()}
        if image_id not in wanted:
            raise NotFound(f"No guest of this host starts from image {image_id}.")
        return self._tickets.issue(ImageGrant(host, image_id))

    async def read(self, server_id: str, host: str, length: int | None) -> str:
        """The last `length` lines that a guest wrote to its console, all that is kept for None.

        Raises `Conflict` when the host has none, `Unavailable` when it is not connected here or does not answer.
        """
        connection = self._connections.get(host)
        if connection is None:
            raise Unavailable("The server's host is not connected.")
        text: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        ticket = self._tickets.issue(ConsoleAwaited(host, text))
        try:
            async with self._world.timeout(CONSOLE_S):
                await connection.send(agent.ConsoleAsked(ticket=ticket, server_id=server_id, lines=length))
                return await text
        except (Closed, TimeoutError):
            raise Unavailable("The server's host does not answer.") from None
        finally:
            self._tickets.take(ticket)
