"""Bodies of server operations, per microversion."""

from __future__ import annotations

from typing import Any

from kilostack.compute.api.schemas import (
    ANYTHING,
    BOOLEAN,
    DESCRIPTION,
    FQDN,
    HOSTNAME,
    IP_ADDRESS,
    METADATA,
    NAME,
    TAG,
    UUID,
    Document,
    only,
    whole,
)
from kilostack.http.schemas import Schema, objects

MAX_TAGS = 50
_SECRET: Document = {"type": "string"}
_DISK_CONFIG: Document = {"enum": ["AUTO", "MANUAL"]}
_FLAVOR_REF: Document = {"anyOf": [{"type": "string", "minLength": 1, "maxLength": 1024}, {"type": "integer"}]}
_IP4: Document = {"type": "string", "anyOf": [{"maxLength": 0}, {"format": "ipv4"}]}
_IP6: Document = {"type": "string", "anyOf": [{"maxLength": 0}, {"format": "ipv6"}]}
_PORT: Document = {"type": ["string", "null"], "format": "uuid"}
_TEXT: Document = {"type": "string", "maxLength": 255}
_DEVICE: Document = {
    "virtual_name": _TEXT,
    "volume_id": UUID,
    "snapshot_id": UUID,
    "volume_size": whole(0),
    "device_name": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[a-zA-Z0-9._/-]*$"},
    "delete_on_termination": BOOLEAN,
    "no_device": ANYTHING,
    "connection_info": {"type": "string", "maxLength": 16777215},
}
_DEVICE_V2: Document = {
    **_DEVICE,
    "source_type": {"enum": ["volume", "image", "snapshot", "blank"]},
    "uuid": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[a-zA-Z0-9._-]*$"},
    "image_id": UUID,
    "destination_type": {"enum": ["local", "volume"]},
    "guest_format": _TEXT,
    "device_type": _TEXT,
    "disk_bus": _TEXT,
    "boot_index": {"anyOf": [{"type": ["integer", "null"]}, {"type": "string", "pattern": "^-?[0-9]+$"}]},
}
_HINTS: Document = {"type": "object"}


def _nics(*, tags: bool, strict: bool) -> Document:
    properties = {"fixed_ip": IP_ADDRESS, "port": _PORT, "uuid": UUID if strict else {"type": "string"}}
    listed = {"type": "array", "items": objects(properties | ({"tag": TAG} if tags else {}))}
    return {"anyOf": [listed, {"enum": ["none", "auto"]}]} if strict else listed


def _create(since: tuple[int, int]) -> Schema:
    """The body of a create at the version `since` and those that follow up to the next listed one."""
    minor = since[1]
    device = dict(_DEVICE_V2)
    if minor == 32 or minor >= 42:
        device["tag"] = TAG
    if minor >= 67:
        device["volume_type"] = _TEXT
    properties: Document = {
        "name": NAME,
        "imageRef": {"type": "string", "anyOf": [{"format": "uuid"}, {"maxLength": 0}]},
        "flavorRef": _FLAVOR_REF,
        "adminPass": _SECRET,
        "metadata": METADATA,
        # a tag of a card was taken at 2.32 to 2.36 and from 2.42 on
        "networks": _nics(tags=32 <= minor < 37 or minor >= 42, strict=minor >= 37),
        "OS-DCF:diskConfig": _DISK_CONFIG,
        "accessIPv4": _IP4,
        "accessIPv6": _IP6,
        "availability_zone": NAME,
        "block_device_mapping": {"type": "array", "items": objects(_DEVICE)},
        "block_device_mapping_v2": {"type": "array", "items": objects(device)},
        "config_drive": BOOLEAN,
        "key_name": NAME,
        "min_count": whole(1),
        "max_count": whole(1),
        "return_reservation_id": BOOLEAN,
        "security_groups": {"type": "array", "items": objects({"name": NAME})},
        "user_data": {"type": "string", "maxLength": 65535},
    }
    later: dict[int, Document] = {
        19: {"description": DESCRIPTION},
        52: {"tags": {"type": "array", "items": TAG, "maxItems": MAX_TAGS}},
        63: {"trusted_image_certificates": {"type": ["array", "null"], "maxItems": 50, "items": _TEXT}},
        74: {"host": FQDN, "hypervisor_hostname": FQDN},
        90: {"hostname": HOSTNAME},
        94: {"hostname": FQDN},
    }
    for first, added in later.items():
        if minor >= first:
            properties |= added
    if minor < 57:
        item = objects({"path": {"type": "string"}, "contents": {"type": "string"}})
        properties["personality"] = {"type": "array", "items": item}
    required = ["name", "flavorRef", *(["networks"] if minor >= 37 else [])]
    hints = {"os:scheduler_hints": _HINTS, "OS-SCH-HNT:scheduler_hints": _HINTS}
    return Schema(objects({"server": objects(properties, required), **hints}, ["server"]))


#: versions at which the body of a create changed
_CREATE_CHANGES = (1, 19, 32, 33, 37, 42, 52, 57, 63, 67, 74, 90, 94)
CREATE = tuple((f"2.{minor}", _create((2, minor))) for minor in _CREATE_CHANGES)


def _update(**added: Any) -> Schema:
    fields = {"name": NAME, "OS-DCF:diskConfig": _DISK_CONFIG, "accessIPv4": _IP4, "accessIPv6": _IP6}
    return Schema(objects({"server": objects(fields | added)}, ["server"]))


UPDATE = (
    ("2.1", _update()),
    ("2.19", _update(description=DESCRIPTION)),
    ("2.90", _update(description=DESCRIPTION, hostname=HOSTNAME)),
    ("2.94", _update(description=DESCRIPTION, hostname=FQDN)),
)

METADATA_ALL = only("metadata", METADATA)
METADATA_ONE = only("meta", {**METADATA, "minProperties": 1, "maxProperties": 1})
TAGS = only("tags", {"type": "array", "items": TAG, "maxItems": MAX_TAGS})

# null is meant, and clients send {} as well
START = only("os-start", ANYTHING)
STOP = only("os-stop", ANYTHING)
REBOOT = only("reboot", objects({"type": {"enum": ["HARD", "Hard", "hard", "SOFT", "Soft", "soft"]}}, ["type"]))
_LENGTH = {"anyOf": [{"type": ["integer", "null"]}, {"type": "string", "pattern": "^-?[0-9]{1,18}$"}]}
CONSOLE_OUTPUT = only("os-getConsoleOutput", objects({"length": _LENGTH}))
ADD_GROUP = only("addSecurityGroup", objects({"name": NAME}, ["name"]))
REMOVE_GROUP = only("removeSecurityGroup", objects({"name": NAME}, ["name"]))
LOCK = (
    ("2.1", only("lock", ANYTHING)),
    (
        "2.73",
        only(
            "lock",
            {
                "anyOf": [
                    {"type": "null"},
                    objects({"locked_reason": {"type": "string", "minLength": 1, "maxLength": 255}}),
                ]
            },
        ),
    ),
)
UNLOCK = only("unlock", ANYTHING)
