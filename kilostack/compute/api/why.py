"""Our own API: what was recorded of a server."""

from __future__ import annotations

from typing import Any

import msgspec

from kilostack.compute.api.formats import time_fraction
from kilostack.compute.app.parts import Parts
from kilostack.compute.app.why import why
from kilostack.http.dialects import NOVA
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Api, Route

_TIMES = frozenset({"at", "created_at", "ended_at", "launched_at", "started_at", "start_time", "finish_time"})


def own_api(parts: Parts) -> Api:
    """`GET /kilostack/v1/servers/{name or id}/why`."""

    async def show(request: Request) -> Response:
        found = await why(parts, request.ctx, request.params["server_id"])
        return Response(200, _with_times(msgspec.to_builtins(found)))

    route = Route(method="GET", path="/servers/{server_id}/why", handler=show)
    return Api(name="kilostack", prefix="/kilostack/v1", routes=(route,), dialect=NOVA)


def _with_times(value: Any) -> Any:
    """Microseconds as people read them."""
    if isinstance(value, dict):
        return {
            key: f"{time_fraction(inner)}Z" if key in _TIMES and isinstance(inner, int) else _with_times(inner)
            for key, inner in value.items()
        }
    return [_with_times(inner) for inner in value] if isinstance(value, list) else value
