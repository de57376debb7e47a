"""Lists of servers: which ones, in which order, and no more of each than membership and the cache of answers need.

Conditions that SQL can say well are columns here; the rest (regular expressions, addresses, tags) is a function over
names or whole records, applied page by page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Select, and_, func, or_, select

from kilostack.compute.model.server import Server
from kilostack.compute.store.tables import SERVERS, hosts, servers
from kilostack.core.errors import BadRequest
from kilostack.store.database import Tx
from kilostack.store.sql import InList, Query, p

#: public sort key -> column
SORTS: dict[str, Any] = {
    "access_ip_v4": servers.c.access_ip_v4,
    "access_ip_v6": servers.c.access_ip_v6,
    "auto_disk_config": servers.c.disk_config,
    "availability_zone": hosts.c.zone,
    "config_drive": servers.c.config_drive,
    "created_at": servers.c.created_at,
    "display_description": servers.c.description,
    "display_name": servers.c.name,
    "host": servers.c.host,
    "hostname": servers.c.hostname,
    "image_ref": servers.c.image_id,
    "key_name": servers.c.key_name,
    "launch_index": servers.c.launch_index,
    "launched_at": servers.c.launched_at,
    "locked": servers.c.locked,
    "node": servers.c.host,
    "power_state": servers.c.state,
    "project_id": servers.c.project_id,
    "task_state": servers.c.task_state,
    "updated_at": servers.c.updated_at,
    "user_id": servers.c.user_id,
    "uuid": servers.c.id,
    "vm_state": servers.c.state,
}
#: conditions by name: "equal to one of", or a comparison
_EQUAL: dict[str, Any] = {
    "host": servers.c.host,
    "id": servers.c.id,
    "image_id": servers.c.image_id,
    "key_name": servers.c.key_name,
    "launch_index": servers.c.launch_index,
    "locked": servers.c.locked,
    "name": servers.c.name,
    "project_id": servers.c.project_id,
    "reservation_id": servers.c.reservation_id,
    "state": servers.c.state,
    "task_state": servers.c.task_state,
    "user_id": servers.c.user_id,
}
_COMPARED: dict[str, Any] = {
    "changed_since": servers.c.updated_at >= p("changed_since"),
    "changed_before": servers.c.updated_at <= p("changed_before"),
}
_CHUNK = 200
_SHAPES_KEPT = 500


class HostSeen(NamedTuple):
    """What a server shows of its host that is not in its own row."""

    zone: str | None
    connected: int | None
    disabled: int | None
    forced_down: int | None


class Line(NamedTuple):
    """A server in a list."""

    id: str
    revision: int
    name: str
    zone: str | None
    connected: int | None
    disabled: int | None
    forced_down: int | None

    @property
    def host(self) -> HostSeen:
        return HostSeen._make(self[3:])


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One list request. `equal` holds the accepted values by condition, `compared` the value by comparison."""

    equal: dict[str, tuple[Any, ...]] = {}
    compared: dict[str, int] = {}
    #: (sort key, descending)
    sort: tuple[tuple[str, bool], ...] = (("created_at", True),)
    marker: str | None = None
    limit: int
    name: Callable[[str], bool] | None = None
    keep: Callable[[Server], bool] | None = None


_JOINED = servers.outerjoin(hosts, servers.c.host == hosts.c.name)
_LINE = select(
    servers.c.id,
    servers.c.revision,
    servers.c.name,
    hosts.c.zone,
    hosts.c.connected,
    hosts.c.disabled,
    hosts.c.forced_down,
).select_from(_JOINED)
_ONE = Query(
    select(hosts.c.zone, hosts.c.connected, hosts.c.disabled, hosts.c.forced_down).where(hosts.c.name == p("host"))
)
_OWNED = Query(_LINE.add_columns(servers.c.project_id).where(servers.c.id == p("id")))
_NO_HOST = HostSeen(None, None, None, None)
_shapes: dict[Any, Query] = {}


async def host_of(tx: Tx, server: Server) -> HostSeen:
    """What is shown of the host of one server."""
    row = await tx.one(_ONE, host=server.host) if server.host is not None else None
    return HostSeen(*row) if row is not None else _NO_HOST


async def glance(tx: Tx, server_id: str) -> tuple[Line, str] | None:
    """A server as a list has it, and its project; None if there is none."""
    row = await tx.one(_OWNED, id=server_id)
    return None if row is None else (Line._make(row[:-1]), row[-1])


