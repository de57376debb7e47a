"""`/registered_limits` and `/limits`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.http.schemas import Schema, objects, wrapped
from kilostack.identity.api.collections import asked, page
from kilostack.identity.api.parts import ID, MAYBE_ID, MAYBE_REGION, NAME, Shown, links
from kilostack.identity.api.queries import check_query
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.limits import Limits, RegisteredLimits
from kilostack.identity.model.limits import Limit, RegisteredLimit

_UUID = {"type": "string", "pattern": "^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$"}
_NUMBER = {"type": "integer", "minimum": -1, "maximum": 0x7FFFFFFF}
_DESCRIPTION = {"type": ["string", "null"], "maxLength": 255}
_ABOUT = {"service_id": _UUID, "region_id": MAYBE_REGION, "resource_name": NAME}
_FILTERS = ("service_id", "region_id", "resource_name")


_REGISTERED = _ABOUT | {"default_limit": _NUMBER, "description": _DESCRIPTION}
_LIMIT = _ABOUT | {
    "resource_limit": _NUMBER,
    "description": _DESCRIPTION,
    "project_id": MAYBE_ID,
    "domain_id": MAYBE_ID,
}


def _many(key: str, one: dict[str, Any]) -> Schema:
    return wrapped(key, {"type": "array", "minItems": 1, "items": one})


REGISTER = _many("registered_limits", objects(_REGISTERED, ["service_id", "resource_name", "default_limit"]))
CHANGE_REGISTERED = wrapped("registered_limit", objects(_REGISTERED))
CREATE = _many(
    "limits",
    objects(_LIMIT, ["service_id", "resource_name", "resource_limit"])
    | {"oneOf": [{"required": ["domain_id"]}, {"required": ["project_id"]}]},
)
CHANGE = wrapped("limit", objects({"resource_limit": _NUMBER, "description": _DESCRIPTION}))
REGISTERED_QUERY = Schema(objects(_ABOUT, extra=True))
LIMITS_QUERY = Schema(objects(_ABOUT | {"project_id": ID, "domain_id": ID}, extra=True))


def show_registered(record: RegisteredLimit, base: str) -> Shown:
    return {
        "id": record.id,
        "service_id": record.service_id,
        "region_id": record.region_id or None,
        "resource_name": record.resource_name,
        "default_limit": record.default_limit,
        "description": record.description,
        "links": links(base, "registered_limits", record.id),
    }


def show_limit(record: Limit, base: str) -> Shown:
    return {
        "id": record.id,
        "project_id": record.project_id or None,
        "domain_id": record.domain_id or None,
        "service_id": record.service_id,
        "region_id": record.region_id or None,
        "resource_name": record.resource_name,
        "resource_limit": record.resource_limit,
        "description": record.description,
        "links": links(base, "limits", record.id),
    }


class RegisteredLimitsApi:
    """Limits for whoever has none of their own."""

    def __init__(self, limits: RegisteredLimits) -> None:
        self._limits = limits

    def routes(self) -> tuple[Route, ...]:
        path, one = "/registered_limits", "/registered_limits/{limit_id}"
        return (
            Route(method="GET", path=path, handler=self._list),
            Route(method="POST", path=path, handler=self._create, body=REGISTER),
            Route(method="GET", path=one, handler=self._show),
            Route(method="PATCH", path=one, handler=self._update, body=CHANGE_REGISTERED),
            Route(method="DELETE", path=one, handler=self._delete),
        )

    async def _list(self, request: Request) -> Response:
        check_query(request, REGISTERED_QUERY)
        ask = asked(request, _chosen(self._limits.collection.filters, _FILTERS))
        found = await self._limits.page(request.ctx, ask)
        shown = [show_registered(record, request.base) for record in found]
        return Response(200, page(request, "/registered_limits", "registered_limits", shown, ask.limit))

    async def _create(self, request: Request) -> Response:
        documents = (await request.json())["registered_limits"]
        made = await self._limits.create_all(request.ctx, documents)
        return Response(201, {"registered_limits": [show_registered(record, request.base) for record in made]})

    async def _show(self, request: Request) -> Response:
        record = await self._limits.show(request.ctx, request.params["limit_id"])
        return Response(200, {"registered_limit": show_registered(record, request.base)})

    async def _update(self, request: Request) -> Response:
        document = (await request.json())["registered_limit"]
        record = await self._limits.update(request.ctx, request.params["limit_id"], document)
        return Response(200, {"registered_limit": show_registered(record, request.base)})

    async def _delete(self, request: Request) -> Response:
        await self._limits.delete(request.ctx, request.params["limit_id"])
        return Response(204)


class LimitsApi:
    """Limits of projects and domains."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def routes(self) -> tuple[Route, ...]:
        path, one = "/limits", "/limits/{limit_id}"
        return (
            Route(method="GET", path="/limits/model", handler=self._model),
            Route(method="GET", path=path, handler=self._list),
            Route(method="POST", path=path, handler=self._create, body=CREATE),
            Route(method="GET", path=one, handler=self._show),
            Route(method="PATCH", path=one, handler=self._update, body=CHANGE),
            Route(method="DELETE", path=one, handler=self._delete),
        )

    async def _model(self, request: Request) -> Response:
        model = self._limits.model_for(request.ctx)
        return Response(200, {"model": {"name": model.name, "description": model.description}})

    async def _list(self, request: Request) -> Response:
        check_query(request, LIMITS_QUERY)
        filters = _chosen(self._limits.collection.filters, (*_FILTERS, "project_id", "domain_id"))
        ask = asked(request, filters)
        found = await self._limits.page(request.ctx, ask)
        shown = [show_limit(record, request.base) for record in found]
        return Response(200, page(request, "/limits", "limits", shown, ask.limit))

    async def _create(self, request: Request) -> Response:
        made = await self._limits.create_all(request.ctx, (await request.json())["limits"])
        return Response(201, {"limits": [show_limit(record, request.base) for record in made]})

    async def _show(self, request: Request) -> Response:
        record = await self._limits.show(request.ctx, request.params["limit_id"])
        return Response(200, {"limit": show_limit(record, request.base)})

    async def _update(self, request: Request) -> Response:
        document = (await request.json())["limit"]
        record = await self._limits.update(request.ctx, request.params["limit_id"], document)
        return Response(200, {"limit": show_limit(record, request.base)})

    async def _delete(self, request: Request) -> Response:
        await self._limits.delete(request.ctx, request.params["limit_id"])
        return Response(204)


def _chosen(filters: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The filters that clients may name."""
    return {name: filters[name] for name in names}


def routes(ground: Ground) -> tuple[Route, ...]:
    """Registered limits and limits."""
    return (*RegisteredLimitsApi(RegisteredLimits(ground)).routes(), *LimitsApi(Limits(ground)).routes())
