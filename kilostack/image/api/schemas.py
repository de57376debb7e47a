"""JSON Schemas of Image API v2: what bodies are checked against, and what `/v2/schemas` shows to clients."""

from __future__ import annotations

from typing import Any

from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.http.schemas import Schema
from kilostack.image.model.image import CONTAINER_FORMATS, DISK_FORMATS

_MAX_INT = 2**31 - 1
_UUID = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"


def _shown(kind: Any, description: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "readOnly": True, "description": description, **more}


_TEXT = ["null", "string"]
PROPERTIES: dict[str, Any] = {
    "id": {"type": "string", "pattern": _UUID, "description": "An identifier for the image"},
    "name": {"type": _TEXT, "maxLength": 255, "description": "Descriptive name for the image"},
    "status": _shown("string", "Status of the image", enum=["queued", "saving", "active", "deactivated"]),
    "visibility": {
        "type": "string",
        "enum": ["community", "public", "private", "shared"],
        "description": "Scope of image accessibility",
    },
    "protected": {"type": "boolean", "description": "If true, image will not be deletable."},
    "os_hidden": {"type": "boolean", "description": "If true, image will not appear in default image list response."},
    "checksum": _shown(_TEXT, "md5 hash of image contents.", maxLength=32),
    "os_hash_algo": _shown(_TEXT, "Algorithm to calculate the os_hash_value", maxLength=64),
    "os_hash_value": _shown(_TEXT, "Hexdigest of the image contents by os_hash_algo", maxLength=128),
    "owner": {"type": _TEXT, "maxLength": 255, "description": "Owner of the image"},
    "size": _shown(["null", "integer"], "Size of image file in bytes"),
    "virtual_size": _shown(["null", "integer"], "Virtual size of image in bytes"),
    "container_format": {
        "type": _TEXT,
        "enum": [None, *CONTAINER_FORMATS],
        "description": "Format of the container",
    },
    "disk_format": {"type": _TEXT, "enum": [None, *DISK_FORMATS], "description": "Format of the disk"},
    "created_at": _shown("string", "Date and time of image registration"),
    "updated_at": _shown("string", "Date and time of the last image modification"),
    "tags": {
        "type": "array",
        "items": {"type": "string", "maxLength": 255},
        "description": "List of strings related to the image",
    },
    "direct_url": _shown("string", "URL to access the image file kept in external store"),
    "min_ram": {
        "type": "integer",
        "minimum": 0,
        "maximum": _MAX_INT,
        "description": "Amount of ram (in MB) required to boot image.",
    },
    "min_disk": {
        "type": "integer",
        "minimum": 0,
        "maximum": _MAX_INT,
        "description": "Amount of disk space (in GB) required to boot image.",
    },
    "self": _shown("string", "An image self url"),
    "file": _shown("string", "An image file url"),
    "schema": _shown("string", "An image schema url"),
}

IMAGE: dict[str, Any] = {
    "name": "image",
    "properties": PROPERTIES,
    "additionalProperties": {"type": "string"},
    "links": [
        {"rel": "self", "href": "{self}"},
        {"rel": "enclosure", "href": "{file}"},
        {"rel": "describedby", "href": "{schema}"},
    ],
}
IMAGES: dict[str, Any] = {
    "name": "images",
    "properties": {
        "images": {"type": "array", "items": IMAGE},
        "first": {"type": "string"},
        "next": {"type": "string"},
        "schema": {"type": "string"},
    },
    "links": [
        {"rel": "first", "href": "{first}"},
        {"rel": "next", "href": "{next}"},
        {"rel": "describedby", "href": "{schema}"},
    ],
}

_CHECKED: dict[str, Any] = {"type": "object", "properties": PROPERTIES, "additionalProperties": {"type": "string"}}
#: a body that creates, or one attribute of a patch as an object
ATTRIBUTES = Schema(_CHECKED)


async def _image(request: Request) -> Response:
    return Response(200, IMAGE)


async def _images(request: Request) -> Response:
    return Response(200, IMAGES)


ROUTES = (
    Route(method="GET", path="/schemas/image", handler=_image),
    Route(method="GET", path="/schemas/images", handler=_images),
)
