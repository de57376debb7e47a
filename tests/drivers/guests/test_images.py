"""Images on a host: fetched once, checked before use, gone when nobody needs them."""

from __future__ import annotations

import asyncio
import errno
import subprocess
from pathlib import Path

import msgspec
import pytest

from kilostack.core.world import RealWorld
from kilostack.drivers.guests.images import ImageCache, cache_key
from kilostack.drivers.guests.port import GuestFault
from tests.drivers.guests.hosts import MemorySource

CONTENT = bytes(range(256)) * 16


@pytest.fixture
def source() -> MemorySource:
    return MemorySource()


@pytest.fixture
def cache(world: RealWorld, tmp_path: Path, source: MemorySource) -> ImageCache:
    made = ImageCache(world, tmp_path / "images", source)
    made.open()
    return made


def names(cache: ImageCache) -> list[str]:
    return sorted(path.name for path in cache.path("x").parent.iterdir())


async def test_an_image_is_fetched_once_however_many_ask(cache: ImageCache, source: MemorySource) -> None:
    image = source.add("one", CONTENT)
    found = await asyncio.gather(*(cache.ensure(image) for _ in range(5)))
    assert {inspected.virtual_size_bytes for inspected in found} == {len(CONTENT)}
    assert source.fetched == [("one", 0)]
    assert cache.path(cache_key(image)).read_bytes() == CONTENT


async def test_a_fetch_outlives_the_guest_that_asked_first(
    cache: ImageCache, source: MemorySource, world: RealWorld
) -> None:
    image = source.add("one", CONTENT)
    first, second = (world.spawn(cache.ensure(image), name) for name in ("first", "second"))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert source.fetched == [("one", 0)]


async def test_a_fetch_that_broke_goes_on_where_it_was(cache: ImageCache, source: MemorySource) -> None:
    image = source.add("one", CONTENT)
    source.breaks_with = ConnectionResetError(errno.ECONNRESET, "reset")
    with pytest.raises(GuestFault, match="failed while fetching the image"):
        await cache.ensure(image)
    source.breaks_with = RuntimeError("the gateway said 503")
    with pytest.raises(GuestFault, match="could not be fetched"):
        await cache.ensure(image)
    source.breaks_with = None
    await cache.ensure(image)
    assert source.fetched == [("one", 0), ("one", 2048), ("one", 4096)]


async def test_a_beginning_that_is_too_long_is_thrown_away(cache: ImageCache, source: MemorySource) -> None:
    image = source.add("one", CONTENT)
    cache.path(cache_key(image) + ".part").write_bytes(bytes(10_000))
    await cache.ensure(image)
    assert source.fetched == [("one", 0)]


async def test_a_full_disk_keeps_no_beginning(cache: ImageCache, source: MemorySource) -> None:
    image = source.add("one", CONTENT)
    source.breaks_with = OSError(errno.ENOSPC, "full")
    with pytest.raises(GuestFault, match="no disk space left"):
        await cache.ensure(image)
    assert names(cache) == []


@pytest.mark.parametrize("change", [{"sha512": "00" * 64}, {"size_bytes": len(CONTENT) + 1}])
async def test_other_bytes_than_promised_are_refused(
    cache: ImageCache, source: MemorySource, change: dict[str, str | int]
) -> None:
    image = msgspec.structs.replace(source.add("one", CONTENT), **change)
    with pytest.raises(GuestFault, match="does not match its checksum"):
        await cache.ensure(image)
    assert names(cache) == []


async def test_an_image_that_reaches_outside_itself_is_refused(
    cache: ImageCache, source: MemorySource, tmp_path: Path
) -> None:
    over = image_over_password_file(tmp_path)
    with pytest.raises(GuestFault, match="names a backing file") as raised:
        await cache.ensure(source.add("over", over, "qcow2"))
    assert raised.value.final
    with pytest.raises(GuestFault, match="names a backing file"):
        await cache.ensure(source.add("raw", over, "raw"))
    assert names(cache) == []


def image_over_password_file(directory: Path) -> bytes:
    path = directory / "over"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", path], check=True)
    return path.read_bytes()


async def test_what_nobody_needs_is_removed(cache: ImageCache, source: MemorySource) -> None:
    one, two = source.add("one", CONTENT), source.add("two", CONTENT)
    await cache.ensure(one)
    await cache.ensure(two)
    cache.path("three.raw.part").write_bytes(b"beginning")
    cache.remove_unused({cache_key(two)})
    assert names(cache) == [cache_key(two)]


async def test_content_is_part_of_an_image_s_identity(cache: ImageCache, source: MemorySource) -> None:
    await cache.ensure(source.add("one", CONTENT))
    other = source.add("one", CONTENT[::-1])
    await cache.ensure(other)
    assert cache.path(cache_key(other)).read_bytes() == CONTENT[::-1]
