"""What request bodies must look like. Attributes that upstream keeps as they come are kept here, too."""

from __future__ import annotations

from typing import Any

from kilostack.http.schemas import Schema, objects, wrapped
from kilostack.identity.model.catalog import INTERFACES

_NAME = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"\S"}
_ID = {"type": "string", "minLength": 1, "maxLength": 64, "pattern": r"^[a-zA-Z0-9-]+$"}
_TEXT = {"type": "string", "maxLength": 65535}
_MAYBE_TEXT = {"type": ["string", "null"], "maxLength": 65535}
_MAYBE_ID = {"anyOf": [_ID, {"type": "null"}]}
_BOOLEAN = {"type": "boolean"}
_PASSWORD = {"type": ["string", "null"], "minLength": 1, "maxLength": 4096}
#: options change what an account may do: one that is not known here must not be taken silently
_NO_OPTIONS = {"type": "object", "maxProperties": 0}
_TAG = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[^,/]*$"}
_TAGS = {"type": "array", "items": _TAG, "uniqueItems": True, "maxItems": 80}
_URL = {"type": "string", "minLength": 1, "maxLength": 8192, "pattern": "^https?://[^/]"}
_REGION_ID = {"type": "string", "minLength": 1, "maxLength": 255}
_MAYBE_REGION = {"type": ["string", "null"], "minLength": 1, "maxLength": 255}


def _pair(key: str, fields: dict[str, Any], required: list[str], *, extra: bool = True) -> tuple[Schema, Schema]:
    """The schemas to create and to change: the same fields, but nothing is required of a change except something."""
    change = objects(fields, [], extra=extra) | {"minProperties": 1}
    return wrapped(key, objects(fields, required, extra=extra)), wrapped(key, change)


DOMAIN = _pair(
    "domain",
    {
        "name": _NAME | {"maxLength": 64},
        "description": _MAYBE_TEXT,
        "enabled": _BOOLEAN,
        "options": _NO_OPTIONS,
        "tags": {"type": "array", "maxItems": 0},
    },
    ["name"],
    extra=False,
)
PROJECT = _pair(
    "project",
    {
        "name": _NAME | {"maxLength": 64},
        "domain_id": _MAYBE_ID,
        "parent_id": _MAYBE_ID,
        "description": _MAYBE_TEXT,
        "enabled": _BOOLEAN,
        "is_domain": {"const": False},
        "options": _NO_OPTIONS,
        "tags": _TAGS,
    },
    ["name"],
)
USER = _pair(
    "user",
    {
        "name": _NAME,
        "domain_id": _MAYBE_ID,
        "default_project_id": _MAYBE_ID,
        "description": _MAYBE_TEXT,
        "enabled": _BOOLEAN,
        "password": _PASSWORD,
        "options": _NO_OPTIONS,
    },
    ["name"],
)
PASSWORD = wrapped(
    "user",
    objects(
        {"password": {"type": "string", "minLength": 1, "maxLength": 4096}, "original_password": {"type": "string"}},
        ["password", "original_password"],
    ),
)
ROLE = _pair(
    "role",
    {
        "name": _NAME,
        "description": _MAYBE_TEXT,
        "domain_id": {"type": "null"},
        "options": objects({"immutable": {"type": ["boolean", "null"]}}),
    },
    ["name"],
    extra=False,
)
REGION = _pair(
    "region",
    {"id": _REGION_ID, "description": _MAYBE_TEXT, "parent_region_id": _MAYBE_REGION},
    [],
    extra=False,
)
SERVICE = _pair(
    "service",
    {"type": _NAME, "name": {"type": "string", "maxLength": 255}, "description": _MAYBE_TEXT, "enabled": _BOOLEAN},
    ["type"],
    extra=False,
)
ENDPOINT = _pair(
    "endpoint",
    {
        "service_id": _ID,
        "interface": {"enum": list(INTERFACES)},
        "url": _URL,
        "region_id": _MAYBE_REGION,
        "region": _MAYBE_REGION,
        "enabled": _BOOLEAN,
        "name": _TEXT,
        "description": _MAYBE_TEXT,
    },
    ["service_id", "interface", "url"],
    extra=False,
)
APPLICATION_CREDENTIAL = wrapped(
    "application_credential",
    objects(
        {
            "name": _NAME,
            "description": _MAYBE_TEXT,
            "secret": {"type": ["string", "null"], "minLength": 1, "maxLength": 4096},
            "expires_at": {"type": ["string", "null"]},
            "unrestricted": {"type": ["boolean", "null"]},
            "project_id": _ID,
            "roles": {
                "type": "array",
                "items": {"type": "object", "anyOf": [{"required": ["id"]}, {"required": ["name"]}]},
            },
            # to take a rule and not to hold it would open what its owner wants closed
            "access_rules": {"type": "array", "maxItems": 0},
        },
        ["name"],
    ),
)
