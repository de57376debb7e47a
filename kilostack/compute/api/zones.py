"""Availability zones over HTTP."""

from __future__ import annotations

from typing import Any

from kilostack.compute.api.formats import time_fraction
from kilostack.compute.app.operators import Operators, is_up
from kilostack.compute.app.parts import Parts
from kilostack.compute.model.records import Host
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route


class ZonesApi:
    """Handlers of /os-availability-zone."""

    def __init__(self, parts: Parts) -> None:
        self._operators = Operators(parts)

    def routes(self) -> tuple[Route, ...]:
        return (
            Route(method="GET", path="/os-availability-zone", handler=self.index),
            Route(method="GET", path="/os-availability-zone/detail", handler=self.detail),
        )

    async def index(self, request: Request) -> Response:
        zones = await self._operators.zones(request.ctx, detail=False)
        return Response(200, {"availabilityZoneInfo": [_zone(name, hosts) for name, hosts in zones.items()]})

    async def detail(self, request: Request) -> Response:
        zones = await self._operators.zones(request.ctx, detail=True)
        shown = []
        for name, hosts in zones.items():
            zone = _zone(name, hosts)
            if zone["zoneState"]["available"]:
                zone["hosts"] = {host.name: {"nova-compute": _service(host)} for host in hosts if not host.disabled}
            shown.append(zone)
        return Response(200, {"availabilityZoneInfo": shown})


def _zone(name: str, hosts: list[Host]) -> dict[str, Any]:
    # a zone with a host that takes servers; an empty cloud's only zone is not called broken
    available = any(not host.disabled for host in hosts) or not hosts
    return {"zoneName": name, "zoneState": {"available": available}, "hosts": None}


def _service(host: Host) -> dict[str, Any]:
    return {"active": not host.disabled, "available": is_up(host), "updated_at": time_fraction(host.updated_at)}
