"""A real host for tests: a state directory, images from memory, and QEMU."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
from pathlib import Path

from kilostack.core.world import RealWorld
from kilostack.drivers.guests import process
from kilostack.drivers.guests.qemu import QemuGuests, QemuSettings
from kilostack.drivers.guests.record import GuestDirectories, GuestFiles
from kilostack.wire.compute import ImageRef
from tests.drivers.guests import sector


class MemorySource:
    """Images from memory, by the image's id."""

    def __init__(self) -> None:
        self.images: dict[str, bytes] = {}
        #: (image, how much of it was there already)
        self.fetched: list[tuple[str, int]] = []
        #: fetches end here, after half of the image
        self.breaks_with: Exception | None = None

    def add(self, image_id: str, content: bytes, disk_format: str = "raw") -> ImageRef:
        self.images[image_id] = content
        digest = hashlib.sha512(content).hexdigest()
        fields = {"id": image_id, "disk_format": disk_format, "size_bytes": len(content), "sha512": digest}
        return ImageRef(**fields)  # type: ignore[arg-type]

    async def fetch(self, image: ImageRef, target: Path) -> None:
        content = self.images[image.id]
        await asyncio.sleep(0.01)
        with target.open("ab") as file:
            self.fetched.append((image.id, file.tell()))
            if self.breaks_with is not None:
                file.write(content[: len(content) // 2])
                raise self.breaks_with
            file.write(content[file.tell() :])


class QemuHost:
    """A host under a directory; what still runs at the end of a test is killed."""

    def __init__(self, directory: Path, run_dir: Path) -> None:
        self.world = RealWorld()
        self.source = MemorySource()
        self.directory = directory
        self.run_dir = run_dir
        self.is_confined = True
        self.driver: QemuGuests | None = None

    def image(self, *, hears_power_button: bool) -> ImageRef:
        content = sector.image(hears_power_button=hears_power_button)
        return self.source.add(f"sector-{hears_power_button}", content)

    def files(self, guest_id: str) -> GuestFiles:
        return GuestDirectories(self.directory, self.run_dir).of(guest_id)

    def pid(self, guest_id: str) -> int:
        found = process.find(guest_id, self.files(guest_id).pid)
        assert found is not None
        return found.pid

    async def open(self) -> QemuGuests:
        await self.close()
        settings = QemuSettings(
            state_dir=self.directory,
            run_dir=self.run_dir,
            probe_cache=self.directory / "accelerator.json",
            is_confined=self.is_confined,
        )
        self.driver = QemuGuests(self.world, self.source, settings)
        await self.driver.open()
        return self.driver

    async def close(self) -> None:
        if self.driver is not None:
            await self.driver.close()
            self.driver = None

    async def shut_down_inside(self, guest_id: str) -> None:
        with socket.socket(socket.AF_UNIX) as console:
            console.connect(str(self.files(guest_id).console_socket))
            console.sendall(b"p")

    async def kill(self, guest_id: str) -> None:
        os.kill(self.pid(guest_id), 9)

    async def end(self) -> None:
        await self.close()
        for directory in (self.directory / "guests").glob("[0-9a-f]*"):
            for left in process.scan(directory.name):
                await process.kill(left, directory.name)
        await self.world.close()
