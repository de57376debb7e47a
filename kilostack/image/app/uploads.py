"""How content comes to an image: received, inspected, made durable, and only then part of the record.

The record is `saving` under an upload id from the first byte on. Whatever goes wrong, the content is dropped and the
record is `queued` again, so the upload can be repeated. A process that dies half-way leaves a hidden file and a record
in `saving`: `recover` puts both right before the next process serves anybody.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import msgspec

from kilostack.core import qcow2
from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, NotFound, TooLarge, Unavailable, UnsupportedMedia
from kilostack.core.world import Micros, World
from kilostack.drivers.blobs.port import Blobs, Incoming, NoSpace, Received
from kilostack.image.app.images import Images
from kilostack.image.model.image import MAX_SIZE_BYTES, Event, Image, Status
from kilostack.image.store import images as store
from kilostack.store.database import Database, Tx

_LOG = logging.getLogger("kilostack.image")
#: a thread is asked for once per so much
_GATHERED_BYTES = 1 << 20
_AGAIN_S = 1.0


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """What the sender said about the content."""

    #: None when sent in chunks without a length
    size_bytes: int | None = None
    #: hexadecimal
    md5: str | None = None


class Uploads:
    """Receives contents into `blobs`."""

    def __init__(self, db: Database, world: World, blobs: Blobs, images: Images) -> None:
        self._db, self._world, self._blobs, self._images = db, world, blobs, images

    async def recover(self) -> None:
        """Forget uploads of dead processes and remove contents that no image has; before serving anybody."""
        now = self._world.now()

        async def unit(tx: Tx) -> set[str]:
            for image in await store.with_status(tx, Status.SAVING):
                await store.update(tx, image, _given_up(image, now))
            return await store.ids_with_content(tx)

        owned = await self._db.write(unit)
        dropped = await self._blobs.clear_unfinished()
        for name in await self._blobs.names():
            if name not in owned:
                await self._blobs.remove(name)
                dropped += 1
        if dropped:
            _LOG.info("removed %d contents that no image has", dropped)

    async def upload(self, ctx: Context, image_id: str, content: AsyncIterator[bytes], told: Upload) -> Image:
        """The active image. Raises `Conflict` unless it was queued, `UnsupportedMedia` for content that is refused,
        `TooLarge` when it does not fit, `BadRequest` when it is not what the sender said."""
        upload_id = self._world.new_id()
        image = await self._images.changed_as(ctx, image_id, "upload_image", lambda image: _begun(image, upload_id))
        incoming: Incoming | None = None
        try:
            await self._check_room(told.size_bytes)
            incoming = await self._blobs.receive(image_id, upload_id)
            received = await _receive(incoming, content, told)
            found = _inspected(image, received)
            await incoming.keep()
            return await self._finish(image_id, upload_id, received, found)
        except BaseException as error:
            if incoming is not None:
                await incoming.drop()
            await self._give_up(image_id, upload_id)
            if isinstance(error, NoSpace):
                raise TooLarge(f"Image storage media is full: {error}") from error
            raise

    async def _check_room(self, size_bytes: int | None) -> None:
        if size_bytes is None:
            return
        if size_bytes > MAX_SIZE_BYTES:
            raise TooLarge(f"The incoming image is too large: {size_bytes} bytes, at most {MAX_SIZE_BYTES}.")
        if size_bytes > (room := await self._blobs.room()):
            raise TooLarge(f"Image storage media is full: the image has {size_bytes} bytes, {room} are free.")

    async def _finish(self, image_id: str, upload_id: str, received: Received, found: qcow2.Inspected) -> Image:
        now = self._world.now()

        async def unit(tx: Tx) -> Image | None:
            image = await store.find(tx, image_id)
            if image is None or image.upload_id != upload_id:
                return None
            after = msgspec.structs.replace(
                image,
                status=image.after(Event.UPLOAD_ENDS),
                upload_id=None,
                size_bytes=received.size_bytes,
                virtual_size_bytes=found.virtual_size_bytes,
                md5=received.md5,
                sha512=received.sha512,
                updated_at=now,
            )
            return await store.update(tx, image, after)

        image = await self._db.write(unit)
        if image is None:
            raise NotFound(
                f"Image {image_id} could not be found after upload. The image may have been deleted during the "
                "upload, cleaning up the chunks uploaded.",
                status=410,
            )
        return image

    async def _give_up(self, image_id: str, upload_id: str) -> None:
        now = self._world.now()

        async def unit(tx: Tx) -> None:
            image = await store.find(tx, image_id)
            if image is not None and image.upload_id == upload_id:
                await store.update(tx, image, _given_up(image, now))

        try:
            await self._db.write(unit)
        except Unavailable:
            self._world.spawn(self._give_up_later(image_id, upload_id), f"give-up-{upload_id}")

    async def _give_up_later(self, image_id: str, upload_id: str) -> None:
        await self._world.sleep(_AGAIN_S)
        await self._give_up(image_id, upload_id)


async def _receive(incoming: Incoming, content: AsyncIterator[bytes], told: Upload) -> Received:
    parts: list[bytes] = []
    gathered = total = 0
    async for part in content:
        parts.append(part)
        gathered += len(part)
        total += len(part)
        if total > MAX_SIZE_BYTES:
            raise TooLarge(f"The incoming image is too large: more than {MAX_SIZE_BYTES} bytes.")
        if told.size_bytes is not None and total > told.size_bytes:
            raise BadRequest(f"The image is longer than the {told.size_bytes} bytes that were announced.")
        if gathered >= _GATHERED_BYTES:
            await incoming.write(parts)
            parts, gathered = [], 0
    await incoming.write(parts)
    received = await incoming.received()
    if told.size_bytes not in (None, received.size_bytes):
        raise BadRequest(f"The image has {received.size_bytes} bytes, but {told.size_bytes} were announced.")
    if told.md5 not in (None, received.md5):
        raise BadRequest(f"The image's MD5 checksum is {received.md5}, but {told.md5} was announced.")
    return received


def _inspected(image: Image, received: Received) -> qcow2.Inspected:
    try:
        return qcow2.check(image.disk_format or "", received.head, received.size_bytes)
    except qcow2.ImageRefused as refused:
        # the status with which glance refuses content that is not what it should be
        raise UnsupportedMedia(f"{refused.reason} The image is queued again; upload another content.") from refused


def _begun(image: Image, upload_id: str) -> Image:
    status = image.after(Event.UPLOAD_BEGINS)
    missing = [name for name in ("disk_format", "container_format") if getattr(image, name) is None]
    if missing:
        word = "Property" if len(missing) == 1 else "Properties"
        raise BadRequest(f"{word} {', '.join(missing)} must be set prior to saving data.", field=missing[0])
    return msgspec.structs.replace(image, status=status, upload_id=upload_id)


def _given_up(image: Image, now: Micros) -> Image:
    return msgspec.structs.replace(image, status=image.after(Event.UPLOAD_FAILS), upload_id=None, updated_at=now)
