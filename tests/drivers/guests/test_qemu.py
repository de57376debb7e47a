"""The QEMU driver keeps the contract with real processes, and what only real processes can do wrong."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kilostack.core.world import RealWorld
from kilostack.drivers.guests import process
from kilostack.drivers.guests.qemu import QemuGuests, QemuSettings
from kilostack.drivers.guests.record import GuestDirectories, GuestFiles
from kilostack.wire.compute import ImageRef
from tests.drivers.guests import sector
from tests.drivers.guests.contract import GuestContract

pytestmark = pytest.mark.root


class FilesSource:
    """Images from memory, by the image's id."""

    def __init__(self) -> None:
        self.images: dict[str, bytes] = {}
        self.fetched: list[str] = []

    def add(self, image_id: str, content: bytes, disk_format: str = "raw") -> ImageRef:
        self.images[image_id] = content
        digest = hashlib.sha512(content).hexdigest()
        assert disk_format in ("raw", "qcow2")
        return ImageRef(id=image_id, disk_format=disk_format, size_bytes=len(content), sha512=digest)  # type: ignore[arg-type]

    async def fetch(self, image: ImageRef, target: Path) -> None:
        self.fetched.append(image.id)
        await asyncio.sleep(0.01)
        with target.open("ab") as file:
            file.write(self.images[image.id][file.tell() :])


class QemuHost:
    """A host under a temporary directory; what runs at the end of a test is killed."""

    def __init__(self, directory: Path, run_dir: Path) -> None:
        self.world = RealWorld()
        self.source = FilesSource()
        self.directory = directory
        self.run_dir = run_dir
        self.probe_cache = directory / "accelerator.json"
        self._driver: QemuGuests | None = None

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
        settings = QemuSettings(state_dir=self.directory, run_dir=self.run_dir, probe_cache=self.probe_cache)
        self._driver = QemuGuests(self.world, self.source, settings)
        await self._driver.open()
        return self._driver

    async def close(self) -> None:
        if self._driver is not None:
            await self._driver.close()
            self._driver = None

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


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[QemuHost]:
    run_dir = Path(tempfile.mkdtemp(prefix="ksg-", dir="/tmp"))
    made = QemuHost(tmp_path, run_dir)
    yield made
    await made.end()
    shutil.rmtree(run_dir)


class TestQemuGuests(GuestContract):
    pass
