"""Data too large for the control connection: images to the host, consoles from it, over connections of their own."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import BinaryIO

from kilostack.core.errors import Unavailable
from kilostack.core.world import World
from kilostack.drivers.guests.port import GuestFault
from kilostack.wire import agent
from kilostack.wire.compute import ImageRef
from kilostack.wire.framing import Channel, Closed, Dial

_LOG = logging.getLogger("kilostack.agent")

_IDLE_S = 30.0
#: Tries in a row that bring no byte.
_TRIES = 6
#: As much of a console as a gateway passes on.
_CONSOLE_BYTES = 1024 * 1024


class GatewayImages:
    """Fetches images over bulk connections. `ticket(image id)` gets what opens one."""

    def __init__(self, world: World, dial: Dial, ticket: Callable[[str], Awaitable[str]]) -> None:
        self._world, self._dial, self._ticket = world, dial, ticket

    async def fetch(self, image: ImageRef, target: Path) -> None:
        """Leave the image's bytes in `target`, going on from what is there. The caller checks size and digest.

        Raises `NotFound` when this host may not have it, `Unavailable` when nothing comes for too long, `OSError`.
        """
        file = await self._world.in_thread(_open, target, image.size_bytes)
        try:
            offset, fruitless = file.tell(), 0
            while offset < image.size_bytes:
                before = offset
                try:
                    offset = await self._fetch_from(image, file, offset)
                except (Unavailable, Closed, TimeoutError, ConnectionError) as error:
                    _LOG.info("image %s: %s", image.id, error)
                    offset = file.tell()
                fruitless = 0 if offset > before else fruitless + 1
                if fruitless == _TRIES:
                    raise Unavailable(f"image {image.id} does not come")
                if offset < image.size_bytes:
                    await self._world.sleep(0.2 * 2**fruitless * self._world.random().uniform(0.5, 1.5))
        finally:
            await self._world.in_thread(file.close)

    async def _fetch_from(self, image: ImageRef, file: BinaryIO, offset: int) -> int:
        """Append what comes; where that ends."""
        ticket = await self._ticket(image.id)
        channel = await self._dial()
        try:
            await channel.send(agent.write(agent.ImageWanted(ticket=ticket, offset=offset)))
            answer = await self._receive(channel)
            if answer is None:
                return offset
            match agent.read_bulk_answer(answer):
                case agent.Refusal(reason):
                    raise Unavailable(reason)
            while frame := await self._receive(channel):
                await self._world.in_thread(_append, file, frame)
                offset += len(frame)
            return offset
        finally:
            channel.close()

    async def _receive(self, channel: Channel) -> bytes | None:
        async with self._world.timeout(_IDLE_S):
            return await channel.receive()


def _open(target: Path, size_bytes: int) -> BinaryIO:
    """The file, ready to be appended to; one that is too long already starts anew."""
    target.parent.mkdir(parents=True, exist_ok=True)
    file = open(target, "ab")  # noqa: SIM115 - the caller closes it
    if file.tell() > size_bytes:
        file.truncate(0)
        file.seek(0)
    return file


def _append(file: BinaryIO, frame: bytes) -> None:
    file.write(frame)
    file.flush()


async def send_console(
    dial: Dial, asked: agent.ConsoleAsked, read: Callable[[str, int | None], Awaitable[str]]
) -> None:
    """Dial back with the end of what a guest wrote, or with the reason why there is none."""
    text, fault = b"", None
    try:
        text = (await read(asked.server_id, asked.lines)).encode()[-_CONSOLE_BYTES:]
    except GuestFault as error:
        fault = error.reason
    except OSError as error:
        _LOG.warning("the console of guest %s cannot be read: %s", asked.server_id, error)
        fault = "The console cannot be read."
    try:
        channel = await dial()
    except OSError as error:
        _LOG.warning("cannot dial back for a console: %s", error)
        return
    try:
        await channel.send(agent.write(agent.ConsoleText(ticket=asked.ticket, fault=fault)))
        if fault is None:
            for start in range(0, len(text), agent.BULK_FRAME):
                await channel.send(text[start : start + agent.BULK_FRAME])
            await channel.send(b"")
    except Closed:
        _LOG.info("nobody waits for the console of guest %s any more", asked.server_id)
    finally:
        channel.close()
