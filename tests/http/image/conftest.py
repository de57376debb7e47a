"""An image service behind an in-process client, on a directory of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from kilostack.core.world import RealWorld
from kilostack.drivers.blobs.files import FileBlobs
from kilostack.image.service import ImageService, Parts
from kilostack.image.store.tables import META
from tests.conftest import MakeDatabase
from tests.http.cloud import Client, client
from tests.http.image.images import ImageClient


@pytest.fixture
async def service(tmp_path: Path, world: RealWorld, make_sqlite: MakeDatabase) -> ImageService:
    blobs = FileBlobs(tmp_path / "images", world, reserve_bytes=0)
    made = ImageService(Parts(db=await make_sqlite(META), world=world, blobs=blobs))
    await made.start()
    return made


@pytest.fixture
def http(service: ImageService, world: RealWorld) -> Client:
    return client([service.api, service.root], world)


@pytest.fixture
def images(http: Client) -> ImageClient:
    return ImageClient(http)
