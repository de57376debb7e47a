"""What tests of the image API say often."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.http.cloud import Answer, Client

PATCH = "application/openstack-images-v2.1-json-patch"
OLD_PATCH = "application/openstack-images-v2.0-json-patch"
OCTETS = {"Content-Type": "application/octet-stream"}
BOOTABLE = {"disk_format": "raw", "container_format": "bare"}


class ImageClient:
    """Requests under `/image/v2`, as `member` unless said otherwise."""

    def __init__(self, http: Client) -> None:
        self.http = http

    async def ask(self, method: str, path: str, token: str | None = "member", **more: Any) -> Answer:
        return await self.http.request(method, "/image/v2" + path, token=token, **more)

    async def create(self, token: str = "member", **attributes: Any) -> dict[str, Any]:
        answer = await self.ask("POST", "/images", token, json=attributes)
        assert answer.status == 201, answer
        found: dict[str, Any] = answer.json()
        return found

    async def upload(
        self, image_id: str, content: bytes | Sequence[bytes], token: str = "member", **headers: str
    ) -> Answer:
        return await self.ask("PUT", f"/images/{image_id}/file", token, body=content, headers=OCTETS | headers)

    async def active(self, content: bytes = b"content", token: str = "member", **attributes: Any) -> dict[str, Any]:
        made = await self.create(token, **(BOOTABLE | attributes))
        assert (await self.upload(made["id"], content, token)).status == 204
        return await self.show(made["id"], token)

    async def show(self, image_id: str, token: str = "member") -> dict[str, Any]:
        answer = await self.ask("GET", f"/images/{image_id}", token)
        assert answer.status == 200, answer
        found: dict[str, Any] = answer.json()
        return found

    async def patch(self, image_id: str, changes: Any, token: str = "member", media: str = PATCH) -> Answer:
        return await self.ask("PATCH", f"/images/{image_id}", token, json=changes, headers={"Content-Type": media})

    async def names(self, query: str = "", token: str = "member") -> list[Any]:
        answer = await self.ask("GET", f"/images{query}", token)
        assert answer.status == 200, answer
        return [image["name"] for image in answer.json()["images"]]


def files(tmp_path: Path) -> list[str]:
    """What the store holds on disk."""
    return sorted(os.listdir(tmp_path / "images"))


async def is_queued_again(images: ImageClient, image_id: str, tmp_path: Path) -> None:
    """As before the upload, with nothing left on disk, and ready for another one."""
    found = await images.show(image_id)
    assert (found["status"], found["size"], found["checksum"]) == ("queued", None, None)
    assert files(tmp_path) == []
    assert (await images.upload(image_id, b"now it works")).status == 204
    assert (await images.show(image_id))["status"] == "active"
