"""What a process says of its own health, without a token: /healthz, /readyz, /version, /metrics."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import msgspec

from kilostack import __version__
from kilostack.core.telemetry import Metrics
from kilostack.core.world import World
from kilostack.http.app import Observer
from kilostack.http.dialects import PLAIN
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Api, Route

_LOG = logging.getLogger("kilostack.access")
_TEXT = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """Whether this process can do its work; `reasons` say why not."""

    ready: bool
    hosts: int
    reasons: tuple[str, ...] = ()


class Health:
    """Answers of one process. `look` is asked each time and must be cheap."""

    def __init__(self, metrics: Metrics, look: Callable[[], Awaitable[Ready]]) -> None:
        self._metrics, self._look = metrics, look
        self.api = Api(
            name="health",
            prefix="",
            dialect=PLAIN,
            routes=tuple(
                Route(method="GET", path=path, handler=handler, public=True)
                for path, handler in (
                    ("/healthz", self._healthz),
                    ("/healthcheck", self._healthz),
                    ("/readyz", self._readyz),
                    ("/version", self._version),
                    ("/metrics", self._show_metrics),
                )
            ),
        )

    async def _healthz(self, request: Request) -> Response:
        return Response(200, {"status": "ok"})

    async def _readyz(self, request: Request) -> Response:
        ready = await self._look()
        return Response(200 if ready.ready else 503, ready)

    async def _version(self, request: Request) -> Response:
        return Response(200, {"name": "kilostack", "version": __version__})

    async def _show_metrics(self, request: Request) -> Response:
        ready = await self._look()
        self._metrics.hosts_connected.now = ready.hosts
        return Response(200, self._metrics.text().encode(), headers={"Content-Type": _TEXT})


class Access(Observer):
    """Counts every answered request, and writes one line for each that changed or refused something."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def answered(self, service: str, request: Request, status: int, seconds: float) -> None:
        self._metrics.requests.add(service, request.method, str(status))
        self._metrics.request_seconds.observe(seconds, service)
        if request.method in ("GET", "HEAD") and status < 400:
            return
        ctx = request.ctx
        _LOG.info(
            "%s %s %d",
            request.method,
            request.path,
            status,
            extra={
                "request_id": ctx.request_id,
                "global_request_id": ctx.global_request_id,
                "project_id": ctx.project_id or None,
                "user_id": ctx.user_id or None,
                "resource_id": next((v for k, v in request.params.items() if k.endswith("_id")), None),
                "service": service,
                "status": status,
                "duration_ms": round(seconds * 1000, 1),
            },
        )


async def watch_lag(metrics: Metrics, world: World) -> None:
    """Measure for ever how late the event loop is."""
    while True:
        before = world.monotonic()
        await world.sleep(1.0)
        metrics.loop_lag_seconds.now = max(0.0, world.monotonic() - before - 1.0)
