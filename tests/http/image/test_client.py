"""The official client library against the image API over real connections."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import openstack
import openstack.exceptions
import pytest

from kilostack.core.world import RealWorld
from kilostack.http.app import make_app
from kilostack.image.service import ImageService
from tests.http.cloud import ADMIN_PROJECT, Personas
from tests.http.serving import served

pytestmark = pytest.mark.filterwarnings("ignore")


def _connect(address: tuple[str, int], token: str) -> Any:
    endpoint = f"http://{address[0]}:{address[1]}/image"
    return openstack.connection.Connection(
        auth_type="admin_token", auth={"endpoint": endpoint, "token": token}, image_endpoint_override=endpoint + "/v2"
    )


def _everyday(cloud: Any, directory: Path) -> None:
    content = os.urandom(2_500_000)
    made = cloud.create_image(
        "mine",
        data=content,
        disk_format="raw",
        container_format="bare",
        wait=True,
        validate_checksum=True,
        tags=["a"],
        min_disk=1,
        os_distro="debian",
        colour="red",
    )
    image = cloud.image.get_image(made.id)
    assert (image.status, image.size, image.checksum) == ("active", len(content), hashlib.md5(content).hexdigest())
    assert (image.os_distro, image.properties["colour"]) == ("debian", "red")
    assert cloud.image.find_image("mine").id == made.id
    assert cloud.image.find_image("nothing", ignore_missing=True) is None
    with (directory / "saved").open("wb") as saved:
        cloud.image.download_image(image, output=saved, stream=True)
    assert (directory / "saved").read_bytes() == content
    cloud.image.update_image(image, name="renamed", os_distro="ubuntu")
    cloud.image.add_tag(image, "b")
    cloud.image.remove_tag(image, "a")
    image = cloud.image.get_image(made.id)
    assert (image.name, image.os_distro, image.tags) == ("renamed", "ubuntu", ["b"])
    cloud.image.deactivate_image(image)
    assert cloud.image.get_image(made.id).status == "deactivated"
    cloud.image.reactivate_image(image)
    image.data = b"other"
    assert image.upload(cloud.image).status_code == 409
    cloud.image.delete_image(image)
    assert cloud.image.find_image("renamed", ignore_missing=True) is None


def _pages(cloud: Any) -> None:
    for number in range(7):
        cloud.image.create_image(name=f"n{number}", allow_duplicates=True)
    for more in ({}, {"limit": 3}, {"limit": 1}, {"limit": 7}):
        found = [image.name for image in cloud.image.images(sort="name:asc", visibility="shared", **more)]
        assert found == [f"n{number}" for number in range(7)]


def _refused(cloud: Any) -> None:
    with pytest.raises(openstack.exceptions.HttpException, match="declared as qcow2"):
        cloud.create_image("bad", data=b"no image", disk_format="qcow2", container_format="bare")
    assert cloud.image.find_image("bad", ignore_missing=True) is None
    with pytest.raises(openstack.exceptions.BadRequestException, match="disk_format"):
        cloud.image.create_image(name="bad", disk_format="vmdk", allow_duplicates=True)


async def test_the_library_works(service: ImageService, world: RealWorld, tmp_path: Path) -> None:
    await service.bootstrap(None, ADMIN_PROJECT)
    async with served(make_app([service.api, service.root], Personas(), world)) as address:
        cloud = _connect(address, "member")
        await world.in_thread(_everyday, cloud, tmp_path)
        await world.in_thread(_pages, cloud)
        await world.in_thread(_refused, cloud)
        cloud.close()
