"""Where the console logs of guests are read."""

from __future__ import annotations

from typing import Protocol


class Consoles(Protocol):
    """Reads from the host that has the guest."""

    async def read(self, server_id: str, host: str, length: int | None) -> str:
        """The last `length` lines that the guest has written, all that are kept for None.

        Called for servers with a host; the guest may have gone meanwhile. Raises `Conflict` when there is no log yet,
        `Unavailable` when the host cannot be reached.
        """
