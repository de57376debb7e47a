"""Images: the row and the marks by which lists find it change together."""

from __future__ import annotations

import hashlib

import msgspec
from sqlalchemy import ColumnElement, exists, or_

from kilostack.core.errors import Duplicate
from kilostack.core.world import Micros
from kilostack.image.model.image import Image, Status
from kilostack.image.store.tables import IMAGES, MADE, MARKS, RETIRED
from kilostack.store.database import Tx
from kilostack.store.lists import Collection, Filter
from kilostack.store.records import Records
from kilostack.store.sql import InList


class _Mark(msgspec.Struct, frozen=True, kw_only=True):
    image_id: str
    mark: str


class _Retired(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    at: Micros


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """Something that bootstrap has made."""

    what: str
    image_id: str
    at: Micros


IMAGE_RECORDS = Records(Image, IMAGES, noun="Image")
_MARKS = Records(_Mark, MARKS, noun="Mark", key=("image_id", "mark"))
_RETIRED = Records(_Retired, RETIRED, noun="Id")
MADE_RECORDS = Records(Made, MADE, noun="Bootstrap", key=("what",))


def tag_mark(tag: str) -> str:
    return _digest("tag", tag)


def property_mark(name: str, value: str) -> str:
    return _digest("property", name, value)


def _digest(*parts: str) -> str:
    # a property's value has no limit of its own, a column has
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def _marks(image: Image) -> set[str]:
    return {tag_mark(tag) for tag in image.tags} | {property_mark(*pair) for pair in image.properties.items()}


def _marked(name: str) -> ColumnElement[bool]:
    return exists().where(MARKS.c.image_id == IMAGES.c.id, InList(MARKS.c.mark, name))


def _visible(name: str) -> ColumnElement[bool]:
    """Images that a project may see."""
    return or_(InList(IMAGES.c.owner, name), IMAGES.c.visibility == "public", IMAGES.c.visibility == "community")


def _usual(name: str) -> ColumnElement[bool]:
    """Without community images of other projects, which nobody wants to see unasked."""
    return or_(InList(IMAGES.c.owner, name), IMAGES.c.visibility != "community")


_FILTERS: dict[str, Filter] = {
    "id": "id",
    "name": "name",
    "status": "status",
    "owner": "owner",
    "visibility": "visibility",
    "protected": "protected",
    "os_hidden": "hidden",
    "disk_format": "disk_format",
    "container_format": "container_format",
    "size": "size_bytes",
    "virtual_size": "virtual_size_bytes",
    "checksum": "md5",
    "os_hash_value": "sha512",
    "min_disk": "min_disk_gib",
    "min_ram": "min_ram_mib",
    "created_at": "created_at",
    "updated_at": "updated_at",
    "marked": _marked,
    "visible": _visible,
    "usual": _usual,
}
COLLECTION = Collection(
    IMAGE_RECORDS,
    filters=_FILTERS,
    sorts={
        "name": "name",
        "status": "status",
        "container_format": "container_format",
        "disk_format": "disk_format",
        "size": "size_bytes",
        "id": "id",
        "created_at": "created_at",
        "updated_at": "updated_at",
    },
    default_sort=(("created_at", True),),
)


async def find(tx: Tx, image_id: str) -> Image | None:
    return await IMAGE_RECORDS.find(tx, id=image_id)


async def insert(tx: Tx, image: Image) -> Image:
    """Raises `Duplicate` for an id that is, or was, in use."""
    if await _RETIRED.find(tx, id=image.id) is not None:
        raise Duplicate(f"Image ID {image.id} already exists!")
    await IMAGE_RECORDS.insert(tx, image)
    for mark in sorted(_marks(image)):
        await _MARKS.insert(tx, _Mark(image_id=image.id, mark=mark))
    return image


async def update(tx: Tx, before: Image, after: Image) -> Image:
    """Write `after` if nobody wrote the image since `before` was read. Raises `StaleGeneration`."""
    written = await IMAGE_RECORDS.update(tx, after)
    old, new = _marks(before), _marks(after)
    for mark in sorted(old - new):
        await _MARKS.delete(tx, image_id=before.id, mark=mark)
    for mark in sorted(new - old):
        await _MARKS.insert(tx, _Mark(image_id=before.id, mark=mark))
    return written


async def delete(tx: Tx, image: Image, now: Micros) -> None:
    """Remove the record; its content is the caller's to remove, after the commit."""
    await IMAGE_RECORDS.delete(tx, id=image.id)
    await _MARKS.delete_where(tx, image_id=image.id)
    await _RETIRED.insert(tx, _Retired(id=image.id, at=now))


async def with_status(tx: Tx, status: Status) -> list[Image]:
    return await IMAGE_RECORDS.where(tx, status=status.value)


async def ids_with_content(tx: Tx) -> set[str]:
    found = [*await with_status(tx, Status.ACTIVE), *await with_status(tx, Status.DEACTIVATED)]
    return {image.id for image in found}
