"""What hangs below a server: metadata, tags, addresses."""

from __future__ import annotations

from urllib.parse import quote

from kilostack.compute.api import server_schemas
from kilostack.compute.api.server_views import addresses
from kilostack.compute.app.parts import Parts
from kilostack.compute.app.servers import Servers
from kilostack.core.errors import BadRequest, NotFound
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route

_TAG = server_schemas.TAGS


class ServerItemsApi:
    """Handlers of the collections of one server."""

    def __init__(self, parts: Parts) -> None:
        self._servers = Servers(parts)

    def routes(self) -> tuple[Route, ...]:
        one = "/servers/{server_id}"
        schemas = server_schemas
        return (
            Route(method="GET", path=one + "/metadata", handler=self.metadata),
            Route(method="POST", path=one + "/metadata", handler=self.merge, body=schemas.METADATA_ALL),
            Route(method="PUT", path=one + "/metadata", handler=self.replace, body=schemas.METADATA_ALL),
            Route(method="GET", path=one + "/metadata/{key}", handler=self.item),
            Route(method="PUT", path=one + "/metadata/{key}", handler=self.put_item, body=schemas.METADATA_ONE),
            Route(method="DELETE", path=one + "/metadata/{key}", handler=self.drop_item),
            Route(method="GET", path=one + "/tags", handler=self.tags, since="2.26"),
            Route(method="PUT", path=one + "/tags", handler=self.put_tags, since="2.26", body=_TAG),
            Route(method="DELETE", path=one + "/tags", handler=self.drop_tags, since="2.26"),
            Route(method="GET", path=one + "/tags/{tag}", handler=self.has_tag, since="2.26"),
            Route(method="PUT", path=one + "/tags/{tag}", handler=self.add_tag, since="2.26"),
            Route(method="DELETE", path=one + "/tags/{tag}", handler=self.drop_tag, since="2.26"),
            Route(method="GET", path=one + "/ips", handler=self.ips),
            Route(method="GET", path=one + "/ips/{network}", handler=self.ips_of),
        )

    async def metadata(self, request: Request) -> Response:
        server = await self._servers.get(request.ctx, request.params["server_id"], "server-metadata:index")
        return Response(200, {"metadata": server.metadata})

    async def merge(self, request: Request) -> Response:
        items = (await request.json())["metadata"]
        server_id = request.params["server_id"]
        merged = await self._servers.set_metadata(request.ctx, server_id, "create", items, replace=False)
        return Response(200, {"metadata": merged})

    async def replace(self, request: Request) -> Response:
        items = (await request.json())["metadata"]
        server_id = request.params["server_id"]
        kept = await self._servers.set_metadata(request.ctx, server_id, "update_all", items, replace=True)
        return Response(200, {"metadata": kept})

    async def item(self, request: Request) -> Response:
        server = await self._servers.get(request.ctx, request.params["server_id"], "server-metadata:show")
        key = request.params["key"]
        if key not in server.metadata:
            raise NotFound("Metadata item was not found")
        return Response(200, {"meta": {key: server.metadata[key]}})

    async def put_item(self, request: Request) -> Response:
        item = (await request.json())["meta"]
        if request.params["key"] not in item:
            raise BadRequest("Request body and URI mismatch")
        await self._servers.set_metadata(request.ctx, request.params["server_id"], "update", item, replace=False)
        return Response(200, {"meta": item})

    async def drop_item(self, request: Request) -> Response:
        await self._servers.drop_metadata(request.ctx, request.params["server_id"], request.params["key"])
        return Response(204)

    async def tags(self, request: Request) -> Response:
        server = await self._servers.get(request.ctx, request.params["server_id"], "os-server-tags:index")
        return Response(200, {"tags": server.tags})

    async def put_tags(self, request: Request) -> Response:
        tags = (await request.json())["tags"]
        kept = await self._servers.set_tags(request.ctx, request.params["server_id"], tags, "update_all")
        return Response(200, {"tags": kept})

    async def drop_tags(self, request: Request) -> Response:
        await self._servers.set_tags(request.ctx, request.params["server_id"], [], "delete_all")
        return Response(204)

    async def has_tag(self, request: Request) -> Response:
        server = await self._servers.get(request.ctx, request.params["server_id"], "os-server-tags:show")
        if request.params["tag"] not in server.tags:
            raise NotFound(f"Server {server.id} has no tag '{request.params['tag'][:64]}'")
        return Response(204)

    async def add_tag(self, request: Request) -> Response:
        tag, server_id = request.params["tag"], request.params["server_id"]
        try:
            _TAG.check({"tags": [tag]})
        except BadRequest as error:
            raise BadRequest(
                f"Tag '{tag[:64]}' is invalid. It must be a non empty string without characters '/' and ','. "
                f"Validation error message: {error.message[:200]}"
            ) from None
        if not await self._servers.add_tag(request.ctx, server_id, tag):
            return Response(204)
        return Response(201, headers={"Location": request.link(f"/servers/{server_id}/tags/{quote(tag)}")})

    async def drop_tag(self, request: Request) -> Response:
        await self._servers.drop_tag(request.ctx, request.params["server_id"], request.params["tag"])
        return Response(204)

    async def ips(self, request: Request) -> Response:
        server = await self._servers.get(request.ctx, request.params["server_id"], "ips:index")
        return Response(200, {"addresses": addresses(server, extended=False)})

    async def ips_of(self, request: Request) -> Response:
        server = await self._servers.get(request.ctx, request.params["server_id"], "ips:show")
        shown = addresses(server, extended=False)
        network = request.params["network"]
        if network not in shown:
            raise NotFound("Instance is not a member of specified network")
        return Response(200, {network: shown[network]})
