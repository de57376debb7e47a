"""Servers over HTTP: list, show, create, update, delete."""

from __future__ import annotations

import msgspec

from kilostack.compute.api import queries, server_schemas
from kilostack.compute.api.formats import address, flag
from kilostack.compute.api.server_bodies import new_server
from kilostack.compute.api.server_queries import Listed
from kilostack.compute.api.server_views import ServerViews, View, created, window
from kilostack.compute.app.parts import Parts, allows, is_admin
from kilostack.compute.app.server_create import ServerCreate
from kilostack.compute.app.server_verbs import ServerVerbs
from kilostack.compute.app.servers import Servers
from kilostack.compute.model.server import Server
from kilostack.compute.store.server_lists import HostSeen, host_of
from kilostack.compute.store.tables import SERVERS
from kilostack.core.context import Context
from kilostack.http.messages import Request, Response, Version
from kilostack.http.routes import Route
from kilostack.store.database import Tx

_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


class ServersApi:
    """Handlers of /servers and /servers/{server_id}."""

    def __init__(self, parts: Parts, views: ServerViews) -> None:
        self._parts, self._views = parts, views
        self._servers, self._create, self._verbs = Servers(parts), ServerCreate(parts), ServerVerbs(parts)

    def routes(self) -> tuple[Route, ...]:
        one = "/servers/{server_id}"
        return (
            Route(method="GET", path="/servers", handler=self.index),
            Route(method="POST", path="/servers", handler=self.create, body=server_schemas.CREATE),
            Route(method="GET", path="/servers/detail", handler=self.detail),
            Route(method="GET", path=one, handler=self.show),
            Route(method="PUT", path=one, handler=self.update, body=server_schemas.UPDATE),
            Route(method="DELETE", path=one, handler=self.delete),
        )

    async def show(self, request: Request) -> Response:
        ctx, server_id = request.ctx, request.params["server_id"]

        async def unit(tx: Tx) -> bytes:
            line = await self._servers.glance(tx, ctx, server_id)
            view = self._view("show", ctx, request.version)
            (found,) = self._views.found(view, (line,), request.root)
            return found or self._views.made(view, await SERVERS.get(tx, id=server_id), line.host, request.root)

        return Response(200, _body(await self._parts.db.read(unit)))

    async def index(self, request: Request) -> Response:
        return await self._list(request, "/servers", View("basic", 1))

    async def detail(self, request: Request) -> Response:
        return await self._list(request, "/servers/detail", self._view("detail", request.ctx, request.version))

    async def _list(self, request: Request, path: str, view: View) -> Response:
        ctx, views = request.ctx, self._views
        all_filters = allows(self._parts, ctx, "servers:allow_all_filters")
        listed = Listed(request, all_filters=all_filters, admin=is_admin(self._parts, ctx))
        ask = listed.ask(ctx.project_id)

        async def unit(tx: Tx) -> tuple[list[bytes], str]:
            detail = view.kind != "basic"
            lines = await self._servers.page(tx, ctx, ask, detail=detail, everywhere=listed.everywhere)
            if listed.empty:
                return [], ""
            found = views.found(view, lines, request.root)
            missed = [line for line, fragment in zip(lines, found, strict=True) if fragment is None]
            if missed:
                hosts = {line.id: line.host for line in missed}
                whole = await SERVERS.within(tx, "id", list(hosts))
                made = {server.id: views.made(view, server, hosts[server.id], request.root) for server in whole}
                found = [fragment or made[line.id] for line, fragment in zip(lines, found, strict=True)]
            return [fragment for fragment in found if fragment], lines[-1].id if lines else ""

        fragments, last = await self._parts.db.read(unit)
        links = queries.next_link(request, path, fragments, last)
        following = b',"servers_links":' + msgspec.json.encode(links) if links else b""
        # one copy for all ends: the list is long
        return Response(200, b"".join((b'{"servers":[', b",".join(fragments), b"]", following, b"}")))

    def _view(self, kind: str, ctx: Context, version: Version) -> View:
        def may(rule: str) -> bool:
            return allows(self._parts, ctx, rule)

        return View(
            kind=kind,
            minor=window(version),
            extended=may("os-extended-server-attributes"),
            extra_specs=version >= (2, 47) and may("servers:show:flavor-extra-specs"),
            host_status=version >= (2, 16) and may("servers:show:host_status"),
            fault_details=is_admin(self._parts, ctx),
        )

    async def create(self, request: Request) -> Response:
        document = await request.json()
        body = document["server"]
        made = await self._create.create(request.ctx, new_server(document, request.version))
        if flag(body.get("return_reservation_id", False)):
            return Response(202, {"reservation_id": made[0].reservation_id})
        groups = body.get("security_groups", [{"name": "default"}])
        # shown because clients expect it; nothing inside the guest takes it
        password = body.get("adminPass") or self._password()
        shown = created(made[0], groups, password, request.base)
        return Response(202, shown, headers={"Location": request.link(f"/servers/{made[0].id}")})

    def _password(self) -> str:
        number = int(self._parts.world.new_id().replace("-", ""), 16)
        letters = []
        for _ in range(12):
            number, at = divmod(number, len(_LETTERS))
            letters.append(_LETTERS[at])
        return "".join(letters)

    async def update(self, request: Request) -> Response:
        body = (await request.json())["server"]
        fields = {
            "name": "name",
            "description": "description",
            "hostname": "hostname",
            "accessIPv4": "access_ip_v4",
            "accessIPv6": "access_ip_v6",
            "OS-DCF:diskConfig": "disk_config",
        }
        changes = {field: body[key] for key, field in fields.items() if key in body}
        changes |= {field: address(changes[field]) for field in ("access_ip_v4", "access_ip_v6") if field in changes}
        ctx = request.ctx

        def edit(server: Server) -> dict[str, object]:
            return {name: value for name, value in changes.items() if getattr(server, name) != value}

        server = await self._servers.edit(ctx, request.params["server_id"], "servers:update", edit, guarded=False)
        host: HostSeen = await self._parts.db.read(lambda tx: host_of(tx, server))
        view = self._view("update", ctx, request.version)
        return Response(200, _body(self._views.made(view, server, host, request.root)))

    async def delete(self, request: Request) -> Response:
        await self._verbs.delete(request.ctx, request.params["server_id"])
        return Response(204)


def _body(fragment: bytes) -> bytes:
    return b'{"server":' + fragment + b"}"
