"""Bulk connections: image data to a host, and what a guest wrote from its host."""

from __future__ import annotations

import logging

from kilostack.core.errors import Conflict, Error, NotFound, Unavailable
from kilostack.core.world import World
from kilostack.gateway.neighbours import Neighbours
from kilostack.gateway.tickets import ConsoleAwaited, ImageGrant, Tickets
from kilostack.wire import agent
from kilostack.wire.framing import Channel, Closed
from kilostack.wire.image_calls import READ_IMAGE, Chunk, ReadAsked

_LOG = logging.getLogger("kilostack.gateway")

#: The longest console text that is passed on.
CONSOLE_BYTES = 1024 * 1024
_READ_TRIES = 5
_IDLE_S = 30.0


class Bulk:
    """Serves bulk connections whose first frame has been read."""

    def __init__(self, world: World, neighbours: Neighbours, tickets: Tickets) -> None:
        self._world, self._neighbours, self._tickets = world, neighbours, tickets

    async def send_image(self, channel: Channel, asked: agent.ImageWanted) -> None:
        """Send the bytes of the ticket's image from an offset to its end. Raises `Closed`."""
        purpose = self._tickets.take(asked.ticket)
        if not isinstance(purpose, ImageGrant) or asked.offset < 0:
            await channel.send(agent.write(agent.Refusal("the ticket is not good (any more)")))
            return
        offset = asked.offset
        try:
            chunk = await self._read(purpose.image_id, offset)
            await channel.send(agent.write(agent.Granted()))
            while chunk.data:
                async with self._world.timeout(_IDLE_S):
                    await channel.send(chunk.data)
                offset += len(chunk.data)
                if len(chunk.data) < agent.BULK_FRAME:
                    break
                chunk = await self._read(purpose.image_id, offset)
            await channel.send(b"")
        except NotFound as error:
            await channel.send(agent.write(agent.Refusal(error.message)))
        except (Error, TimeoutError) as error:
            _LOG.warning("image %s for host %s broke off at %d: %s", purpose.image_id, purpose.host, offset, error)

    async def _read(self, image_id: str, offset: int) -> Chunk:
        asked = ReadAsked(image_id=image_id, offset=offset, length=agent.BULK_FRAME)
        for attempt in range(_READ_TRIES):
            try:
                return await self._neighbours.once(READ_IMAGE, asked)
            except Unavailable:
                await self._world.sleep(0.2 * 2**attempt)
        return await self._neighbours.once(READ_IMAGE, asked)

    async def take_console(self, channel: Channel, opening: agent.ConsoleText) -> None:
        """Give the text to whoever waits for it."""
        purpose = self._tickets.take(opening.ticket)
        if not isinstance(purpose, ConsoleAwaited):
            return
        text = purpose.text
        if opening.fault is not None:
            if not text.done():
                text.set_exception(Conflict(opening.fault))
            return
        whole = await self._text(channel)
        if text.done():
            return
        if whole is None:
            text.set_exception(Unavailable("The host broke off while it sent the console's text."))
        else:
            text.set_result(whole.decode(errors="replace"))

    async def _text(self, channel: Channel) -> bytes | None:
        """What comes up to the empty frame; None when it never comes, or too much does."""
        parts: list[bytes] = []
        try:
            async with self._world.timeout(_IDLE_S):
                while frame := await channel.receive():
                    parts.append(frame)
                    if sum(map(len, parts)) > CONSOLE_BYTES:
                        return None
        except TimeoutError:
            return None
        return None if frame is None else b"".join(parts)


async def refuse(channel: Channel, reason: str) -> None:
    """Tell the other end why the connection ends, if it still listens."""
    try:
        await channel.send(agent.write(agent.Refusal(reason)))
    except Closed:
        _LOG.debug("nobody heard the refusal: %s", reason)
