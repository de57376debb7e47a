"""The patch language of images: a list of operations on top-level attributes, in either of its two forms."""

from __future__ import annotations

import re
from typing import Any

from kilostack.core.errors import BadRequest, Forbidden, UnsupportedMedia
from kilostack.image.api.schemas import ATTRIBUTES
from kilostack.image.model.image import Change, check_name

_OPERATIONS = ("add", "remove", "replace")
#: content type -> the older form, where the operation is the key of the path
MEDIA_TYPES = {
    "application/openstack-images-v2.0-json-patch": True,
    "application/openstack-images-v2.1-json-patch": False,
}


def check_media_type(content_type: str) -> bool:
    """Whether the patch is in the older form. Raises `UnsupportedMedia`."""
    older = MEDIA_TYPES.get(content_type.partition(";")[0].strip().lower())
    if older is None:
        raise UnsupportedMedia(f"Image PATCH expects Content-Type one of: {', '.join(sorted(MEDIA_TYPES))}")
    return older


def parsed(document: Any, *, older: bool) -> list[Change]:
    """The operations in order. Raises `BadRequest` and `Forbidden` as upstream does before it looks at the image."""
    if not isinstance(document, list):
        raise BadRequest("Request body must be a JSON array of operation objects.")
    return [_change(raw, older) for raw in document]


def _change(raw: Any, older: bool) -> Change:
    if not isinstance(raw, dict):
        raise BadRequest("Operations must be JSON objects.")
    op, pointer = _older(raw) if older else _newer(raw)
    path = _path(pointer)
    if path[0] == "locations":
        raise Forbidden("It's not allowed to change locations: they are invisible.")
    if len(path) != 1:
        raise BadRequest(f"Invalid JSON pointer for this resource: '/{'/'.join(path)}'")
    name = path[0]
    if op != "remove" and "value" not in raw:
        raise BadRequest(f'Operation "{op}" requires a member named "value".')
    check_name(name)
    if op != "remove":
        ATTRIBUTES.check({name: raw["value"]})
    return Change(op, name, raw.get("value"), strict=older)


def _newer(raw: dict[str, Any]) -> tuple[str, Any]:
    op = raw.get("op")
    available = ", ".join(_OPERATIONS)
    if op is None:
        raise BadRequest(
            f"Unable to find `op` in JSON Schema change. It must be one of the following: {available}.", field="op"
        )
    if op not in _OPERATIONS:
        raise BadRequest(f"Invalid operation: `{op}`. It must be one of the following: {available}.", field="op")
    if "path" not in raw:
        raise BadRequest("Unable to find 'path' in JSON Schema change", field="path")
    return op, raw["path"]


def _older(raw: dict[str, Any]) -> tuple[str, Any]:
    found = [op for op in _OPERATIONS if op in raw]
    if len(found) != 1:
        raise BadRequest('Operation objects must contain exactly one member named "add", "remove", or "replace".')
    return found[0], raw[found[0]]


def _path(pointer: Any) -> list[str]:
    if not isinstance(pointer, str):
        raise BadRequest("A path must be a string.", field="path")
    if not pointer.startswith("/"):
        raise BadRequest(f'Pointer `{pointer}` does not start with "/".', field="path")
    if re.search(r"/\s*/", pointer[1:]) or (len(pointer) > 1 and pointer.endswith("/")):
        raise BadRequest(f"Pointer `{pointer}` has an empty part.", field="path")
    if re.search(r"~([^01]|$)", pointer):
        raise BadRequest(f'Pointer `{pointer}` contains "~" not part of a recognized escape sequence.', field="path")
    return [part.replace("~1", "/").replace("~0", "~").strip() for part in pointer[1:].split("/")]
