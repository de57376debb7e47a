"""`/OS-REVOKE/events`; and what upstream only says goodbye to: `/OS-SIMPLE-CERT`."""

from __future__ import annotations

from kilostack.core.errors import BadRequest, Error
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.identity.api.parts import show_time
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.revocations import Revocations
from kilostack.identity.model.times import micros_of

_PATH = "/OS-REVOKE/events"
_SECOND = 1_000_000


class RevocationsApi:
    """What ended tokens before their time."""

    def __init__(self, revocations: Revocations) -> None:
        self._revocations = revocations

    async def events(self, request: Request) -> Response:
        since = request.query.first("since")
        events = await self._revocations.events(request.ctx, _since(since) if since else None)
        shown = []
        for event in events:
            time = show_time(event.at - event.at % _SECOND)
            shown.append({**event.about, "issued_before": time, "revoked_at": time})
        links = {"self": request.link(_PATH), "previous": None, "next": None}
        return Response(200, {"events": shown, "links": links})


def _since(text: str) -> int:
    try:
        return micros_of(text)
    except ValueError:
        raise BadRequest(f"invalidate date format {text[:40]}", field="since") from None


async def _gone(request: Request) -> Response:
    raise Error("This API is no longer available due to the removal of support for PKI tokens.", status=410)


def routes(ground: Ground) -> tuple[Route, ...]:
    """The list of revocations, and routes that are gone."""
    return (
        Route(method="GET", path=_PATH, handler=RevocationsApi(Revocations(ground)).events),
        Route(method="GET", path="/OS-SIMPLE-CERT/ca", handler=_gone, public=True),
        Route(method="GET", path="/OS-SIMPLE-CERT/certificates", handler=_gone, public=True),
    )
