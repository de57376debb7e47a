"""Contents that are no image, or not the one that was announced: refused, and nothing of them stays."""

from __future__ import annotations

import base64
import hashlib
import socket
from contextlib import closing

import pytest

from tests.http.whole.simulated import COMPUTE, IMAGE, Answer, Login, SimulatedCloud, wait_until
from tests.http.whole.things import OCTETS, new_image


@pytest.fixture(scope="module")
def owner(cloud: SimulatedCloud) -> Login:
    return cloud.new_project("painter", "member")


def _says(answer: Answer, status: int, *texts: str) -> None:
    assert answer.status == status, answer
    for text in texts:
        assert text in answer.message, answer.message


def _qcow2(*, backing: bytes = b"", size: int = 1 << 20) -> bytes:
    """The head of a qcow2 image, and enough behind it."""
    raw = bytearray(256 << 10)
    raw[0:4] = b"QFI\xfb"
    raw[4:8] = (2).to_bytes(4, "big")
    if backing:
        raw[8:16] = (512).to_bytes(8, "big")
        raw[16:20] = len(backing).to_bytes(4, "big")
        raw[512 : 512 + len(backing)] = backing
    raw[20:24] = (16).to_bytes(4, "big")
    raw[24:32] = size.to_bytes(8, "big")
    raw[36:40] = min(max(1, -(-size // (1 << 29))), 1 << 30).to_bytes(4, "big")
    raw[40:48] = (3 << 16).to_bytes(8, "big")
    raw[48:56] = (1 << 16).to_bytes(8, "big")
    raw[56:60] = (1).to_bytes(4, "big")
    return bytes(raw)


@pytest.mark.parametrize(
    ("declared", "content", "text"),
    [
        ("qcow2", b"not an image at all\n" * 1000, "declared as qcow2, but its content is raw"),
        ("qcow2", b"", "empty"),
        ("qcow2", _qcow2()[:50], "cut off"),
        ("qcow2", _qcow2(backing=b"/etc/shadow"), "names a backing file"),
        ("qcow2", _qcow2(backing=b"json:{}"), "names a backing file"),
        ("qcow2", _qcow2(size=1 << 62), "absurd size"),
        ("raw", _qcow2(), "declared as raw, but its content is qcow2"),
        ("raw", b"KDMV" + bytes(4000), "declared as raw, but its content is vmdk"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_images_that_are_none(owner: Login, declared: str, content: bytes, text: str) -> None:
    wanted = {"name": "i", "disk_format": declared, "container_format": "bare"}
    image = owner.ask("POST", f"{IMAGE}/images", wanted).json()["id"]
    path = f"{IMAGE}/images/{image}"
    _says(owner.ask("PUT", f"{path}/file", content, headers=OCTETS), 415, text)
    shown = owner.get(path)
    assert (shown["status"], shown["size"], shown["checksum"]) == ("queued", None, None)
    assert owner.ask("GET", f"{path}/file").status == 204
    server = {"name": "s", "flavorRef": owner.flavor("m1.tiny"), "imageRef": image, "networks": "none"}
    _says(owner.ask("POST", f"{COMPUTE}/servers", {"server": server}), 400, f"Image {image} is not active.")
    owner.remove(path)


def test_an_upload_cut_off_half_way(cloud: SimulatedCloud, owner: Login) -> None:
    wanted = {"name": "i", "disk_format": "raw", "container_format": "bare"}
    image = owner.ask("POST", f"{IMAGE}/images", wanted).json()["id"]
    path = f"{IMAGE}/images/{image}"
    for framing in ("Content-Length: 8388608", "Transfer-Encoding: chunked"):
        head = f"PUT {path}/file HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {owner.token}\r\n"
        head += f"Content-Type: application/octet-stream\r\n{framing}\r\n\r\n"
        piece = bytes(1 << 20) if "Length" in framing else b"100000\r\n" + bytes(1 << 20) + b"\r\n"
        with closing(socket.create_connection(("127.0.0.1", cloud.port), timeout=20)) as connection:
            connection.sendall(head.encode() + piece * 3)
            wait_until(lambda: owner.get(path)["status"] == "saving", "the upload has begun")
        wait_until(lambda: owner.get(path)["status"] == "queued", "the upload is given up")
        assert [file.name for file in (cloud.state_dir / "images").iterdir() if image in file.name] == []
    assert owner.ask("PUT", f"{path}/file", bytes(1 << 20), headers=OCTETS).status == 204
    assert owner.get(path)["status"] == "active"


def test_an_image_with_a_wrong_checksum_or_length(owner: Login) -> None:
    wanted = {"name": "i", "disk_format": "raw", "container_format": "bare"}
    image = owner.ask("POST", f"{IMAGE}/images", wanted).json()["id"]
    path = f"{IMAGE}/images/{image}"
    content = bytes(1 << 20)
    for told, text in (
        ({"Content-MD5": "0" * 32}, "MD5 checksum"),
        ({"Content-MD5": base64.b64encode(bytes(16)).decode()}, "MD5 checksum"),
        ({"Content-MD5": "zz"}, "Content-MD5"),
        ({"X-Openstack-Image-Size": "5"}, "5 bytes that were announced"),
        ({"X-Openstack-Image-Size": str(2 << 20)}, "were announced"),
        ({"X-Openstack-Image-Size": "-1"}, "Invalid image size"),
    ):
        _says(owner.ask("PUT", f"{path}/file", content, headers=OCTETS | told), 400, text)
        assert owner.get(path)["status"] == "queued"
    right = {"Content-MD5": hashlib.md5(content).hexdigest(), "X-Openstack-Image-Size": str(1 << 20)}
    assert owner.ask("PUT", f"{path}/file", content, headers=OCTETS | right).status == 204
    _says(owner.ask("PUT", f"{path}/file", content, headers=OCTETS), 409)
    _says(owner.ask("PUT", f"{IMAGE}/images/x/file", content, headers=OCTETS), 404)


def test_an_image_too_big_for_the_flavor(owner: Login) -> None:
    wanted = {"name": "s", "flavorRef": owner.flavor("m1.tiny"), "networks": "none"}
    for more, text in (
        ({"min_disk": 2}, "Flavor's disk is smaller than the minimum size specified in image metadata."),
        ({"min_ram": 4096}, "Flavor's memory is too small for requested image."),
    ):
        image = new_image(owner, **more)
        _says(owner.ask("POST", f"{COMPUTE}/servers", {"server": wanted | {"imageRef": image}}), 400, text)
    image = owner.ask("POST", f"{IMAGE}/images", {"name": "i", "disk_format": "qcow2", "container_format": "bare"})
    path = f"{IMAGE}/images/{image.json()['id']}"
    assert owner.ask("PUT", f"{path}/file", _qcow2(size=5 << 30), headers=OCTETS).status == 204
    answer = owner.ask("POST", f"{COMPUTE}/servers", {"server": wanted | {"imageRef": image.json()["id"]}})
    _says(answer, 400, "Flavor's disk is too small for requested image.")
    assert owner.get(f"{COMPUTE}/servers")["servers"] == []
