"""Images on a host: fetched once, checked, shared by the disks of all guests that start from them."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Set
from pathlib import Path

from kilostack.core import qcow2
from kilostack.core.world import World
from kilostack.drivers.guests import faults
from kilostack.drivers.guests.port import GuestFault, ImageSource
from kilostack.wire.compute import ImageRef

log = logging.getLogger(__name__)

_PART = ".part"


def cache_key(image: ImageRef) -> str:
    """The name of an image's file: its content is part of it, so that other content is another file."""
    return f"{image.id}-{image.sha512[:16]}.{image.disk_format}"


class ImageCache:
    """The images under `directory`. A file without `.part` is complete and its digest was right."""

    def __init__(self, world: World, directory: Path, source: ImageSource) -> None:
        self._world = world
        self._directory = directory
        self._source = source
        self._fetches: dict[str, asyncio.Task[GuestFault | None]] = {}

    def open(self) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, key: str) -> Path:
        return self._directory / key

    async def ensure(self, image: ImageRef) -> qcow2.Inspected:
        """Have the image here, fetched once however many ask, and say what it is. Its path is `path(cache_key())`."""
        key = cache_key(image)
        if not self.path(key).exists():
            fetch = self._fetches.get(key)
            if fetch is None:
                fetch = self._world.spawn(self._fetch(image, key), f"fetch image {image.id}")
                self._fetches[key] = fetch
                fetch.add_done_callback(lambda _: self._fetches.pop(key, None))
            # Shielded: a guest that is removed meanwhile must not take the image from the others. `wait` leaves the
            # fetch alone when its waiter is cancelled.
            await asyncio.wait([fetch])
            if (fault := fetch.result()) is not None:
                raise GuestFault(fault.reason, final=fault.final) from fault
        return await self._world.in_thread(self._inspect, image, self.path(key))

    async def _fetch(self, image: ImageRef, key: str) -> GuestFault | None:
        """Returns what went wrong, for each of those who wait."""
        part = self.path(key + _PART)
        try:
            if part.exists() and part.stat().st_size > image.size_bytes:
                part.unlink()
            await self._source.fetch(image, part)
            await self._world.in_thread(self._check_content, image, part)
            await self._world.in_thread(self._inspect, image, part)
            part.chmod(0o444)
            part.replace(self.path(key))
        except GuestFault as refused:
            part.unlink(missing_ok=True)
            return refused
        except OSError as error:
            fault = faults.from_os(error, "fetching the image")
            if fault.reason == faults.NO_SPACE:
                part.unlink(missing_ok=True)
            return fault
        except Exception as error:
            log.warning("image %s could not be fetched: %s", image.id, error)
            return GuestFault("The image could not be fetched.")
        return None

    @staticmethod
    def _check_content(image: ImageRef, path: Path) -> None:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha512").hexdigest()
        if path.stat().st_size != image.size_bytes or digest != image.sha512:
            raise GuestFault("The image's data does not match its checksum.")

    @staticmethod
    def _inspect(image: ImageRef, path: Path) -> qcow2.Inspected:
        try:
            with path.open("rb") as file:
                head = file.read(qcow2.HEAD_BYTES)
            return qcow2.check(image.disk_format, head, path.stat().st_size)
        except qcow2.ImageRefused as refused:
            raise GuestFault(f"The image cannot be used: {refused.reason}", final=True) from refused

    def remove_unused(self, needed: Set[str]) -> None:
        """Remove images, and beginnings of images, that no guest needs."""
        for path in self._directory.iterdir():
            key = path.name.removesuffix(_PART)
            if key not in needed and key not in self._fetches:
                path.unlink(missing_ok=True)
