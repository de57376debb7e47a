"""Contents of images: upload in every way it can go right or wrong, download in whole and in part."""

from __future__ import annotations

import base64
import hashlib
import os
import struct
from pathlib import Path

import pytest

from kilostack.core.world import RealWorld
from kilostack.drivers.blobs.memory import MemoryBlobs
from kilostack.http.app import make_app
from kilostack.image.service import ImageService, Parts
from kilostack.image.store.tables import META
from tests.conftest import MakeDatabase
from tests.http.cloud import Client, Personas
from tests.http.image.images import BOOTABLE, ImageClient, files, is_queued_again


@pytest.mark.parametrize("chunked", [True, False])
async def test_an_upload_is_stored_and_described(images: ImageClient, tmp_path: Path, chunked: bool) -> None:
    content = os.urandom(3_500_000)
    image = await images.create(**BOOTABLE)
    parts = [content[at : at + 65536] for at in range(0, len(content), 65536)]
    answer = await images.upload(image["id"], parts if chunked else content)
    assert (answer.status, answer.body) == (204, b"")
    found = await images.show(image["id"])
    assert (found["status"], found["size"], found["virtual_size"]) == ("active", len(content), len(content))
    assert found["checksum"] == hashlib.md5(content).hexdigest()
    assert (found["os_hash_algo"], found["os_hash_value"]) == ("sha512", hashlib.sha512(content).hexdigest())
    assert files(tmp_path) == [image["id"]]
    got = await images.ask("GET", f"/images/{image['id']}/file")
    assert (got.status, got.body == content) == (200, True)
    assert got.headers["content-type"] == "application/octet-stream"
    assert got.headers["content-length"] == str(len(content))
    assert got.headers["content-md5"] == found["checksum"]
    assert (await images.ask("DELETE", f"/images/{image['id']}")).status == 204
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("asked", "status", "start", "end"),
    [
        ("bytes=0-4", 206, 0, 5),
        ("bytes=5-", 206, 5, 26),
        ("bytes=-3", 206, 23, 26),
        ("bytes=-100", 206, 0, 26),
        ("bytes=20-100", 206, 20, 26),
        ("bytes=25-25", 206, 25, 26),
        ("bytes=5-4", 200, 0, 26),
        ("bytes=-", 200, 0, 26),
        ("bytes=0-1,3-4", 200, 0, 26),
        ("lines=1-2", 200, 0, 26),
        ("bytes=x-y", 200, 0, 26),
    ],
)
async def test_parts(images: ImageClient, asked: str, status: int, start: int, end: int) -> None:
    content = b"abcdefghijklmnopqrstuvwxyz"
    image = await images.active(content)
    for method, body in (("GET", content[start:end]), ("HEAD", b"")):
        got = await images.ask(method, f"/images/{image['id']}/file", headers={"Range": asked})
        assert (got.status, got.body) == (status, body)
        assert got.headers["content-length"] == str(end - start)
        assert got.headers.get("content-range") == (f"bytes {start}-{end - 1}/26" if status == 206 else None)


@pytest.mark.parametrize("asked", ["bytes=26-", "bytes=100-200", "bytes=-0"])
async def test_parts_that_are_not_there(images: ImageClient, asked: str) -> None:
    image = await images.active(b"abcdefghijklmnopqrstuvwxyz")
    got = await images.ask("GET", f"/images/{image['id']}/file", headers={"Range": asked})
    assert (got.status, got.headers["content-range"]) == (416, "bytes */26")


async def test_no_content_yet(images: ImageClient) -> None:
    image = await images.create(**BOOTABLE)
    got = await images.ask("GET", f"/images/{image['id']}/file")
    assert (got.status, got.body) == (204, b"")


async def test_who_may_download(images: ImageClient) -> None:
    private = await images.active()
    public = await images.active(token="admin", visibility="public")
    for token, mine, everyone in (
        ("member", 200, 200),
        ("reader", 403, 403),
        ("other-member", 404, 200),
        ("admin", 200, 200),
        ("none", 404, 404),
    ):
        assert (await images.ask("GET", f"/images/{private['id']}/file", token)).status == mine, token
        assert (await images.ask("GET", f"/images/{public['id']}/file", token)).status == everyone, token


async def test_who_may_upload(images: ImageClient) -> None:
    image = await images.create(visibility="community", **BOOTABLE)
    for token, status in (("reader", 403), ("other-member", 403), ("none", 404), ("manager", 204)):
        assert (await images.upload(image["id"], b"x", token)).status == status, token


async def test_a_deactivated_image_keeps_its_content_to_itself(images: ImageClient) -> None:
    image = await images.active(b"secret")
    path = f"/images/{image['id']}"
    for _ in range(2):
        assert (await images.ask("POST", f"{path}/actions/deactivate")).status == 204
    assert (await images.show(image["id"]))["status"] == "deactivated"
    refused = await images.ask("GET", f"{path}/file")
    assert (refused.status, "deactivated" in refused.json()["message"]) == (403, True)
    assert (await images.ask("GET", f"{path}/file", "admin")).body == b"secret"
    assert (await images.upload(image["id"], b"x")).status == 409
    assert (await images.ask("POST", f"{path}/actions/reactivate", "reader")).status == 403
    assert (await images.ask("POST", f"{path}/actions/reactivate")).status == 204
    assert (await images.ask("GET", f"{path}/file")).body == b"secret"
    queued = await images.create()
    answer = await images.ask("POST", f"/images/{queued['id']}/actions/deactivate")
    assert (answer.status, "status 'queued'" in answer.json()["message"]) == (403, True)


