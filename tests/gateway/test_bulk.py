"""Bulk connections: consoles from hosts, images to them, cut at any point."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from kilostack.core.errors import Conflict, NotFound, Unavailable
from kilostack.wire import agent
from kilostack.wire.calls import Actor
from kilostack.wire.compute import ImageRef
from kilostack.wire.image_calls import READ_IMAGE, Chunk, ReadAsked
from tests.gateway.rack import Rack, simulate


def test_a_console_is_read_over_a_connection_of_its_own() -> None:
    async def scene(rack: Rack) -> None:
        host = rack.add_host("h1")
        await rack.until(rack.is_settled)
        host.consoles["a"] = "one\ntwo é\n"
        assert await rack.gateway.read("a", "h1", None) == "one\ntwo é\n"
        assert await rack.gateway.read("a", "h1", 1) == "two é\n"
        with pytest.raises(Conflict, match="not written anything"):
            await rack.gateway.read("b", "h1", 1)
        with pytest.raises(Unavailable):
            await rack.gateway.read("a", "h2", 1)
        host.consoles["long"] = "x" * 3_000_000
        assert len(await rack.gateway.read("long", "h1", None)) == 1024 * 1024
        rack.refuses_connections = True
        with pytest.raises(Unavailable):
            await rack.gateway.read("a", "h1", None)

    simulate(14, scene)


_IMAGE = bytes(range(256)) * 8000


def _image_ref() -> ImageRef:
    return ImageRef(id="image-1", disk_format="raw", size_bytes=len(_IMAGE), sha512=hashlib.sha512(_IMAGE).hexdigest())


def _serve_image(rack: Rack) -> list[int]:
    """Answer for the image service; the offsets that were read."""
    read: list[int] = []

    async def answer(asked: ReadAsked, actor: Actor) -> Chunk:
        if rack.image_is_gone:
            raise NotFound("no such image")
        read.append(asked.offset)
        return Chunk(_IMAGE[asked.offset : asked.offset + asked.length])

    rack.extra.add(READ_IMAGE, answer)
    rack.crash_gateway()
    return read


def test_an_image_is_fetched_in_pieces_and_goes_on_where_it_was_cut(tmp_path: Path) -> None:
    async def scene(rack: Rack) -> None:
        read = _serve_image(rack)
        host = rack.add_host("h1")
        rack.services["compute"].want("h1", "a", 1)
        await rack.until(rack.is_settled)
        target = tmp_path / "image.part"
        rack.call_s = 0.5
        work = host.world.spawn(host.runtime.images.fetch(_image_ref(), target), "fetch")
        for _ in range(2):
            size = target.stat().st_size if target.exists() else 0
            await rack.until(lambda size=size: target.exists() and target.stat().st_size > size)  # type: ignore[misc]
            rack.taken[-1].cut()
        await work
        assert target.read_bytes() == _IMAGE
        assert read.count(0) == 1, "what was here already is not fetched again"
        await host.runtime.images.fetch(_image_ref(), target)
        target.write_bytes(_IMAGE + b"too long")
        await host.runtime.images.fetch(_image_ref(), target)
        assert target.read_bytes() == _IMAGE

    simulate(15, scene)


def test_only_images_that_the_host_needs_are_given_to_it(tmp_path: Path) -> None:
    async def scene(rack: Rack) -> None:
        _serve_image(rack)
        host = rack.add_host("h1")
        rack.services["compute"].want("h2", "a", 1)
        await rack.until(rack.is_settled)
        with pytest.raises(NotFound, match="No guest of this host"):
            await host.runtime.images.fetch(_image_ref(), tmp_path / "x")
        channel = rack.dial()
        await channel.send(agent.write(agent.ImageWanted(ticket="guessed", offset=0)))
        frame = await channel.receive()
        assert frame is not None and isinstance(agent.read_bulk_answer(frame), agent.Refusal)

    simulate(16, scene)


def test_an_image_survives_a_control_plane_that_comes_and_goes(tmp_path: Path) -> None:
    async def scene(rack: Rack) -> None:
        _serve_image(rack)
        host = rack.add_host("h1")
        rack.services["compute"].want("h1", "a", 1)
        await rack.until(rack.is_settled)
        rack.call_s = 0.3
        work = host.world.spawn(host.runtime.images.fetch(_image_ref(), tmp_path / "x"), "fetch")
        for pause in (0.1, 0.4, 0.9):
            await asyncio.sleep(pause)
            rack.crash_gateway()
        rack.away = {"image"}
        await asyncio.sleep(3)
        rack.away = set()
        await work
        assert (tmp_path / "x").read_bytes() == _IMAGE

    simulate(19, scene)


def test_an_image_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    async def scene(rack: Rack) -> None:
        _serve_image(rack)
        host = rack.add_host("h1")
        rack.services["compute"].want("h1", "a", 1)
        await rack.until(rack.is_settled)
        rack.image_is_gone = True
        with pytest.raises(Unavailable, match="does not come"):
            await host.runtime.images.fetch(_image_ref(), tmp_path / "x")

    simulate(20, scene)


def test_an_image_that_never_comes_is_given_up(tmp_path: Path) -> None:
    async def scene(rack: Rack) -> None:
        host = rack.add_host("h1")
        rack.services["compute"].want("h1", "a", 1)
        await rack.until(rack.is_settled)
        with pytest.raises(Unavailable):
            await host.runtime.images.fetch(_image_ref(), tmp_path / "x")

    simulate(17, scene)
