"""What the faces of all resources are made of: pieces of schemas, times and links."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from kilostack.core.access_rules import AccessRule
from kilostack.http.schemas import Schema, objects, wrapped
from kilostack.identity.model.access_rules import UserRule

NAME = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"\S"}


ID = {"type": "string", "minLength": 1, "maxLength": 64, "pattern": r"^[a-zA-Z0-9-]+$"}


TEXT = {"type": "string", "maxLength": 65535}


MAYBE_TEXT = {"type": ["string", "null"], "maxLength": 65535}


MAYBE_ID = {"anyOf": [ID, {"type": "null"}]}


BOOLEAN = {"type": "boolean"}


PASSWORD_TEXT = {"type": ["string", "null"], "minLength": 1, "maxLength": 4096}


#: of what can be protected against changes; null takes the protection's trace away
IMMUTABLE_OPTIONS = {
    "type": "object",
    "properties": {"immutable": {"type": ["boolean", "null"]}},
    "additionalProperties": False,
}


TAG = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[^,/]*$"}


TAGS = {"type": "array", "items": TAG, "uniqueItems": True, "maxItems": 80}


URL = {"type": "string", "minLength": 1, "maxLength": 8192, "pattern": "^https?://[^/]"}


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


def show_end(micros: int | None) -> str | None:
    """When something ends, of users, memberships and application credentials: without a zone; None for never."""
    return None if micros is None else show_time(micros).removesuffix("Z")


def show_options(immutable: bool | None) -> Shown:
    """The options of what can be protected against changes."""
    return {} if immutable is None else {"immutable": immutable}


def show_access_rule(rule: AccessRule | UserRule) -> Shown:
    """A rule as a part of something else."""
    return {"id": rule.id, "service": rule.service, "path": rule.path, "method": rule.method}


#: roles that a request names, each by its id or its name
NAMED_ROLES = {
    "type": "array",
    "items": objects({"id": ID, "name": NAME}) | {"minProperties": 1, "maxProperties": 1},
}


def named_roles(given: Iterable[Mapping[str, str]]) -> tuple[tuple[str, str], ...]:
    """Such roles as (id, name) pairs of which one is empty."""
    return tuple((role.get("id", ""), role.get("name", "")) for role in given)


def links(base: str, plural: str, record_id: str) -> Shown:
    return {"self": f"{base}/{plural}/{record_id}"}
