"""`/registered_limits` and `/limits`."""

from __future__ import annotations

from typing import Any

from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.http.schemas import Schema, objects, wrapped
from kilostack.identity.api.collections import CollectionApi
from kilostack.identity.api.parts import ID, MAYBE_ID, MAYBE_REGION, NAME, Shown, links
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.limits import Limits, RegisteredLimits
from kilostack.identity.model.limits import Limit, RegisteredLimit
from kilostack.identity.store.limits import IN_DOMAIN

_UUID = {"type": "string", "pattern": "^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$"}
_NUMBER = {"type": "integer", "minimum": -1, "maximum": 0x7FFFFFFF}
_DESCRIPTION = {"type": ["string", "null"], "maxLength": 255}
_ABOUT = {"service_id": _UUID, "region_id": MAYBE_REGION, "resource_name": NAME}


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


class RegisteredLimitsApi(CollectionApi[RegisteredLimit]):
    """Limits for whoever has none of their own; made several at once."""

    def __init__(self, limits: RegisteredLimits) -> None:
        super().__init__(limits, (REGISTER, CHANGE_REGISTERED), show_registered, REGISTERED_QUERY)
        self._limits = limits

    async def _create(self, request: Request) -> Response:
        documents = (await request.json())["registered_limits"]
        made = await self._limits.create_all(request.ctx, documents)
        return Response(201, {"registered_limits": [show_registered(record, request.base) for record in made]})


class LimitsApi(CollectionApi[Limit]):
    """Limits of projects and domains; made several at once."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits, (CREATE, CHANGE), show_limit, LIMITS_QUERY)
        self._limits = limits
        # without what only identity itself asks for
        self._filters = {name: column for name, column in limits.collection.filters.items() if name != IN_DOMAIN}

    def routes(self) -> tuple[Route, ...]:
        # before the others: "model" is no id
        return (Route(method="GET", path="/limits/model", handler=self._model), *super().routes())

    async def _model(self, request: Request) -> Response:
        model = self._limits.model_for(request.ctx)
        return Response(200, {"model": {"name": model.name, "description": model.description}})

    async def _create(self, request: Request) -> Response:
        made = await self._limits.create_all(request.ctx, (await request.json())["limits"])
        return Response(201, {"limits": [show_limit(record, request.base) for record in made]})


def routes(ground: Ground) -> tuple[Route, ...]:
    """Registered limits and limits."""
    return (*RegisteredLimitsApi(RegisteredLimits(ground)).routes(), *LimitsApi(Limits(ground)).routes())
