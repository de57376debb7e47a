"""Pieces that the schemas of several bodies share."""

from __future__ import annotations

from typing import Any

from kilostack.http.schemas import Schema, objects

_TRUE = [True, "True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes"]
_FALSE = [False, "False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no"]
_PRINTABLE = r"\P{C}"
_VISIBLE = r"[^\p{C}\p{Z}]"

Document = dict[str, Any]

ANYTHING: Document = {}
BOOLEAN: Document = {"enum": [*_TRUE, *_FALSE]}
#: printable, no white space at either end
NAME: Document = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "pattern": rf"^{_VISIBLE}({_PRINTABLE}*{_VISIBLE})?$",
}
DESCRIPTION: Document = {"type": ["string", "null"], "maxLength": 255, "pattern": rf"^{_PRINTABLE}*$"}
UUID: Document = {"type": "string", "format": "uuid"}
HOSTNAME: Document = {
    "type": "string",
    "minLength": 2,
    "maxLength": 63,
    "pattern": "^[a-zA-Z0-9]+[a-zA-Z0-9-]*[a-zA-Z0-9]+$",
}
FQDN: Document = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[a-zA-Z0-9._-]*$"}
IP_ADDRESS: Document = {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}
TAG: Document = {"type": "string", "minLength": 1, "maxLength": 60, "pattern": "^[^,/]*$"}
METADATA: Document = {
    "type": "object",
    "propertyNames": {"minLength": 1, "maxLength": 255, "pattern": r"^[a-zA-Z0-9-_:. ]{1,255}$"},
    "additionalProperties": {"type": "string", "maxLength": 255},
}


def whole(least: int, most: int = 0x7FFFFFFF) -> Document:
    """A whole number, which may be given as text."""
    digits = len(str(most))
    sign = "-?" if least < 0 else ""
    return {
        "anyOf": [
            {"type": "integer", "minimum": least, "maximum": most},
            {"type": "string", "pattern": f"^{sign}[0-9]{{1,{digits}}}$"},
        ]
    }


def body(key: str, properties: Document, required: tuple[str, ...] = ()) -> Schema:
    """`{key: {properties}}` and nothing else."""
    return Schema(objects({key: objects(properties, required)}, [key]))


def only(key: str, value: Document) -> Schema:
    """`{key: value}` and nothing else."""
    return Schema(objects({key: value}, [key]))
