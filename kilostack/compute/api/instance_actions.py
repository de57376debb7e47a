"""A server's history over HTTP."""

from __future__ import annotations

from typing import Any

from kilostack.compute.api import queries
from kilostack.compute.api.formats import parse_time, time_fraction
from kilostack.compute.app.parts import Parts, allows
from kilostack.compute.app.server_history import ServerHistory
from kilostack.compute.model.naming import host_id
from kilostack.compute.model.records import ServerAction
from kilostack.core.errors import BadRequest
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route

_PAGED = (2, 58)
#: from here on a deleted server still shows its past
_DELETED = (2, 21)


class InstanceActionsApi:
    """Handlers of /servers/{server_id}/os-instance-actions."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._history = parts, ServerHistory(parts)

    def routes(self) -> tuple[Route, ...]:
        path = "/servers/{server_id}/os-instance-actions"
        return (
            Route(method="GET", path=path, handler=self.index),
            Route(method="GET", path=path + "/{request_id}", handler=self.show),
        )

    async def index(self, request: Request) -> Response:
        server_id = request.params["server_id"]
        found, _ = await self._history.every(request.ctx, server_id, deleted=request.version >= _DELETED)
        if request.version < _PAGED:
            return Response(200, {"instanceActions": [_shown(request, action) for action in found]})
        queries.known(request, {"limit", "marker", "changes-since", "changes-before"})
        found = _page(request, _within(request, found))
        answer: dict[str, Any] = {"instanceActions": [_shown(request, action) for action in found]}
        path = f"/servers/{server_id}/os-instance-actions"
        if links := queries.next_link(request, path, found, found[-1].request_id if found else ""):
            answer["links"] = links
        return Response(200, answer)

    async def show(self, request: Request) -> Response:
        server_id, version = request.params["server_id"], request.version
        action, host = await self._history.get(
            request.ctx, server_id, request.params["request_id"], deleted=version >= _DELETED
        )
        shown = _shown(request, action)
        full = allows(self._parts, request.ctx, "os-instance-actions:events", project_id=action.project_id)
        if full or version >= (2, 51):
            shown["events"] = [self._event(request, action, event, host, full=full) for event in action.events]
        return Response(200, {"instanceAction": shown})

    def _event(
        self, request: Request, action: ServerAction, event: dict[str, Any], host: str | None, *, full: bool
    ) -> dict[str, Any]:
        finished = event.get("finish_time")
        shown: dict[str, Any] = {
            "event": event["event"],
            "start_time": time_fraction(event["start_time"]),
            "finish_time": time_fraction(finished),
            "result": event.get("result"),
        }
        if full:
            shown["traceback"] = None
        if request.version >= (2, 62):
            if full:
                shown["host"] = host
            shown["hostId"] = host_id(action.project_id, host)
        if request.version >= (2, 84) and allows(self._parts, request.ctx, "os-instance-actions:events:details"):
            shown["details"] = event.get("details")
        return shown


def _shown(request: Request, action: ServerAction) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "action": action.action,
        "instance_uuid": action.server_id,
        "request_id": action.request_id,
        "user_id": action.user_id,
        "project_id": action.project_id,
        "start_time": time_fraction(action.started_at),
        "message": action.message,
    }
    if request.version >= _PAGED:
        shown["updated_at"] = time_fraction(action.updated_at)
    return shown


def _within(request: Request, found: list[ServerAction]) -> list[ServerAction]:
    since, before = request.query.first("changes-since"), request.query.first("changes-before")
    if before is not None and request.version < (2, 66):
        before = None
    first = parse_time(since, "changes-since") if since is not None else None
    last = parse_time(before, "changes-before") if before is not None else None
    if first is not None and last is not None and last < first:
        raise BadRequest("The value of changes-since must be less than or equal to changes-before.")
    return [
        action
        for action in found
        if (first is None or action.updated_at >= first) and (last is None or action.updated_at <= last)
    ]


def _page(request: Request, found: list[ServerAction]) -> list[ServerAction]:
    if (marker := queries.marker(request)) is not None:
        at = next((at for at, action in enumerate(found) if action.request_id == marker), None)
        if at is None:
            raise BadRequest(f"Marker {marker[:64]} could not be found.", field="marker")
        found = found[at + 1 :]
    return found[: queries.limit(request)]
