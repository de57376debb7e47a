"""The agent's memory on disk: what its host should be, so that it can live without a control plane.

It is written whole to a new file that takes the old one's place. One that cannot be read is as good as none: the host
asks for everything.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from kilostack.agents.runtime.streams import Objects
from kilostack.core.world import World

_LOG = logging.getLogger("kilostack.agent")
_FORMAT = 1


class _Content(msgspec.Struct, frozen=True, kw_only=True):
    format: int
    host: str
    #: service -> key -> (revision, object)
    streams: dict[str, dict[str, tuple[int, msgspec.Raw]]]


class JournalStore(Protocol):
    """Where the journal is kept. Called in a thread, one call at a time."""

    def read(self) -> bytes | None: ...

    def write(self, content: bytes) -> None:
        """Replace the content; after a crash it is the old one or the new one. Raises `OSError`."""


class FileStore:
    """One file, replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None

    def write(self, content: bytes) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise


class Journal:
    """Reads once, then writes what it is given last, soon after."""

    def __init__(self, world: World, store: JournalStore, host: str) -> None:
        self._world, self._store, self._host = world, store, host
        self._streams: dict[str, Objects] = {}
        self._changed = asyncio.Event()

    async def read(self) -> Mapping[str, Objects]:
        """What the last process of this host wrote, by service; nothing when it is not there or not readable."""
        try:
            text = await self._world.in_thread(self._store.read)
            if text is None:
                return {}
            content = msgspec.json.decode(text, type=_Content)
        except (OSError, msgspec.DecodeError) as error:
            _LOG.error("the journal cannot be read and is left aside: %s", error)
            return {}
        if content.format != _FORMAT or content.host != self._host:
            _LOG.warning("the journal is of another release or host and is left aside")
            return {}
        for service, stream in content.streams.items():
            self._streams[service] = {key: (revision, bytes(raw)) for key, (revision, raw) in stream.items()}
        return dict(self._streams)

    def note(self, service: str, objects: Objects) -> None:
        """Have this written soon."""
        self._streams[service] = dict(objects)
        self._changed.set()

    async def run(self) -> None:
        """Write what was noted, for ever. A disk that is full costs memory of this process only."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._world.in_thread(self._write, dict(self._streams))
            except OSError as error:
                _LOG.error("the journal cannot be written: %s", error)
                await self._world.sleep(5.0)
                self._changed.set()

    def _write(self, streams: Mapping[str, Objects]) -> None:
        raw = {
            service: {key: (revision, msgspec.Raw(text)) for key, (revision, text) in objects.items()}
            for service, objects in streams.items()
        }
        self._store.write(msgspec.json.encode(_Content(format=_FORMAT, host=self._host, streams=raw)))
