"""Our own API: what was recorded of a server."""

from __future__ import annotations

from kilostack.compute.app.parts import Parts
from kilostack.compute.app.why import why
from kilostack.http.dialects import NOVA
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Api, Route


def own_api(parts: Parts) -> Api:
    """`GET /kilostack/v1/servers/{name or id}/why`."""

    async def show(request: Request) -> Response:
        return Response(200, await why(parts, request.ctx, request.params["server_id"]))

    route = Route(method="GET", path="/servers/{server_id}/why", handler=show)
    return Api(name="kilostack", prefix="/kilostack/v1", routes=(route,), dialect=NOVA)
