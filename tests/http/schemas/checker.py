"""`check_response` holds an answer against Tempest's schema of the nearest microversion at or below the asked one."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import pkgutil
from typing import Any

import jsonschema
from tempest.lib.common.jsonschema_validator import FORMAT_CHECKER, JSONSCHEMA_VALIDATOR

from tests.http.schemas.operations import SERVICES

Version = tuple[int, int]
#: the microversions of compute whose answers every operation's tests ask for
VERSIONS: tuple[Version, ...] = ((2, 1), (2, 37), (2, 61), (2, 79), (2, 96))
_ROOT = "tempest.lib.api_schema.response"


@functools.cache
def _released(service: str) -> tuple[Version, ...]:
    """Microversions for which Tempest has a package of schemas, newest first."""
    found = pkgutil.iter_modules(importlib.import_module(f"{_ROOT}.{service}").__path__)
    numbers = [name.removeprefix("v").split("_") for _, name, package in found if package]
    return tuple(sorted(((int(major), int(minor)) for major, minor in numbers), reverse=True))


@functools.cache
def schema_of(service: str, operation: str, version: Version) -> dict[str, Any]:
    """Tempest's entry for an operation: `status_code`, and `response_body` where there is one.

    Raises KeyError for an operation that the table does not have, or that came later than `version`.
    """
    module, attribute = SERVICES[service][operation].split(".")
    for release in _released(service):
        name = f"{_ROOT}.{service}.v{release[0]}_{release[1]}.{module}"
        if release > version or importlib.util.find_spec(name) is None:
            continue
        found: dict[str, Any] | None = getattr(importlib.import_module(name), attribute, None)
        if found is not None:
            return found
    raise KeyError(f"{service} has no schema of {operation} at {version[0]}.{version[1]}")


def check_response(service: str, operation: str, version: Version, body: Any, *, status: int | None = None) -> None:
    """Fail, naming the place and the rule, unless `body` (decoded JSON, None when empty) is what Tempest takes."""
    schema = schema_of(service, operation, version)
    if status is not None:
        assert status in schema["status_code"], f"{operation}: status {status}, not one of {schema['status_code']}"
    wanted = schema.get("response_body")
    if not wanted:
        assert not body, f"{operation}: there should be no body, not {body!r}"
        return
    errors = list(JSONSCHEMA_VALIDATOR(wanted, format_checker=FORMAT_CHECKER).iter_errors(body))
    assert not errors, f"{operation} at {version[0]}.{version[1]}: " + "; ".join(_sentence(e) for e in errors)


def _sentence(error: jsonschema.ValidationError) -> str:
    return f"{error.json_path}: {error.message[:600]}"
