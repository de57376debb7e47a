"""What may happen to a content while it is on its way: cut off, doubled, its image deleted or changed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from kilostack.core.world import RealWorld
from kilostack.http.app import make_app
from kilostack.http.messages import Body, Request
from kilostack.image.service import ImageService
from tests.http.cloud import PERSONAS, Personas
from tests.http.image.images import BOOTABLE, OCTETS, ImageClient, files, is_queued_again
from tests.waiting import until


class Sender:
    """One upload whose bytes a test hands over one by one."""

    def __init__(self, app: Any, path: str, **headers: str) -> None:
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._app, self._path, self._headers = app, path, OCTETS | {"X-Auth-Token": "member"} | headers
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> int:
        status = 0

        async def send(event: dict[str, Any]) -> None:
            nonlocal status
            status = event.get("status", status)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "PUT",
            "scheme": "http",
            "path": self._path,
            "raw_path": self._path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in self._headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("cloud.test", 80),
        }
        await self._app(scope, self._events.get, send)
        return status

    def send(self, data: bytes, *, more: bool = True) -> None:
        self._events.put_nowait({"type": "http.request", "body": data, "more_body": more})

    def go_away(self) -> None:
        self._events.put_nowait({"type": "http.disconnect"})


@pytest.fixture
def app(service: ImageService, world: RealWorld) -> Any:
    return make_app([service.api], Personas(), world)


async def _until_saving(images: ImageClient, image_id: str) -> None:
    async def saving() -> bool:
        return (await images.show(image_id))["status"] == "saving"

    await until(saving)


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "4000000"}])
async def test_an_upload_that_is_cut_off(
    images: ImageClient, app: Any, tmp_path: Path, headers: dict[str, str]
) -> None:
    image = await images.create(**BOOTABLE)
    sender = Sender(app, f"/image/v2/images/{image['id']}/file", **headers)
    sender.send(b"x" * 2_000_000)
    await _until_saving(images, image["id"])
    found = await images.show(image["id"])
    assert (found["size"], found["checksum"]) == (None, None)
    assert (await images.ask("GET", f"/images/{image['id']}/file")).status == 204
    sender.go_away()
    assert await sender.task == 400
    await is_queued_again(images, image["id"], tmp_path)


async def test_two_uploads_at_once(images: ImageClient, app: Any, tmp_path: Path) -> None:
    image = await images.create(**BOOTABLE)
    first = Sender(app, f"/image/v2/images/{image['id']}/file")
    first.send(b"first")
    await _until_saving(images, image["id"])
    assert (await images.upload(image["id"], b"second")).status == 409
    first.send(b"", more=False)
    assert await first.task == 204
    assert (await images.ask("GET", f"/images/{image['id']}/file")).body == b"first"
    assert files(tmp_path) == [image["id"]]


async def test_an_image_deleted_while_it_is_uploaded(images: ImageClient, app: Any, tmp_path: Path) -> None:
    image = await images.create(**BOOTABLE)
    sender = Sender(app, f"/image/v2/images/{image['id']}/file")
    sender.send(b"first")
    await _until_saving(images, image["id"])
    assert (await images.ask("DELETE", f"/images/{image['id']}")).status == 204
    sender.send(b"", more=False)
    assert await sender.task == 410
    assert files(tmp_path) == []


async def test_an_upload_that_was_given_up_meanwhile(images: ImageClient, app: Any, service: ImageService) -> None:
    """Its record belongs to another upload now, so its content goes nowhere."""
    image = await images.create(**BOOTABLE)
    path = f"/image/v2/images/{image['id']}/file"
    first = Sender(app, path)
    first.send(b"first")
    await _until_saving(images, image["id"])
    await service.start()
    second = Sender(app, path)
    second.send(b"second")
    await _until_saving(images, image["id"])
    first.send(b"", more=False)
    assert await first.task >= 400
    assert (await images.show(image["id"]))["status"] == "saving"
    second.send(b"", more=False)
    assert await second.task == 204
    assert (await images.ask("GET", f"/images/{image['id']}/file")).body == b"second"


async def test_an_image_changed_while_it_is_uploaded(images: ImageClient, app: Any) -> None:
    image = await images.create(**BOOTABLE)
    sender = Sender(app, f"/image/v2/images/{image['id']}/file")
    sender.send(b"first")
    await _until_saving(images, image["id"])
    assert (await images.patch(image["id"], [{"op": "replace", "path": "/name", "value": "new"}])).status == 200
    sender.send(b"", more=False)
    assert await sender.task == 204
    found = await images.show(image["id"])
    assert (found["name"], found["status"], found["size"]) == ("new", "active", 5)


async def test_a_request_that_is_cancelled(images: ImageClient, app: Any, tmp_path: Path) -> None:
    """As when the server is stopped."""
    image = await images.create(**BOOTABLE)
    sender = Sender(app, f"/image/v2/images/{image['id']}/file")
    sender.send(b"first")
    await _until_saving(images, image["id"])
    sender.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sender.task
    await is_queued_again(images, image["id"], tmp_path)


async def test_an_image_deleted_while_it_is_downloaded(images: ImageClient, service: ImageService) -> None:
    image = await images.active(b"x" * 3_000_000)
    route = next(r for r in service.api.routes if r.path.endswith("/file") and r.method == "GET")
    request = Request(method="GET", path="", headers={}, query="", body=Body(_nothing(), None))
    request.params, request.ctx = {"image_id": image["id"]}, PERSONAS["member"]
    response = await route.handler(request)
    assert response.stream is not None
    got = len(await anext(response.stream))
    assert (await images.ask("DELETE", f"/images/{image['id']}")).status == 204
    async for piece in response.stream:
        got += len(piece)
    assert got == 3_000_000


async def _nothing() -> Any:
    return
    yield b""
