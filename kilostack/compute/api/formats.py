"""Times, flags and links as compute writes them."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

from kilostack.core.errors import BadRequest

_TRUE = frozenset({"1", "t", "true", "on", "y", "yes"})
_FALSE = frozenset({"0", "f", "false", "off", "n", "no"})


def time_z(micros: int) -> str:
    """2026-11-20T09:14:13Z"""
    return datetime.fromtimestamp(micros // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def time_fraction(micros: int | None) -> str | None:
    """2026-11-20T09:14:13.000000: with microseconds and no zone, as a few old fields are."""
    if micros is None:
        return None
    moment = datetime.fromtimestamp(micros // 1_000_000, UTC).replace(microsecond=micros % 1_000_000)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")


def parse_time(text: str, field: str) -> int:
    """Microseconds of an ISO 8601 time; without a zone it is UTC. Raises `BadRequest`."""
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise BadRequest(f"Invalid input for query parameters {field}. Value: {text[:64]}.", field=field) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


def flag(value: Any) -> bool | None:
    """A boolean in any of the forms that upstream takes; None for anything else."""
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    return True if text in _TRUE else False if text in _FALSE else None


def address(text: str) -> str:
    """An address that a schema has let through, in its shortest form; none stays none."""
    return str(ip_address(text)) if text else ""


def whole_number(value: Any) -> int:
    """A number that a body may give as text."""
    return int(value)
