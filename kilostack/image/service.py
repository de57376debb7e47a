"""The image service, put together from what it is given."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import msgspec

from kilostack.core import qcow2
from kilostack.core.context import internal
from kilostack.core.errors import Error, NotFound
from kilostack.core.policy import Policy
from kilostack.core.world import World
from kilostack.drivers.blobs.files import file_chunks, head_of
from kilostack.drivers.blobs.port import Blobs
from kilostack.http.dialects import GLANCE
from kilostack.http.discovery import image_root
from kilostack.http.routes import Api, Route
from kilostack.image.api import schemas
from kilostack.image.api.contents import ContentsApi
from kilostack.image.api.images import ImagesApi
from kilostack.image.app.images import Images
from kilostack.image.app.rules import RULES
from kilostack.image.app.uploads import Upload, Uploads
from kilostack.image.model.image import Image, Status
from kilostack.image.store import images as store
from kilostack.store.database import Database, Tx
from kilostack.wire.calls import Actor, Answers
from kilostack.wire.image_calls import GET_IMAGE, READ_IMAGE, Chunk, ImageAsked, ImageFacts, ReadAsked

_LOG = logging.getLogger("kilostack.image")
#: hidden images and digests of any algorithm came with this one; import tasks and stores are not offered
CURRENT_MINOR = 7
_READ_BYTES = 4 << 20
_TINY = "tiny"
_SIMULATED_BYTES = 1 << 20


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What the service is given."""

    db: Database
    world: World
    blobs: Blobs
    #: rule name -> check that an operator laid over the default
    policy: Mapping[str, str] = {}


class ImageService:
    """`api` and `root` are served to the public, `answers` to neighbours."""

    def __init__(self, parts: Parts) -> None:
        self._db, self._world, self._blobs = parts.db, parts.world, parts.blobs
        self.images = Images(parts.db, parts.world, Policy(RULES, parts.policy), parts.blobs)
        self.uploads = Uploads(parts.db, parts.world, parts.blobs, self.images)
        self.root = image_root(CURRENT_MINOR)
        versions = Route(method="GET", path="", handler=self.root.routes[0].handler, public=True)
        self.api = Api(
            name="image",
            prefix="/image/v2",
            dialect=GLANCE,
            lenient_slashes=False,
            routes=(
                versions,
                *ImagesApi(self.images).routes(),
                *ContentsApi(self.images, self.uploads, parts.blobs).routes(),
                *schemas.ROUTES,
            ),
        )
        self.answers = Answers()
        self.answers.add(GET_IMAGE, self._get_image)
        self.answers.add(READ_IMAGE, self._read_image)

    async def start(self) -> None:
        """Put right what a crash left; before anybody is served. One process at a time owns the contents."""
        await self.uploads.recover()

    async def bootstrap(self, tiny: Path | None, admin_project_id: str) -> None:
        """Make the public image `tiny` once; its content follows in the background. Without a file it is simulated.

        A cloud without its first image is better than none: a file that cannot be read is logged.
        """

        async def look(tx: Tx) -> tuple[bool, Image | None]:
            made = await store.MADE_RECORDS.find(tx, what=_TINY)
            return made is not None, None if made is None else await store.find(tx, made.image_id)

        is_made, image = await self._db.read(look)
        if is_made and (image is None or image.status is not Status.QUEUED):
            return
        try:
            disk_format = "raw" if tiny is None else await self._format_of(tiny)
            image = image or await self._make_tiny(disk_format, admin_project_id)
        except (OSError, qcow2.ImageRefused) as error:
            _LOG.error("image %s was not made from %s: %s", _TINY, tiny, error)
            return
        content = _simulated(image.id) if tiny is None else file_chunks(tiny, self._world)
        self._world.spawn(self._fill(image.id, content), "image-bootstrap")

    async def _format_of(self, path: Path) -> str:
        head, size = await head_of(path, self._world)
        return qcow2.inspect(head, size).disk_format

    async def _make_tiny(self, disk_format: str, owner: str) -> Image:
        now = self._world.now()
        image = Image(
            id=self._world.new_id(),
            owner=owner,
            name=_TINY,
            visibility="public",
            disk_format=disk_format,
            container_format="bare",
            created_at=now,
            updated_at=now,
        )

        async def unit(tx: Tx) -> Image:
            await store.MADE_RECORDS.insert(tx, store.Made(what=_TINY, image_id=image.id, at=now))
            return await store.insert(tx, image)

        return await self._db.write(unit)

    async def _fill(self, image_id: str, content: AsyncIterator[bytes]) -> None:
        try:
            await self.uploads.upload(internal("req-" + self._world.new_id()), image_id, content, Upload())
        except (Error, OSError) as error:
            # the next start tries again; until then the record shows "queued"
            _LOG.error("the content of image %s could not be stored: %s", _TINY, error)

    async def _get_image(self, asked: ImageAsked, actor: Actor) -> ImageFacts:
        image = await self.images.get(actor.ctx, asked.image_id)
        return ImageFacts(
            id=image.id,
            name=image.name or "",
            status=image.status.value,
            disk_format=image.disk_format or "",
            container_format=image.container_format or "",
            size_bytes=image.size_bytes or 0,
            virtual_size_bytes=image.virtual_size_bytes or 0,
            sha512=image.sha512 or "",
            min_disk_gib=image.min_disk_gib,
            min_ram_mib=image.min_ram_mib,
            properties=image.properties,
        )

    async def _read_image(self, asked: ReadAsked, actor: Actor) -> Chunk:
        try:
            reader = await self._blobs.open(asked.image_id)
        except FileNotFoundError:
            raise NotFound(f"Image {asked.image_id} has no content.") from None
        try:
            return Chunk(await reader.read(asked.offset, min(asked.length, _READ_BYTES)))
        finally:
            reader.close()


async def _simulated(image_id: str) -> AsyncIterator[bytes]:
    yield f"simulated image {image_id}\n".encode().ljust(_SIMULATED_BYTES, b"\0")
