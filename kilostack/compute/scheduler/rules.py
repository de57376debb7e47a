"""Which hosts a request leaves: one small function over columns per rule, each with its own words."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from kilostack.compute.scheduler.columns import Columns, Mask
from kilostack.compute.scheduler.request import Request


class Rule(NamedTuple):
    """`keeps` answers None when the request does not ask for it; `why` speaks of one host that it removed."""

    name: str
    keeps: Callable[[Columns, Request], Mask | None]
    why: Callable[[Columns, Request, int], str]
    #: what the hosts removed have in common, in words that say nothing of any one host
    brief: Callable[[Request], str]


_UNITS = {"VCPU": ("vcpu", "VCPU"), "MEMORY_MB": ("memory", "MiB memory"), "DISK_GB": ("disk", "GiB disk")}


def _zone(columns: Columns, request: Request) -> Mask | None:
    return None if request.zone is None else columns.in_zone(request.zone)


def _wanted_host(columns: Columns, request: Request) -> Mask | None:
    return None if request.host is None else columns.named(request.host)


def _fits(resource_class: str, *, pending: bool) -> Rule:
    name, unit = _UNITS.get(resource_class, (resource_class, resource_class))

    def keeps(columns: Columns, request: Request) -> Mask:
        mask: Mask = columns.free(resource_class, pending=pending) >= request.resources[resource_class]
        return mask

    def why(columns: Columns, request: Request, place: int) -> str:
        free = max(0, int(columns.free(resource_class, pending=pending)[place]))
        return f"needs {request.resources[resource_class]} {unit}, has {free} free"

    return Rule(name, keeps, why, lambda request: f"without {request.resources[resource_class]} {unit} free")


ENABLED = Rule(
    "enabled",
    lambda columns, request: columns.enabled,
    lambda columns, request, place: "is disabled",
    lambda request: "disabled",
)
CONNECTED = Rule(
    "connected",
    lambda columns, request: columns.connected,
    lambda columns, request, place: "its agent is not connected",
    lambda request: "not connected",
)
ZONE = Rule(
    "zone",
    _zone,
    lambda columns, request, place: f"is in zone {columns.hosts[place].zone}, not in {request.zone}",
    lambda request: f"outside zone {request.zone}",
)
HOST = Rule(
    "host",
    _wanted_host,
    lambda columns, request, place: f"is not {request.host}",
    lambda request: "not the host asked for",
)
KNOWN = Rule(
    "inventory",
    lambda columns, request: columns.known,
    lambda columns, request, place: "has not said yet what it has",
    lambda request: "without an inventory yet",
)


def rules_for(request: Request, *, pending: bool) -> list[Rule]:
    """The rules in the order in which they are asked."""
    sizes = [_fits(name, pending=pending) for name in sorted(request.resources, reverse=True)]
    return [ENABLED, CONNECTED, ZONE, HOST, KNOWN, *sizes]


def all_of(columns: Columns) -> Mask:
    """Every host."""
    return np.ones(len(columns), np.bool_)
