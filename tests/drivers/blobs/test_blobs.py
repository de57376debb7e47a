"""The contract of a place for blobs, and what only files can do wrong: a full disk, a crash half-way."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kilostack.core.world import RealWorld
from kilostack.drivers.blobs.files import FileBlobs, file_chunks, head_of
from kilostack.drivers.blobs.memory import MemoryBlobs
from kilostack.drivers.blobs.port import HEAD_BYTES, Blobs, NoSpace


@pytest.fixture(params=["files", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path, world: RealWorld) -> Blobs:
    return MemoryBlobs() if request.param == "memory" else FileBlobs(tmp_path / "images", world, reserve_bytes=0)


async def test_what_was_kept_is_read_back_with_its_digests(blobs: Blobs) -> None:
    data = os.urandom(HEAD_BYTES + 5000)
    incoming = await blobs.receive("one", "first")
    await incoming.write([data[:1000], b"", data[1000:2000]])
    assert await blobs.names() == []
    await incoming.write([data[2000:]])
    received = await incoming.received()
    await incoming.keep()
    assert (received.size_bytes, received.head) == (len(data), data[:HEAD_BYTES])
    assert received.md5 == hashlib.md5(data).hexdigest()
    assert received.sha512 == hashlib.sha512(data).hexdigest()
    assert await blobs.names() == ["one"]
    reader = await blobs.open("one")
    assert reader.size_bytes == len(data)
    assert await reader.read(0, 10**9) == data
    assert await reader.read(len(data) - 3, 10) == data[-3:]
    assert await reader.read(len(data), 10) == b""
    await blobs.remove("one")
    assert await reader.read(5, 5) == data[5:10], "an open blob stays readable"
    reader.close()
    with pytest.raises(FileNotFoundError):
        await blobs.open("one")
    await blobs.remove("one")


async def test_a_dropped_attempt_leaves_nothing_and_harms_no_other(blobs: Blobs) -> None:
    first, second = await blobs.receive("one", "a"), await blobs.receive("one", "b")
    await first.write([b"first"])
    await second.write([b"second"])
    await first.drop()
    await first.drop()
    await second.keep()
    reader = await blobs.open("one")
    assert await reader.read(0, 100) == b"second"
    reader.close()
    assert await blobs.clear_unfinished() == 0


async def test_drop_after_keep_removes_the_blob(blobs: Blobs) -> None:
    incoming = await blobs.receive("one", "a")
    await incoming.write([b"x"])
    await incoming.keep()
    await incoming.drop()
    assert await blobs.names() == []


async def test_what_a_crash_left_is_not_a_blob_and_is_cleared(blobs: Blobs) -> None:
    incoming = await blobs.receive("one", "a")
    await incoming.write([b"half"])
    assert await blobs.names() == []
    assert await blobs.clear_unfinished() == 1
    assert await blobs.clear_unfinished() == 0
    await incoming.drop()


async def test_memory_fills_up() -> None:
    blobs = MemoryBlobs(capacity_bytes=10)
    incoming = await blobs.receive("one", "a")
    await incoming.write([b"x" * 8])
    with pytest.raises(NoSpace):
        await incoming.write([b"x" * 3])
    await incoming.drop()
    assert await blobs.room() == 10


async def test_the_reserve_stays_free(tmp_path: Path, world: RealWorld) -> None:
    blobs = FileBlobs(tmp_path / "images", world, reserve_bytes=1 << 60)
    assert await blobs.room() == 0
    incoming = await blobs.receive("one", "a")
    with pytest.raises(NoSpace, match="MiB"):
        await incoming.write([b"x"])
    await incoming.drop()
    assert os.listdir(tmp_path / "images") == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(path)], check=True)
    yield path
    subprocess.run(["umount", str(path)], check=True)


@pytest.mark.root
async def test_a_full_disk_is_told_and_cleaned_up(small_disk: Path, world: RealWorld) -> None:
    blobs = FileBlobs(small_disk / "images", world, reserve_bytes=0)
    incoming = await blobs.receive("one", "a")
    with pytest.raises(NoSpace, match="No space left"):
        for _ in range(10):
            await incoming.write([b"x" * (1 << 20)])
    await incoming.drop()
    assert os.listdir(small_disk / "images") == []
    assert await blobs.room() > 1 << 20


@pytest.mark.root
async def test_a_disk_that_fills_at_the_last_flush_keeps_nothing(small_disk: Path, world: RealWorld) -> None:
    blobs = FileBlobs(small_disk / "images", world, reserve_bytes=0)
    incoming = await blobs.receive("one", "a")
    await incoming.write([b"x" * 500_000])
    (small_disk / "other").write_bytes(b"y" * (await blobs.room() - 4096))
    with pytest.raises(NoSpace):
        await incoming.keep()
    await incoming.drop()
    assert os.listdir(small_disk / "images") == []


async def test_files_as_chunks(tmp_path: Path, world: RealWorld) -> None:
    data = os.urandom(2_500_000)
    (tmp_path / "file").write_bytes(data)
    assert b"".join([chunk async for chunk in file_chunks(tmp_path / "file", world)]) == data
    assert await head_of(tmp_path / "file", world) == (data[:HEAD_BYTES], len(data))
