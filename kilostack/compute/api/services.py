"""Services over HTTP: nova-compute per host, and the roles of the control plane under the names operators know."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from kilostack.compute.api import queries
from kilostack.compute.api.formats import flag, time_fraction
from kilostack.compute.api.schemas import BOOLEAN, FQDN, Document
from kilostack.compute.app.operators import Operators, is_up
from kilostack.compute.app.parts import Parts
from kilostack.compute.model.records import Host
from kilostack.core.errors import BadRequest, NotFound
from kilostack.http.messages import Request, Response, Version
from kilostack.http.routes import Route
from kilostack.http.schemas import Schema, objects

_COMPUTE = "nova-compute"
_INNER = ("nova-conductor", "nova-scheduler")
#: where the roles of the control plane are shown to be
_CONTROL = "control"
#: numbers of the inner services come after those of any host
_FIRST_INNER = 1_000_001
_BY_UUID = (2, 53)
_NAMES: Document = {"host": FQDN, "binary": {"type": "string", "minLength": 1, "maxLength": 255}}
_REASON: Document = {"type": "string", "minLength": 1, "maxLength": 255}
_UPDATE = (
    ("2.1", Schema(objects({**_NAMES, "disabled_reason": _REASON}, ["host", "binary"]))),
    ("2.11", Schema(objects({**_NAMES, "disabled_reason": _REASON, "forced_down": BOOLEAN}, ["host", "binary"]))),
    (
        "2.53",
        Schema(
            objects({"status": {"enum": ["enabled", "disabled"]}, "disabled_reason": _REASON, "forced_down": BOOLEAN})
        ),
    ),
)


class ServicesApi:
    """Handlers of /os-services."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._operators = parts, Operators(parts)

    def routes(self) -> tuple[Route, ...]:
        return (
            Route(method="GET", path="/os-services", handler=self.index),
            Route(method="PUT", path="/os-services/{service_id}", handler=self.update, body=_UPDATE),
        )

    async def index(self, request: Request) -> Response:
        queries.known(request, {"host", "binary"})
        hosts = await self._operators.hosts(request.ctx, "os-services:list")
        now = self._parts.world.now()
        listed = [_shown(host, request.version) for host in hosts]
        listed += [_inner(number, binary, request.version, now) for number, binary in enumerate(_INNER, _FIRST_INNER)]
        for key in ("host", "binary"):
            if wanted := request.query.first(key):
                listed = [service for service in listed if service[key] == wanted]
        return Response(200, {"services": listed})

    async def update(self, request: Request) -> Response:
        given = await request.json()
        if request.version >= _BY_UUID:
            return await self._update_by_id(request, given)
        verb = request.params["service_id"]
        fields = _old_fields(verb, given, request.version)
        if given["binary"] != _COMPUTE:
            raise _only_compute(given["binary"])
        await self._operators.set_service(request.ctx, {"name": given["host"]}, **fields)
        shown = {"host": given["host"], "binary": _COMPUTE}
        if "forced_down" in fields:
            return Response(200, {"service": {**shown, "forced_down": fields["forced_down"]}})
        shown["status"] = "disabled" if fields["disabled"] else "enabled"
        if fields["disabled_reason"]:
            shown["disabled_reason"] = fields["disabled_reason"]
        return Response(200, {"service": shown})

    async def _update_by_id(self, request: Request, given: Mapping[str, Any]) -> Response:
        service_id = request.params["service_id"]
        # who may not is told so before what is wrong
        await self._operators.hosts(request.ctx, "os-services:update")
        try:
            uuid.UUID(service_id)
        except ValueError:
            raise BadRequest(f"Invalid uuid {service_id[:64]}") from None
        if service_id in {_inner_uuid(binary) for binary in _INNER}:
            raise _only_compute("control plane")
        if not given:
            raise BadRequest("No updates were requested. Fields 'status' or 'forced_down' should be specified.")
        if "disabled_reason" in given and given.get("status") != "disabled":
            raise BadRequest("Specifying 'disabled_reason' when status is 'enabled' is invalid.")
        fields: dict[str, Any] = {}
        if "status" in given:
            fields |= {"disabled": given["status"] == "disabled", "disabled_reason": given.get("disabled_reason")}
        if "forced_down" in given:
            fields["forced_down"] = bool(flag(given["forced_down"]))
        changed = await self._operators.set_service(request.ctx, {"service_id": service_id}, **fields)
        return Response(200, {"service": _shown(changed, request.version)})


def _only_compute(binary: str) -> BadRequest:
    return BadRequest(f"Updating a {binary[:64]} service is not supported. Only nova-compute services can be updated.")


def _old_fields(verb: str, given: Mapping[str, Any], version: Version) -> dict[str, Any]:
    """What the verbs at the end of the path did before 2.53."""
    if verb == "enable":
        return {"disabled": False, "disabled_reason": None}
    if verb == "disable":
        return {"disabled": True, "disabled_reason": None}
    if verb == "disable-log-reason":
        if "disabled_reason" not in given:
            raise BadRequest("Missing disabled reason field", field="disabled_reason")
        return {"disabled": True, "disabled_reason": given["disabled_reason"]}
    if verb == "force-down" and version >= (2, 11):
        if "forced_down" not in given:
            raise BadRequest("Missing forced_down field", field="forced_down")
        return {"forced_down": bool(flag(given["forced_down"]))}
    raise NotFound("Unknown action")


def _shown(host: Host, version: Version) -> dict[str, Any]:
    shown = {
        "id": host.service_id if version >= _BY_UUID else host.number,
        "binary": _COMPUTE,
        "host": host.name,
        "zone": host.zone,
        "status": "disabled" if host.disabled else "enabled",
        "state": "up" if is_up(host) else "down",
        "updated_at": time_fraction(host.updated_at),
        "disabled_reason": host.disabled_reason,
    }
    if version >= (2, 11):
        shown["forced_down"] = host.forced_down
    return shown


def _inner_uuid(binary: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{binary}.kilostack"))


def _inner(number: int, binary: str, version: Version, now: int) -> dict[str, Any]:
    """A role of the control plane: it is up, for it is in the process that answers."""
    shown: dict[str, Any] = {
        "id": _inner_uuid(binary) if version >= _BY_UUID else number,
        "binary": binary,
        "host": _CONTROL,
        "zone": "internal",
        "status": "enabled",
        "state": "up",
        "updated_at": time_fraction(now),
        "disabled_reason": None,
    }
    if version >= (2, 11):
        shown["forced_down"] = False
    return shown
