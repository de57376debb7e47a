"""The service around a crash, its bootstrap, and what it answers to neighbours."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from kilostack.core import errors
from kilostack.core.context import internal
from kilostack.core.world import RealWorld
from kilostack.drivers.blobs.files import FileBlobs
from kilostack.drivers.blobs.memory import MemoryBlobs
from kilostack.drivers.blobs.port import Blobs
from kilostack.image.app.uploads import Upload
from kilostack.image.model.image import Image, Status
from kilostack.image.service import ImageService, Parts
from kilostack.image.store.tables import META
from kilostack.store.database import Database
from kilostack.store.lists import Ask
from kilostack.wire.calls import Actor, LocalCalls
from kilostack.wire.image_calls import GET_IMAGE, READ_IMAGE, ImageAsked, ReadAsked
from tests.conftest import MakeDatabase
from tests.http.cloud import ADMIN_PROJECT, PERSONAS
from tests.waiting import until

_ADMIN = PERSONAS["admin"]
_MEMBER = PERSONAS["member"]


async def _chunks(*parts: bytes) -> Any:
    for part in parts:
        yield part


async def _all(service: ImageService) -> list[Image]:
    found, _ = await service.images.list(_ADMIN, Ask(limit=100), "all")
    return list(found)


async def _active(service: ImageService) -> Image:
    """The one image, once it is active."""

    async def active() -> bool:
        return [image.status for image in await _all(service)] == [Status.ACTIVE]

    await until(active)
    return (await _all(service))[0]


def _service(database: Database, world: RealWorld, blobs: Blobs) -> ImageService:
    return ImageService(Parts(db=database, world=world, blobs=blobs))


async def _made(service: ImageService, **attributes: Any) -> Image:
    return await service.images.create(_MEMBER, {"disk_format": "raw", "container_format": "bare"} | attributes)


class Crash(BaseException):
    """The process ends here; nothing after it has an effect."""


class CrashingBlobs(MemoryBlobs):
    """Ends the process before or after one of its steps."""

    def __init__(self, step: str, when: str) -> None:
        super().__init__()
        self._step, self._when, self.dead = step, when, False

    async def at(self, step: str, work: Any) -> Any:
        if self.dead:
            work.close()
            raise Crash
        if step == self._step and self._when == "before":
            self.dead = True
            work.close()
            raise Crash
        result = await work
        if step == self._step and self._when == "after":
            self.dead = True
            raise Crash
        return result

    async def receive(self, name: str, attempt: str) -> Any:
        return _CrashingIncoming(self, await self.at("receive", super().receive(name, attempt)))

    async def remove(self, name: str) -> None:
        await self.at("remove", super().remove(name))


class _CrashingIncoming:
    def __init__(self, blobs: CrashingBlobs, incoming: Any) -> None:
        self._blobs, self._incoming = blobs, incoming

    async def write(self, parts: Any) -> None:
        await self._blobs.at("write", self._incoming.write(parts))

    async def received(self) -> Any:
        return await self._incoming.received()

    async def keep(self) -> None:
        await self._blobs.at("keep", self._incoming.keep())

    async def drop(self) -> None:
        await self._blobs.at("drop", self._incoming.drop())


class DeadDatabase:
    """A database of a process that may have died."""

    def __init__(self, real: Database, blobs: CrashingBlobs) -> None:
        self._real, self._blobs = real, blobs

    async def read(self, unit: Any) -> Any:
        if self._blobs.dead:
            raise Crash
        return await self._real.read(unit)

    async def write(self, unit: Any) -> Any:
        if self._blobs.dead:
            raise Crash
        return await self._real.write(unit)

    async def close(self) -> None:
        """The next process closes it."""


@pytest.mark.parametrize("step", ["receive", "write", "keep"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_crash_during_an_upload_leaves_nothing(
    make_database: MakeDatabase, world: RealWorld, step: str, when: str
) -> None:
    database, blobs = await make_database(META), CrashingBlobs(step, when)
    crashed = _service(DeadDatabase(database, blobs), world, blobs)
    image = await _made(crashed)
    with pytest.raises(Crash):
        await crashed.uploads.upload(_MEMBER, image.id, _chunks(b"content"), Upload())
    blobs.dead, blobs._step = False, ""
    again = _service(database, world, blobs)
    await again.start()
    found = await again.images.get(_MEMBER, image.id)
    assert (found.status, found.upload_id) == (Status.QUEUED, None)
    assert (await blobs.names(), await blobs.clear_unfinished()) == ([], 0)
    await again.uploads.upload(_MEMBER, image.id, _chunks(b"content"), Upload())
    await again.start()
    assert await blobs.names() == [image.id], "the content of an active image stays"


async def test_a_crash_between_record_and_content_of_a_delete(make_database: MakeDatabase, world: RealWorld) -> None:
    database, blobs = await make_database(META), CrashingBlobs("remove", "before")
    crashed = _service(DeadDatabase(database, blobs), world, blobs)
    image = await _made(crashed)
    await crashed.uploads.upload(_MEMBER, image.id, _chunks(b"content"), Upload())
    with pytest.raises(Crash):
        await crashed.images.delete(_MEMBER, image.id)
    blobs.dead, blobs._step = False, ""
    assert await blobs.names() == [image.id]
    await _service(database, world, blobs).start()
    assert await blobs.names() == []


async def test_a_record_that_cannot_be_given_up_now_is_given_up_later(
    make_sqlite: MakeDatabase, world: RealWorld
) -> None:
    database = await make_sqlite(META)

    class Away:
        left = 0

        async def read(self, unit: Any) -> Any:
            return await database.read(unit)

        async def write(self, unit: Any) -> Any:
            if self.left:
                self.left -= 1
                raise errors.Unavailable("not now")
            return await database.write(unit)

        async def close(self) -> None:
            """Nothing is held."""

    class Fast(RealWorld):
        async def sleep(self, seconds: float) -> None:
            await asyncio.sleep(0.01)

    away, fast = Away(), Fast()
    service = _service(away, fast, MemoryBlobs())
    image = await _made(service)

    async def cut_off() -> Any:
        yield b"half"
        away.left = 3
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await service.uploads.upload(_MEMBER, image.id, cut_off(), Upload())

    async def queued() -> bool:
        return (await service.images.get(_MEMBER, image.id)).status is Status.QUEUED

    await until(queued)
    await fast.close()


async def test_tiny_is_made_once_from_its_file(make_sqlite: MakeDatabase, world: RealWorld, tmp_path: Path) -> None:
    database, blobs = await make_sqlite(META), FileBlobs(tmp_path / "images", world, reserve_bytes=0)
    content = os.urandom(2_000_000)
    (tmp_path / "tiny").write_bytes(content)
    service = _service(database, world, blobs)
    await service.start()
    await service.bootstrap(tmp_path / "tiny", ADMIN_PROJECT)
    image = await _active(service)
    assert (image.name, image.visibility, image.owner, image.disk_format) == ("tiny", "public", ADMIN_PROJECT, "raw")
    assert image.size_bytes == len(content)
    (tmp_path / "tiny").write_bytes(b"another build")
    await service.bootstrap(tmp_path / "tiny", ADMIN_PROJECT)
    assert await _active(service) == image
    await service.images.delete(_ADMIN, image.id)
    await service.bootstrap(tmp_path / "tiny", ADMIN_PROJECT)
    assert await _all(service) == [], "who deleted it does not want it back"


async def test_a_file_that_is_missing_or_no_image_does_not_stop_the_cloud(
    make_sqlite: MakeDatabase, world: RealWorld, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service = _service(await make_sqlite(META), world, MemoryBlobs())
    (tmp_path / "lies").write_bytes(b"QFI\xfb" + b"\xff" * 1000)
    for name in ("missing", "lies"):
        await service.bootstrap(tmp_path / name, ADMIN_PROJECT)
        assert name in caplog.text
        assert await _all(service) == []
    (tmp_path / "missing").write_bytes(b"a disk")
    await service.bootstrap(tmp_path / "missing", ADMIN_PROJECT)
    image = await _active(service)
    (tmp_path / "missing").unlink()
    caplog.clear()
    await service.bootstrap(tmp_path / "missing", ADMIN_PROJECT)
    assert await _active(service) == image
    assert caplog.text == "", "the file is needed once"


async def test_tiny_is_finished_by_the_next_start(make_sqlite: MakeDatabase, world: RealWorld, tmp_path: Path) -> None:
    database, blobs = await make_sqlite(META), MemoryBlobs(capacity_bytes=10)
    service = _service(database, world, blobs)
    await service.bootstrap(None, ADMIN_PROJECT)

    async def tried_in_vain() -> bool:
        image = (await _all(service))[0]
        return image.status is Status.QUEUED and image.generation == 3

    await until(tried_in_vain)
    service = _service(database, world, MemoryBlobs())
    await service.start()
    await service.bootstrap(None, ADMIN_PROJECT)
    assert (await _active(service)).size_bytes == 1 << 20


async def test_what_neighbours_may_ask(make_sqlite: MakeDatabase, world: RealWorld) -> None:
    service = _service(await make_sqlite(META), world, MemoryBlobs())
    calls = LocalCalls(world)
    calls.serve(service.answers)
    image = await _made(service, name="n", min_disk=2, min_ram=64, hw_disk_bus="virtio")
    await service.uploads.upload(_MEMBER, image.id, _chunks(b"0123456789"), Upload())
    facts = await calls.call(GET_IMAGE, ImageAsked(image.id), Actor(ctx=_MEMBER))
    assert (facts.name, facts.status, facts.disk_format, facts.size_bytes) == ("n", "active", "raw", 10)
    assert (facts.min_disk_gib, facts.min_ram_mib, facts.properties) == (2, 64, {"hw_disk_bus": "virtio"})
    assert len(facts.sha512) == 128
    with pytest.raises(errors.NotFound):
        await calls.call(GET_IMAGE, ImageAsked(image.id), Actor(ctx=PERSONAS["other-member"]))
    cloud = Actor(ctx=internal("req"))
    for offset, length, expected in ((0, 4, b"0123"), (8, 100, b"89"), (10, 5, b"")):
        asked = ReadAsked(image_id=image.id, offset=offset, length=length)
        assert (await calls.call(READ_IMAGE, asked, cloud)).data == expected
    with pytest.raises(errors.NotFound):
        await calls.call(READ_IMAGE, ReadAsked(image_id="nowhere", offset=0, length=1), cloud)


@pytest.mark.mariadb
async def test_two_changes_at_once_are_both_made(make_mariadb: MakeDatabase, world: RealWorld) -> None:
    service = _service(await make_mariadb(META), world, MemoryBlobs())
    image = await _made(service)
    tags = [f"t{number}" for number in range(12)]
    await asyncio.gather(*(service.images.tag(_MEMBER, image.id, tag, present=True) for tag in tags))
    assert sorted((await service.images.get(_MEMBER, image.id)).tags) == sorted(tags)
