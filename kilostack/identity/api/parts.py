"""What the faces of all resources are made of: pieces of schemas, times and links."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from kilostack.http.schemas import Schema, objects, wrapped

NAME = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"\S"}


ID = {"type": "string", "minLength": 1, "maxLength": 64, "pattern": r"^[a-zA-Z0-9-]+$"}


TEXT = {"type": "string", "maxLength": 65535}


MAYBE_TEXT = {"type": ["string", "null"], "maxLength": 65535}


MAYBE_ID = {"anyOf": [ID, {"type": "null"}]}


BOOLEAN = {"type": "boolean"}


PASSWORD_TEXT = {"type": ["string", "null"], "minLength": 1, "maxLength": 4096}


#: options change what an account may do: one that is not known here must not be taken silently
NO_OPTIONS = {"type": "object", "maxProperties": 0}


#: of what can be protected against changes; null takes the protection's trace away
IMMUTABLE_OPTIONS = {
    "type": "object",
    "properties": {"immutable": {"type": ["boolean", "null"]}},
    "additionalProperties": False,
}


TAG = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[^,/]*$"}


TAGS = {"type": "array", "items": TAG, "uniqueItems": True, "maxItems": 80}


URL = {"type": "string", "minLength": 1, "maxLength": 8192, "pattern": "^https?://[^/]"}


REGION_ID = {"type": "string", "minLength": 1, "maxLength": 255}


MAYBE_REGION = {"type": ["string", "null"], "minLength": 1, "maxLength": 255}


def pair(key: str, fields: dict[str, Any], required: list[str], *, extra: bool = True) -> tuple[Schema, Schema]:
    """The schemas to create and to change: the same fields, but nothing is required of a change except something."""
    change = objects(fields, [], extra=extra) | {"minProperties": 1}
    return wrapped(key, objects(fields, required, extra=extra)), wrapped(key, change)


Shown = dict[str, Any]


def show_time(micros: int) -> str:
    """As identity shows times: with microseconds and a Z."""
    moment = datetime.fromtimestamp(micros // 1_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{micros % 1_000_000:06d}Z"


def links(base: str, plural: str, record_id: str) -> Shown:
    return {"self": f"{base}/{plural}/{record_id}"}
