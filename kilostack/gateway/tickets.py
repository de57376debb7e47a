"""Tickets: each lets one bulk connection in, once, for a while."""

from __future__ import annotations

import asyncio

import msgspec

from kilostack.core.world import World

#: How long a ticket is good for.
LIFE_S = 60.0


class ImageGrant(msgspec.Struct, frozen=True):
    """A host may read an image."""

    host: str
    image_id: str


class ConsoleAwaited(msgspec.Struct, frozen=True):
    """Somebody waits for a console's text."""

    host: str
    text: asyncio.Future[str]


Purpose = ImageGrant | ConsoleAwaited


class Tickets:
    """The tickets of one gateway."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._issued: dict[str, tuple[float, Purpose]] = {}

    def issue(self, purpose: Purpose) -> str:
        """A new ticket; nobody can guess it."""
        now = self._world.monotonic()
        self._issued = {ticket: entry for ticket, entry in self._issued.items() if entry[0] > now}
        ticket = self._world.new_id()
        self._issued[ticket] = (now + LIFE_S, purpose)
        return ticket

    def take(self, ticket: str) -> Purpose | None:
        """What the ticket is for; None when it is unknown, used or too old."""
        until, purpose = self._issued.pop(ticket, (0.0, None))
        return purpose if until > self._world.monotonic() else None