async def page(tx: Tx, ask: Ask) -> list[Line]:
    """One page. Raises `BadRequest` for a marker that is no server."""
    if ask.name is None and ask.keep is None:
        return await _chunk(tx, ask, ask.marker, ask.limit)
    found: list[Line] = []
    marker, size = ask.marker, max(_CHUNK, ask.limit)
    while len(found) < ask.limit:
        lines = await _chunk(tx, ask, marker, size)
        found += await _kept(tx, ask, lines)
        if len(lines) < size:
            break
        marker = lines[-1].id
    return found[: ask.limit]


async def _kept(tx: Tx, ask: Ask, lines: Sequence[Line]) -> list[Line]:
    if ask.name is not None:
        lines = [line for line in lines if ask.name(line.name)]
    if ask.keep is None:
        return list(lines)
    whole = {server.id: server for server in await SERVERS.within(tx, "id", [line.id for line in lines])}
    return [line for line in lines if ask.keep(whole[line.id])]


async def _chunk(tx: Tx, ask: Ask, marker: str | None, limit: int) -> list[Line]:
    if limit <= 0:
        return []
    equal = tuple((name, len(values) == 1) for name, values in ask.equal.items())
    shape = (equal, tuple(ask.compared), ask.sort, marker is None)
    if (query := _shapes.get(shape)) is None:
        if len(_shapes) >= _SHAPES_KEPT:
            _shapes.clear()
        query = _shapes[shape] = Query(_compiled(ask, marker is not None))
    params: dict[str, Any] = {"limit": limit, **ask.compared}
    for name, values in ask.equal.items():
        plain = [int(value) if isinstance(value, bool) else value for value in values]
        params["in_" + name] = plain[0] if len(plain) == 1 else msgspec.json.encode(plain).decode()
    if marker is not None:
        params |= await _marked(tx, marker, ask)
    rows = await tx.all(query, **params)
    return list(map(Line._make, rows))


def _compiled(ask: Ask, marked: bool) -> Select[Any]:
    # the index of projects begins with the cell
    statement = _LINE.where(servers.c.cell == 1)
    for name, values in ask.equal.items():
        # a single value can be looked up in an index in the order of the list
        one = _EQUAL[name] == p("in_" + name)
        statement = statement.where(one if len(values) == 1 else InList(_EQUAL[name], "in_" + name))
    for name in ask.compared:
        statement = statement.where(_COMPARED[name])
    columns = _ordered(ask.sort)
    if marked:
        statement = statement.where(_beyond(columns))
    ordered = (column.desc() if descending else column for column, descending, _ in columns)
    return statement.order_by(*ordered).limit(p("limit"))


def _ordered(sort: tuple[tuple[str, bool], ...]) -> list[tuple[Any, bool, str]]:
    """(column, descending, name of the marker's value), ending with the id, so that no two servers are equal."""
    columns = [(_filled(SORTS[name]), descending, f"m{at}") for at, (name, descending) in enumerate(sort)]
    return [*columns, (servers.c.id, sort[-1][1] if sort else False, "marker_id")]


def _filled(column: Any) -> Any:
    """NULLs are the smallest, so that a marker can name them."""
    if not column.nullable and column.table is servers:
        return column
    return func.coalesce(column, -1 if column.type.python_type is int else "")


def _beyond(columns: list[tuple[Any, bool, str]]) -> Any:
    options = []
    for at, (column, descending, name) in enumerate(columns):
        same = [before == p(mark) for before, _, mark in columns[:at]]
        options.append(and_(*same, column < p(name) if descending else column > p(name)))
    return or_(*options)


async def _marked(tx: Tx, marker: str, ask: Ask) -> dict[str, Any]:
    """What the marker's row holds. A server of a project that is not listed is no marker: that would tell of it."""
    columns = _ordered(ask.sort)
    shape = ("marker", ask.sort)
    if (query := _shapes.get(shape)) is None:
        values = select(servers.c.project_id, *(column.label(name) for column, _, name in columns)).select_from(_JOINED)
        query = _shapes[shape] = Query(values.where(servers.c.id == p("id")))
    row = await tx.one(query, id=marker)
    if row is None or row[0] not in ask.equal.get("project_id", (row[0],)):
        raise BadRequest(f"marker [{marker[:64]}] not found", field="marker")
    return {name: value for (_, _, name), value in zip(columns, row[1:], strict=True)}
