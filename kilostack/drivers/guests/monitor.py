"""One guest's QMP connection: commands with a deadline, and a call whenever its run state changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from qemu.qmp import EventListener, Message, QMPClient, QMPError

from kilostack.core.world import World

#: The library reports what its callers see anyway, and the end of every connection as an error.
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)

#: QEMU answers at once, even while its guest is stuck; on a crowded machine it may be slow.
COMMAND_TIMEOUT_S: Final = 20.0
_STATE_EVENTS: Final = ("SHUTDOWN", "STOP", "RESUME", "GUEST_PANICKED")


class MonitorLost(Exception):
    """QEMU does not answer: it is ending, gone, or hangs."""


class Monitor:
    """A connection to a running QEMU. `on_change` is called after events that may have changed its run state."""

    def __init__(self, world: World, client: QMPClient, on_change: Callable[[], None]) -> None:
        self._world = world
        self._client = client
        self._listener = EventListener(names=_STATE_EVENTS)
        client.register_listener(self._listener)
        self._on_change = on_change
        self._reader = world.spawn(self._listen(), f"events of {client.name}")

    @classmethod
    async def connect(cls, world: World, socket: Path, on_change: Callable[[], None]) -> Monitor:
        """Raises `MonitorLost` when nobody answers there."""
        client = QMPClient(socket.name)  # one per try: a failed connect leaves it unusable
        try:
            async with world.timeout(COMMAND_TIMEOUT_S):
                await client.connect(str(socket))
        except (QMPError, OSError, EOFError, TimeoutError) as error:
            raise MonitorLost(str(error)) from error
        return cls(world, client, on_change)

    async def _listen(self) -> None:
        async for _ in self._listener:
            self._on_change()

    async def execute(self, command: str, arguments: dict[str, Any] | None = None) -> Any:
        try:
            async with self._world.timeout(COMMAND_TIMEOUT_S):
                return await self._client.execute(command, arguments)
        except (QMPError, OSError, EOFError, TimeoutError) as error:
            raise MonitorLost(f"{command}: {error}") from error

    async def run_state(self) -> str:
        """QEMU's word: "running", "shutdown", "io-error", ..."""
        answer: Message = await self.execute("query-status")
        return str(answer["status"])

    async def close(self) -> None:
        """Hang up; QEMU goes on."""
        self._reader.cancel()
        try:
            async with self._world.timeout(COMMAND_TIMEOUT_S):
                await self._client.disconnect()
        except (QMPError, OSError, EOFError, TimeoutError):
            pass  # the other side hung up first
        await asyncio.gather(self._reader, return_exceptions=True)
