"""The image record, its states, and the changes that a caller may make to it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from kilostack.core.errors import BadRequest, Conflict, Forbidden, TooLarge
from kilostack.core.world import Micros

#: what our hosts can boot
DISK_FORMATS = ("raw", "qcow2")
CONTAINER_FORMATS = ("bare",)
MAX_PROPERTIES = 128
MAX_TAGS = 128
MAX_SIZE_BYTES = 1 << 40


class Status(StrEnum):
    QUEUED = "queued"
    SAVING = "saving"
    ACTIVE = "active"
    DEACTIVATED = "deactivated"


class Event(StrEnum):
    UPLOAD_BEGINS = "saving"
    UPLOAD_ENDS = "active"
    UPLOAD_FAILS = "queued"
    DEACTIVATE = "deactivated"
    REACTIVATE = "active again"


TRANSITIONS: dict[tuple[Status, Event], Status] = {
    (Status.QUEUED, Event.UPLOAD_BEGINS): Status.SAVING,
    (Status.SAVING, Event.UPLOAD_ENDS): Status.ACTIVE,
    (Status.SAVING, Event.UPLOAD_FAILS): Status.QUEUED,
    (Status.ACTIVE, Event.DEACTIVATE): Status.DEACTIVATED,
    (Status.DEACTIVATED, Event.DEACTIVATE): Status.DEACTIVATED,
    (Status.DEACTIVATED, Event.REACTIVATE): Status.ACTIVE,
    (Status.ACTIVE, Event.REACTIVATE): Status.ACTIVE,
}


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """One image. Its content exists in states active and deactivated only."""

    id: str
    #: project; "" for none
    owner: str
    name: str | None = None
    status: Status = Status.QUEUED
    visibility: str = "shared"
    protected: bool = False
    hidden: bool = False
    disk_format: str | None = None
    container_format: str | None = None
    size_bytes: int | None = None
    virtual_size_bytes: int | None = None
    #: hexadecimal digests of the content
    md5: str | None = None
    sha512: str | None = None
    min_disk_gib: int = 0
    min_ram_mib: int = 0
    tags: tuple[str, ...] = ()
    properties: dict[str, str] = {}
    #: the upload under way
    upload_id: str | None = None
    created_at: Micros
    updated_at: Micros
    generation: int = 1
    revision: int = 1

    def after(self, event: Event) -> Status:
        """The status once `event` has happened. Raises `Conflict`."""
        if (target := TRANSITIONS.get((self.status, event))) is None:
            raise Conflict(f"Image status transition from {self.status} to {event} is not allowed.")
        return target

    @property
    def has_content(self) -> bool:
        return self.status in (Status.ACTIVE, Status.DEACTIVATED)


#: name in the API -> field, of what a caller may set
SETTABLE: Mapping[str, str] = {
    "name": "name",
    "visibility": "visibility",
    "protected": "protected",
    "os_hidden": "hidden",
    "disk_format": "disk_format",
    "container_format": "container_format",
    "min_disk": "min_disk_gib",
    "min_ram": "min_ram_mib",
    "tags": "tags",
    "owner": "owner",
}
READ_ONLY = frozenset(
    {
        *("id", "status", "checksum", "size", "virtual_size", "os_hash_algo", "os_hash_value"),
        *("created_at", "updated_at", "direct_url", "self", "file", "schema", "stores"),
    }
)
RESERVED = frozenset({"location", "locations", "deleted", "deleted_at"})
_RESERVED_PREFIX = "os_glance"


class Change(msgspec.Struct, frozen=True):
    """One operation of a patch: `op` is add, replace or remove."""

    op: str
    name: str
    value: Any = None
    #: add fails when it is already there, as in the first form of the patch language
    strict: bool = False


def check_name(name: str) -> None:
    """Raise `Forbidden` or `BadRequest` for a property that callers may not set."""
    if name in READ_ONLY:
        raise Forbidden(f"Attribute '{name}' is read-only.")
    if name in RESERVED or name.startswith(_RESERVED_PREFIX):
        raise Forbidden(f"Attribute '{name}' is reserved.")
    if not name or len(name) > 255:
        raise BadRequest("The name of a custom property must have 1 to 255 characters.", field=name[:255])


def changed(image: Image, change: Change) -> Image:
    """The image after one operation. Raises `Forbidden`, `Conflict` or `TooLarge`."""
    check_name(change.name)
    if (field := SETTABLE.get(change.name)) is not None:
        return _set(image, change, field)
    there = change.name in image.properties
    if change.op != "add" and not there:
        raise Conflict(f"Property {change.name} does not exist.")
    if change.op == "add" and change.strict and there:
        raise Conflict(f"Property {change.name} already present.")
    properties = {name: value for name, value in image.properties.items() if name != change.name}
    if change.op != "remove":
        properties[change.name] = change.value
    return limited(msgspec.structs.replace(image, properties=properties))


def _set(image: Image, change: Change, field: str) -> Image:
    if change.op == "remove":
        raise Forbidden(f"Property {change.name} may not be removed.")
    if change.op == "add" and change.strict:
        raise Conflict(f"Property {change.name} already present.")
    if change.name in ("disk_format", "container_format") and image.status is not Status.QUEUED:
        raise Forbidden(f"Attribute {change.name} can be only replaced for a queued image.")
    return limited(msgspec.structs.replace(image, **{field: value_of(change.name, change.value)}))


def value_of(name: str, value: Any) -> Any:
    """What is stored for a checked value of the API."""
    if name == "tags":
        return tuple(dict.fromkeys(value))
    if name == "owner":
        return value or ""
    return value


def limited(image: Image) -> Image:
    """The same image. Raises `TooLarge` when it has too many properties or tags."""
    for what, found, limit in (
        ("properties", len(image.properties), MAX_PROPERTIES),
        ("tags", len(image.tags), MAX_TAGS),
    ):
        if found > limit:
            raise TooLarge(
                f"The limit has been exceeded on the number of allowed image {what}. "
                f"Attempted: {found}, Maximum: {limit}"
            )
    return image
