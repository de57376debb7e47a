"""Channels: frames in order, whole, until the end; the same contract over the kernel and in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kilostack.core.world import RealWorld
from kilostack.wire.framing import MAX_FRAME, Channel, Closed, dial_unix, memory_pair, serve_unix, socket_pair


@pytest.fixture(params=["memory", "socket"])
async def ends(request: pytest.FixtureRequest, world: RealWorld) -> AsyncIterator[tuple[Channel, Channel]]:
    pair: tuple[Channel, Channel] = memory_pair(world) if request.param == "memory" else await socket_pair()
    yield pair
    for end in pair:
        end.close()


async def test_frames_arrive_whole_and_in_order(ends: tuple[Channel, Channel]) -> None:
    left, right = ends
    frames = [b"", b"a", b"b" * 200_000, b"c"]

    async def send() -> None:
        for frame in frames:
            await left.send(frame)

    sending = asyncio.get_running_loop().create_task(send())
    assert [await right.receive() for _ in frames] == frames
    await sending
    await right.send(b"back")
    assert await left.receive() == b"back"


async def test_what_was_sent_before_the_end_arrives(ends: tuple[Channel, Channel]) -> None:
    left, right = ends
    await left.send(b"last words")
    left.close()
    assert await right.receive() == b"last words"
    assert await right.receive() is None
    assert await right.receive() is None
    with pytest.raises(Closed):
        await left.send(b"too late")


async def test_a_reader_wakes_when_the_other_end_goes(ends: tuple[Channel, Channel]) -> None:
    left, right = ends
    reading = asyncio.get_running_loop().create_task(right.receive())
    await asyncio.sleep(0)
    left.close()
    assert await reading is None


async def test_a_slow_reader_holds_its_sender_up(ends: tuple[Channel, Channel]) -> None:
    left, right = ends
    sent = 0

    async def send() -> None:
        nonlocal sent
        for _ in range(300):
            await left.send(b"x" * 100_000)
            sent += 1

    sending = asyncio.get_running_loop().create_task(send())
    done, _ = await asyncio.wait([sending], timeout=0.2)
    assert not done and sent < 300
    for _ in range(300):
        assert await right.receive() is not None
    await sending


async def test_a_sender_that_waits_wakes_when_the_reader_goes(world: RealWorld) -> None:
    left, right = memory_pair(world)

    async def send() -> None:
        while True:
            await left.send(b"x")

    sending = asyncio.get_running_loop().create_task(send())
    await asyncio.wait([sending], timeout=0.05)
    right.close()
    with pytest.raises(Closed):
        await sending


async def test_a_cut_loses_what_has_not_arrived(world: RealWorld) -> None:
    left, right = memory_pair(world, lambda: 3600.0)
    await left.send(b"on its way")
    reading = asyncio.get_running_loop().create_task(right.receive())
    await asyncio.sleep(0)
    left.cut()
    assert await reading is None
    with pytest.raises(Closed):
        await right.send(b"x")


async def test_listening_on_a_path_takes_the_place_of_a_dead_listener(world: RealWorld, tmp_path: Path) -> None:
    path = tmp_path / "s"
    echoed = asyncio.Event()

    async def echo(channel: Channel) -> None:
        while (frame := await channel.receive()) is not None:
            await channel.send(frame)
        channel.close()
        echoed.set()

    first = await serve_unix(path, world, echo)
    first.close()
    server = await serve_unix(path, world, echo)
    channel = await dial_unix(path)
    await channel.send(b"hello")
    assert await channel.receive() == b"hello"
    channel.close()
    await echoed.wait()
    server.close()


async def test_a_length_that_nobody_would_send_ends_the_connection(world: RealWorld, tmp_path: Path) -> None:
    heard: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

    async def listen(channel: Channel) -> None:
        heard.set_result(await channel.receive())

    server = await serve_unix(tmp_path / "s", world, listen)
    reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
    writer.write((MAX_FRAME + 1).to_bytes(4, "big"))
    assert await heard is None
    assert await reader.read() == b""
    writer.close()
    server.close()


async def test_a_frame_cut_in_the_middle_is_no_frame(world: RealWorld, tmp_path: Path) -> None:
    heard: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

    async def listen(channel: Channel) -> None:
        heard.set_result(await channel.receive())

    server = await serve_unix(tmp_path / "s", world, listen)
    _, writer = await asyncio.open_unix_connection(tmp_path / "s")
    writer.write((10).to_bytes(4, "big") + b"half")
    writer.close()
    assert await heard is None
    server.close()
