"""What a service's upstream offers, as a table: the routes are measured by it, and documented from it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from kilostack.http.routes import Route

_FIELD = re.compile(r"\{[^}]*\}")
_USUAL = {"GET": 200, "HEAD": 200, "POST": 201, "PUT": 204, "PATCH": 200, "DELETE": 204}


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation as upstream documents it."""

    method: str
    #: below the service's prefix, its fields named as upstream names them
    path: str
    #: the rules that may be asked
    rules: tuple[str, ...]
    #: with which it ends, besides the refusals that all have
    statuses: tuple[int, ...]

    @property
    def key(self) -> tuple[str, str]:
        """The method and the path without the names of its fields."""
        return self.method, _FIELD.sub("{}", self.path)


Table = Mapping[tuple[str, str], Operation]


def parsed(text: str, prefix: str) -> Table:
    """The operations of lines `METHOD PATH RULE[,RULE...] [STATUS,...]`, by their keys. `prefix` begins each rule."""
    found: dict[tuple[str, str], Operation] = {}
    for line in text.strip().splitlines():
        method, path, rules, *statuses = line.split()
        operation = Operation(
            method=method,
            path="" if path == "/" else path,
            rules=() if rules == "-" else tuple(prefix + rule for rule in rules.split(",")),
            statuses=tuple(int(status) for status in statuses[0].split(",")) if statuses else (_USUAL[method],),
        )
        if operation.key in found:
            raise ValueError(f"there are two lines for {method} {path}")
        found[operation.key] = operation
    return found


def key_of(route: Route) -> tuple[str, str]:
    """Under which a table has the route's operation."""
    return route.method, _FIELD.sub("{}", route.path)


def documented(routes: Iterable[Route], table: Table) -> tuple[Route, ...]:
    """The routes, each with what the table says of its operation."""
    return tuple(_documented(route, table.get(key_of(route))) for route in routes)


def _documented(route: Route, operation: Operation | None) -> Route:
    if operation is None:
        return route
    return msgspec.structs.replace(
        route,
        shown=route.shown or operation.path,
        rules=route.rules or operation.rules,
        statuses=route.statuses or operation.statuses,
    )


def is_offered(operation: Operation, offered: frozenset[tuple[str, str]]) -> bool:
    """Whether routes with these keys answer it."""
    method, path = operation.key
    return (method, path) in offered or (method == "HEAD" and ("GET", path) in offered)
