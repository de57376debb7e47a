"""Names that follow from other names."""

from __future__ import annotations

import hashlib
import re

_LONGEST = 63


def hostname(name: str, server_id: str) -> str:
    """The guest's own name, from the server's: a label that RFC 1123 allows, or "Server-<id>" if nothing is left."""
    label = name.encode("latin-1", "ignore").decode("latin-1")[:_LONGEST]
    label = re.sub(r"[ _.]", "-", label)
    label = re.sub(r"[^A-Za-z0-9-]+", "", label).lower().strip("-")
    return label or f"Server-{server_id}"[:_LONGEST]


def numbered(name: str, index: int, total: int, longest: int = 255) -> str:
    """The name of one of several servers made by one request."""
    if total == 1:
        return name
    number = f"-{index + 1}"
    return name[: longest - len(number)] + number


def numbered_hostname(name: str, server_id: str, index: int, total: int) -> str:
    """`hostname` of one of several servers made by one request."""
    return numbered(hostname(name, server_id), index, total, _LONGEST)


def host_id(project_id: str, host: str | None) -> str:
    """The name of a host towards one project; different for every project, "" for no host."""
    return hashlib.sha224(f"{project_id}{host}".encode()).hexdigest() if host else ""
