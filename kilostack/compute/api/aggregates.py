"""Host aggregates: there are none yet, which clients ask about before they show a hypervisor."""

from __future__ import annotations

from kilostack.compute.app.parts import Parts, check
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route


class AggregatesApi:
    """The handler of /os-aggregates."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def routes(self) -> tuple[Route, ...]:
        return (Route(method="GET", path="/os-aggregates", handler=self.index),)

    async def index(self, request: Request) -> Response:
        check(self._parts, request.ctx, "os-aggregates:index")
        return Response(200, {"aggregates": []})