@pytest.mark.parametrize("media", ["", "application/json", "text/plain", "application/octet-stream2"])
async def test_other_content_types_are_refused(images: ImageClient, tmp_path: Path, media: str) -> None:
    image = await images.create(**BOOTABLE)
    answer = await images.ask(
        "PUT", f"/images/{image['id']}/file", body=b"x", headers={"Content-Type": media} if media else {}
    )
    assert (answer.status, "application/octet-stream" in answer.json()["message"]) == (415, True)
    await is_queued_again(images, image["id"], tmp_path)


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({}, "Properties disk_format, container_format must be set prior to saving data."),
        ({"disk_format": "raw"}, "Property container_format must be set prior to saving data."),
    ],
)
async def test_formats_must_be_known_first(images: ImageClient, attributes: dict[str, str], said: str) -> None:
    image = await images.create(**attributes)
    answer = await images.upload(image["id"], b"x")
    assert (answer.status, answer.json()["message"]) == (400, said)
    assert (await images.show(image["id"]))["status"] == "queued"


async def test_a_second_upload_is_refused(images: ImageClient) -> None:
    image = await images.active(b"first")
    answer = await images.upload(image["id"], b"second")
    expected = "Image status transition from active to saving is not allowed."
    assert (answer.status, answer.json()["message"]) == (409, expected)
    assert (await images.ask("GET", f"/images/{image['id']}/file")).body == b"first"


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"x-openstack-image-size": "11"}, "11 were announced"),
        ({"x-openstack-image-size": "9"}, "longer than the 9 bytes"),
        ({"x-openstack-image-size": "ten"}, "Invalid image size"),
        ({"x-openstack-image-size": "-1"}, "Invalid image size"),
        ({"Content-MD5": "0" * 32}, "MD5 checksum"),
        ({"Content-MD5": base64.b64encode(b"0" * 16).decode()}, "MD5 checksum"),
        ({"Content-MD5": "nonsense"}, "Invalid Content-MD5"),
    ],
)
async def test_content_that_is_not_what_was_announced(
    images: ImageClient, tmp_path: Path, headers: dict[str, str], said: str
) -> None:
    image = await images.create(**BOOTABLE)
    answer = await images.upload(image["id"], [b"01234", b"56789"], **headers)
    assert (answer.status, said in answer.json()["message"]) == (400, True), answer
    await is_queued_again(images, image["id"], tmp_path)


async def test_content_that_is_what_was_announced(images: ImageClient) -> None:
    digest = hashlib.md5(b"0123456789")
    for text in (digest.hexdigest(), digest.hexdigest().upper(), base64.b64encode(digest.digest()).decode()):
        image = await images.create(**BOOTABLE)
        headers = {"Content-MD5": text, "x-openstack-image-size": "10"}
        assert (await images.upload(image["id"], [b"01234", b"56789"], **headers)).status == 204


def _qcow2(backing: int = 0) -> bytes:
    """The smallest image that qemu-img would take: 64 KiB clusters, 1 MiB, one table of each kind."""
    header = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, backing, 0, 16, 1 << 20, 0, 1, 196608, 65536, 1, 0, 0)
    return header.ljust(5 * 65536, b"\0")


@pytest.mark.parametrize(
    ("declared", "content", "said"),
    [
        ("raw", b"", "empty"),
        ("qcow2", b"", "empty"),
        ("qcow2", b"no image at all", "declared as qcow2"),
        ("raw", _qcow2(), "declared as raw, but its content is qcow2"),
        ("qcow2", _qcow2(backing=1024), "backing file"),
        ("qcow2", _qcow2()[:50], "cut off"),
        ("raw", b"KDMV" + b"\0" * 1000, "vmdk"),
    ],
)
async def test_content_that_is_something_else(
    images: ImageClient, tmp_path: Path, declared: str, content: bytes, said: str
) -> None:
    image = await images.create(disk_format=declared, container_format="bare")
    answer = await images.upload(image["id"], content)
    assert (answer.status, said in answer.json()["message"]) == (415, True), answer
    assert (await images.show(image["id"]))["status"] == "queued"
    assert files(tmp_path) == []


async def test_a_qcow2_shows_its_own_size(images: ImageClient) -> None:
    image = await images.active(_qcow2(), disk_format="qcow2")
    assert (image["size"], image["virtual_size"]) == (5 * 65536, 1 << 20)


@pytest.mark.parametrize("announced", [True, False])
async def test_an_image_too_big_for_the_disk(make_sqlite: MakeDatabase, world: RealWorld, announced: bool) -> None:
    blobs = MemoryBlobs(capacity_bytes=1_500_000)
    service = ImageService(Parts(db=await make_sqlite(META), world=world, blobs=blobs))
    images = ImageClient(Client(make_app([service.api], Personas(), world)))
    image = await images.create(**BOOTABLE)
    content = b"x" * 2_000_000
    answer = await images.upload(image["id"], content if announced else [content[:1_200_000], content[1_200_000:]])
    assert (answer.status, "Image storage media is full" in answer.json()["message"]) == (413, True)
    assert (await images.show(image["id"]))["status"] == "queued"
    assert await blobs.room() == 1_500_000
    assert (await images.upload(image["id"], b"small")).status == 204


async def test_an_absurd_size_is_refused_at_once(images: ImageClient) -> None:
    image = await images.create(**BOOTABLE)
    answer = await images.upload(image["id"], [b"x"], **{"x-openstack-image-size": str(2 << 40)})
    assert (answer.status, "too large" in answer.json()["message"]) == (413, True)
    assert (await images.show(image["id"]))["status"] == "queued"
