"""Values of attributes as clients send them: each reader returns the value in its canonical form or raises `Wrong`."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any

Reader = Callable[[Any], Any]

NAME_LENGTH = 255
_UUID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
_MAC = re.compile(r"([0-9a-f]{2}([:-])[0-9a-f]{2}(\2[0-9a-f]{2}){4})|([0-9a-f]{4}\.){2}[0-9a-f]{4}", re.IGNORECASE)
_SHOWN = 80


class Wrong(ValueError):
    """The value is not what the attribute takes; the text is the reason, for the caller's eyes."""


def shown(value: Any) -> str:
    """The value for an error text: a megabyte sent is not a megabyte sent back."""
    text = str(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def string(length: int = NAME_LENGTH) -> Reader:
    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise Wrong(f"'{shown(value)}' is not a valid string")
        if len(value) > length:
            raise Wrong(f"'{shown(value)}' exceeds maximum length of {length}")
        return value

    return read


def boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    if isinstance(value, str) and value.lower() in ("true", "1"):
        return True
    if isinstance(value, str) and value.lower() in ("false", "0"):
        return False
    raise Wrong(f"'{shown(value)}' cannot be converted to boolean")


def integer(low: int, high: int) -> Reader:
    def read(value: Any) -> int:
        try:
            number = int(value) if isinstance(value, int | str) and not isinstance(value, bool) else None
        except ValueError:
            number = None
        if number is None:
            raise Wrong(f"'{shown(value)}' is not an integer")
        if not low <= number <= high:
            raise Wrong(f"'{shown(value)}' is not in range {low} through {high}")
        return number

    return read


def ip_version(value: Any) -> int:
    found: int = integer(0, 9)(value)
    if found not in (4, 6):
        raise Wrong(f"'{found}' is not in [4, 6]")
    return found


def one_of(*values: Any) -> Reader:
    def read(value: Any) -> Any:
        if value not in values or isinstance(value, bool):
            raise Wrong(f"'{shown(value)}' is not in {list(values)}")
        return value

    return read


def uuid(value: Any) -> str:
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise Wrong(f"'{shown(value)}' is not a valid UUID")
    return value


def optional(reader: Reader) -> Reader:
    """None, or what `reader` takes."""
    return lambda value: None if value is None else reader(value)


def listed(reader: Reader, most: int = 100) -> Reader:
    """A list (None is an empty one) of what `reader` takes."""

    def read(value: Any) -> tuple[Any, ...]:
        if value is None:
            return ()
        if not isinstance(value, list):
            raise Wrong(f"'{shown(value)}' is not a list")
        if len(value) > most:
            raise Wrong(f"the list has {len(value)} items, at most {most} are taken")
        return tuple(reader(item) for item in value)

    return read


def unique_uuids(value: Any) -> tuple[str, ...]:
    found: tuple[str, ...] = listed(uuid)(value)
    if len(set(found)) != len(found):
        raise Wrong(f"Duplicate items in the list: '{shown(', '.join(found))}'")
    return found


def address(value: Any) -> str:
    """An IPv4 or IPv6 address without zone and without leading zeros."""
    if isinstance(value, str) and "%" not in value:
        try:
            return str(ip_address(value))
        except ValueError:
            pass
    raise Wrong(f"'{shown(value)}' is not a valid IP address")


def cidr(value: Any) -> str:
    """A network with its prefix length; an address inside it is refused with what would be right."""
    if isinstance(value, str) and "%" not in value and "/" in value:
        try:
            interface = ip_interface(value)
        except ValueError:
            interface = None
        if interface is not None:
            if interface.ip != interface.network.network_address:
                raise Wrong(f"'{shown(value)}' isn't a recognized IP subnet cidr, '{interface.network}' is recommended")
            return str(interface.network)
    raise Wrong(f"'{shown(value)}' is not a valid IP subnet")


def prefix(value: Any) -> str:
    """An address or a network, canonical, host bits allowed; an address alone is a network of one."""
    if isinstance(value, str) and "%" not in value:
        try:
            interface = ip_interface(value)
            return str(interface)
        except ValueError:
            pass
    raise Wrong(f"'{shown(value)}' is not a valid IP subnet")


def address_or_cidr(value: Any) -> str:
    if isinstance(value, str) and "/" in value:
        return str(ip_network(prefix(value), strict=False))
    return address(value)


def mac(value: Any) -> str:
    if isinstance(value, str) and _MAC.fullmatch(value):
        digits = re.sub(r"[:.-]", "", value.lower())
        if digits != "0" * 12 and not int(digits[:2], 16) & 1:
            return ":".join(digits[at : at + 2] for at in range(0, 12, 2))
    raise Wrong(f"'{shown(value)}' is not a valid MAC address")


def fields(required: dict[str, Reader], optionals: dict[str, Reader]) -> Reader:
    """An object with these keys and no others."""

    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Wrong(f"'{shown(value)}' is not a dictionary")
        if extra := sorted(set(value) - set(required) - set(optionals)):
            raise Wrong(f"Unexpected keys supplied: {shown(', '.join(extra))}")
        if missing := sorted(set(required) - set(value)):
            raise Wrong(f"Validation of dictionary's keys failed. Expected keys: {missing[0]} is missing")
        readers = required | optionals
        return {key: readers[key](item) for key, item in value.items()}

    return read


def fixed_ips(value: Any) -> tuple[dict[str, Any], ...]:
    found: tuple[dict[str, Any], ...] = listed(fields({}, {"subnet_id": uuid, "ip_address": address}))(value)
    given = [item["ip_address"] for item in found if "ip_address" in item]
    if len(set(given)) != len(given):
        raise Wrong(f"Duplicate IP address '{next(a for a in given if given.count(a) > 1)}'")
    return found


def address_pools(value: Any) -> tuple[tuple[str, str], ...]:
    found = listed(fields({"start": address, "end": address}, {}))(value)
    return tuple((item["start"], item["end"]) for item in found)


def routes(value: Any) -> tuple[tuple[str, str], ...]:
    found = listed(fields({"destination": cidr, "nexthop": address}, {}))(value)
    made = tuple((item["destination"], item["nexthop"]) for item in found)
    if len(set(made)) != len(made):
        twice = next(route for route in made if made.count(route) > 1)
        raise Wrong(f"Duplicate hostroute '{twice[0]} via {twice[1]}'")
    return made


def nameservers(value: Any) -> tuple[str, ...]:
    found: tuple[str, ...] = listed(address)(value)
    if len(set(found)) != len(found):
        raise Wrong(f"Duplicate nameserver '{next(a for a in found if found.count(a) > 1)}'")
    return found


def moment(value: Any) -> int:
    """Microseconds of a time such as "2026-01-31T12:00:00Z"."""
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        raise Wrong(f"'{shown(value)}' is not a time such as 2026-01-31T12:00:00Z") from None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return int(found.timestamp()) * 1_000_000


def time_text(micros: int) -> str:
    """A time as the API shows it: whole seconds, UTC."""
    return _second_text(micros // 1_000_000)


@lru_cache(maxsize=4096)
def _second_text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
