"""Frames between an agent and a gateway: four bytes of length, then that many bytes. What they mean is in `wire.agent`.

A `Channel` is one connection. There is one over asyncio streams, and one inside a process whose delays and cuts a
simulation decides.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

from kilostack.core.world import World

#: The longest frame that is read or written.
MAX_FRAME = 64 * 1024 * 1024
_HEAD = 4
#: Frames that may wait in a channel inside a process before its sender waits.
_ROOM = 64


class Closed(Exception):
    """The connection has ended."""


class Channel(Protocol):
    """Frames in order, both ways, until either end closes or the connection is lost."""

    async def send(self, frame: bytes) -> None:
        """Hand over one frame; waits while the other end is slow. Raises `Closed`. Frames of several senders do not
        mix. That it returns does not mean that the frame arrives."""

    async def receive(self) -> bytes | None:
        """The next frame; None once the connection has ended. For one reader at a time."""

    def close(self) -> None:
        """End the connection. What was sent before may still arrive."""


Accept = Callable[[Channel], Coroutine[Any, Any, None]]
Dial = Callable[[], Awaitable[Channel]]


class StreamChannel:
    """Frames over a pair of asyncio streams."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, frame: bytes) -> None:
        if len(frame) > MAX_FRAME:
            raise ValueError(f"a frame of {len(frame)} bytes is too long")
        if self._writer.is_closing():
            raise Closed
        try:
            self._writer.write(len(frame).to_bytes(_HEAD, "big") + frame)
            await self._writer.drain()
        except OSError as error:
            raise Closed from error

    async def receive(self) -> bytes | None:
        try:
            length = int.from_bytes(await self._reader.readexactly(_HEAD), "big")
            if length <= MAX_FRAME:
                return await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, OSError):
            pass
        self.close()
        return None

    def close(self) -> None:
        self._writer.close()


async def dial_unix(path: Path) -> Channel:
    """Connect to a listener on a socket path. Raises `OSError`."""
    return StreamChannel(*await asyncio.open_unix_connection(path))


async def serve_unix(path: Path, world: World, accept: Accept) -> asyncio.Server:
    """Listen on a socket path, in place of whoever listened there before; each connection is a task of `world`."""

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        world.spawn(accept(StreamChannel(reader, writer)), "connection")

    return await asyncio.start_unix_server(connected, path)


async def socket_pair() -> tuple[Channel, Channel]:
    """Two ends joined by the kernel."""
    left, right = socket.socketpair()
    return (
        StreamChannel(*await asyncio.open_unix_connection(sock=left)),
        StreamChannel(*await asyncio.open_unix_connection(sock=right)),
    )


class _Way:
    """One direction of a channel inside a process."""

    def __init__(self, world: World, delay: Callable[[], float]) -> None:
        self._world, self._delay = world, delay
        self._frames: deque[tuple[float, bytes]] = deque()
        self._last_due = 0.0
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._ended = asyncio.Event()
        self._finished = False

    async def put(self, frame: bytes) -> None:
        while len(self._frames) >= _ROOM and not self._ended.is_set() and not self._finished:
            self._room.clear()
            await self._room.wait()
        if self._ended.is_set() or self._finished:
            raise Closed
        self._last_due = max(self._last_due, self._world.monotonic() + self._delay())
        self._frames.append((self._last_due, frame))
        self._changed.set()

    async def take(self) -> bytes | None:
        while not self._ended.is_set():
            if self._frames:
                due, frame = self._frames[0]
                if await self._cut_within(due - self._world.monotonic()):
                    break
                self._frames.popleft()
                self._room.set()
                return frame
            if self._finished:
                break
            self._changed.clear()
            await self._changed.wait()
        return None

    async def _cut_within(self, seconds: float) -> bool:
        """Wait for a frame to arrive; whether the connection was cut first."""
        if seconds > 0:
            try:
                async with self._world.timeout(seconds):
                    await self._ended.wait()
            except TimeoutError:
                pass
        return self._ended.is_set()

    def finish(self) -> None:
        """Nothing more will be sent; what was sent arrives."""
        self._finished = True
        self._wake()

    def cut(self) -> None:
        """Nothing arrives any more."""
        self._ended.set()
        self._frames.clear()
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._room.set()


class MemoryChannel:
    """One end of a connection inside a process."""

    def __init__(self, incoming: _Way, outgoing: _Way) -> None:
        self._incoming, self._outgoing = incoming, outgoing

    async def send(self, frame: bytes) -> None:
        await self._outgoing.put(frame)

    async def receive(self) -> bytes | None:
        return await self._incoming.take()

    def close(self) -> None:
        self._outgoing.finish()
        self._incoming.cut()

    def cut(self) -> None:
        """Lose the connection, and every frame that has not arrived yet, both ways."""
        self._outgoing.cut()
        self._incoming.cut()


def memory_pair(world: World, delay: Callable[[], float] = lambda: 0.0) -> tuple[MemoryChannel, MemoryChannel]:
    """Two ends joined in memory. `world` is whose clock the way between them runs on; each frame takes `delay()`
    seconds, and none overtakes another."""
    there, back = _Way(world, delay), _Way(world, delay)
    return MemoryChannel(back, there), MemoryChannel(there, back)
