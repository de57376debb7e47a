"""JSON Schemas as the contract of request bodies: compiled at first use, one clear sentence when one does not hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jsonschema_rs

from kilostack.core.errors import BadRequest

_SHOWN = 120


class Schema:
    """One JSON Schema (draft 2020-12). Unknown `format`s are not checked, except those that `formats` lists."""

    __slots__ = ("_validators", "document")

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._validators: dict[bool, Any] = {}

    def check(self, value: Any, *, lenient: bool = False) -> None:
        """Raise `BadRequest` that names the field, the value and the rule; `lenient` lets unknown keys through."""
        validator = self._validators.get(lenient)
        if validator is None:
            document = _without_closing(self.document) if lenient else self.document
            validator = jsonschema_rs.Draft202012Validator(document, validate_formats=True)
            self._validators[lenient] = validator
        if validator.is_valid(value):
            return
        error = next(iter(validator.iter_errors(value)))
        raise BadRequest(_sentence(value, error), field="/".join(str(part) for part in error.instance_path))


def _without_closing(document: Any) -> Any:
    """The same schema, with no object closed to further keys."""
    if isinstance(document, dict):
        return {
            key: _without_closing(inner)
            for key, inner in document.items()
            if not (key == "additionalProperties" and inner is False)
        }
    return [_without_closing(inner) for inner in document] if isinstance(document, list | tuple) else document


def _sentence(value: Any, error: Any) -> str:
    path = list(error.instance_path)
    found: Any = value
    for part in path:
        found = found[part]
    message = str(error.message)
    if len(message) > 2 * _SHOWN:
        # the library repeats the whole value; what the caller needs is the end, which names the rule
        message = "..." + message[-_SHOWN:]
    if not path:
        return f"Invalid input for the request body: {message}"
    shown = repr(found)
    if len(shown) > _SHOWN:
        shown = shown[:_SHOWN] + "..."
    return f"Invalid input for field/attribute {path[-1]}. Value: {shown}. {message}"


def objects(properties: dict[str, Any], required: Sequence[str] = (), *, extra: bool = False) -> dict[str, Any]:
    """The schema of an object; without `extra` it may have no other keys."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": extra,
    }


def wrapped(key: str, inner: dict[str, Any]) -> Schema:
    """The schema of `{key: inner}`, the usual form of a body."""
    return Schema(objects({key: inner}, [key]))
