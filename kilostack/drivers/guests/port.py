"""The port to the guests of one host. `qemu.QemuGuests` and `simulated.SimulatedGuests` pass its one contract suite."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from kilostack.wire.compute import Guest, ImageRef

_GUEST_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class GuestFault(Exception):
    """A verb failed. `reason` is a sentence for the owner of the server: no paths, no names of other projects.

    `final`: trying again cannot help until the desired guest changes.
    """

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.final = final


class Stop(StrEnum):
    """Why a guest does not run."""

    NEVER_STARTED = "never started"
    ASKED = "asked"  #: `stop` was called
    ITSELF = "itself"  #: it was shut down from inside
    DIED = "died"  #: its process went away unasked, or its host was switched off


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A guest as it is on its host. It is there from the first `ensure_disk` until `remove` has ended."""

    id: str
    #: the boot count that it was last started with; 0 when it never was
    boot: int
    #: None while it runs
    stop: Stop | None

    @property
    def is_running(self) -> bool:
        return self.stop is None


class ImageSource(Protocol):
    """Where a host gets images from."""

    async def fetch(self, image: ImageRef, target: Path) -> None:
        """Leave the image's bytes in `target`. What is there already is the beginning, left by an earlier try: go on
        from its end, or write the whole file anew. The caller checks size and digest."""


class GuestDriver(Protocol):
    """Guests of one host. Every verb may be called again after it was cut off at any point, and by a later process.

    Verbs raise `GuestFault` and nothing else that a caller should handle. For one guest, one changing verb runs at a
    time; verbs of different guests run side by side. Cancelling a verb is allowed, and leaves nothing running that
    `look` does not show.
    """

    async def open(self) -> None:
        """Call once, first: finds the guests that run already. Nothing is started or stopped."""

    async def close(self) -> None:
        """Let go of everything; guests go on running."""

    async def accelerator(self) -> str:
        """ "kvm", "tcg" or "simulated", once that is known."""

    async def observe(self) -> Mapping[str, Observed]:
        """Every guest on this host."""

    async def look(self, guest_id: str) -> Observed | None:
        """One guest; None when nothing of it is here."""

    async def ensure_disk(self, guest: Guest) -> None:
        """Fetch the image if need be and give the guest its root disk. An existing disk is left as it is."""

    async def start(self, guest: Guest) -> None:
        """Run the guest with the boot count `guest.boot`; its disk and taps exist. Nothing happens when it runs with
        that count; one that runs with another count is stopped hard first."""

    async def stop(self, guest_id: str, timeout_s: float) -> None:
        """Press the power button and wait up to `timeout_s` (0: do not ask), then stop hard. Afterwards it does not
        run, and `Stop.ASKED` is why, unless it had stopped itself before."""

    async def remove(self, guest_id: str) -> None:
        """Stop hard and remove every file of the guest, and images that no other guest here needs."""

    async def console(self, guest_id: str, lines: int | None = None) -> str:
        """The end of what the guest wrote to its serial console: the last `lines`, or all that is kept."""

    def changes(self) -> AsyncIterator[str]:
        """Ids of guests that have stopped, whoever stopped them, once each time; some may be gone altogether by then.
        For one reader; ends never."""


def is_guest_id(name: str) -> bool:
    return _GUEST_ID.fullmatch(name) is not None


def check_guest_id(guest_id: str) -> str:
    """The id itself, which is about to become a file's name; raises `GuestFault` when it is no UUID."""
    if not is_guest_id(guest_id):
        raise GuestFault("The guest's id is not a UUID.", final=True)
    return guest_id
