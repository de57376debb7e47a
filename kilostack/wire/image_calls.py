"""What other services ask of image."""

from __future__ import annotations

import msgspec

from kilostack.wire.calls import Op


class ImageAsked(msgspec.Struct, frozen=True):
    image_id: str


class ImageFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An image as the asking project may see it."""

    id: str
    name: str
    status: str
    disk_format: str
    container_format: str
    size_bytes: int
    virtual_size_bytes: int
    sha512: str
    min_disk_gib: int
    min_ram_mib: int
    properties: dict[str, str] = {}


class ReadAsked(msgspec.Struct, frozen=True, kw_only=True):
    image_id: str
    offset: int
    length: int


class Chunk(msgspec.Struct, frozen=True):
    """At most `length` bytes; fewer at the end of the image."""

    data: bytes


#: raises NotFound when the caller may not see it
GET_IMAGE: Op[ImageAsked, ImageFacts] = Op("image.get_image", ImageAsked, ImageFacts)
#: bytes for a gateway that serves a host with a ticket; not for tenants
READ_IMAGE: Op[ReadAsked, Chunk] = Op("image.read_image", ReadAsked, Chunk)
