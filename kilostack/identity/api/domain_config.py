"""The configuration of domains over HTTP."""

from __future__ import annotations

from typing import Any

from kilostack.core.errors import BadRequest
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.identity.app.domain_config import DomainConfigs
from kilostack.identity.app.ground import Ground
from kilostack.identity.model.domain_config import Part


class DomainConfigApi:
    """Whole configurations, groups and single options, and what they are by default."""

    def __init__(self, configs: DomainConfigs) -> None:
        self._configs = configs

    def routes(self) -> tuple[Route, ...]:
        whole = "/domains/{record_id}/config"
        parts = (whole, whole + "/{group}", whole + "/{group}/{option}")
        return (
            # before the others: "config" is no id of a domain
            *(
                Route(method="GET", path=f"/domains/config{below}/default", handler=self._defaults)
                for below in ("", "/{group}", "/{group}/{option}")
            ),
            Route(method="PUT", path=whole, handler=self._replace),
            *(Route(method="GET", path=path, handler=self._show) for path in parts),
            *(Route(method="PATCH", path=path, handler=self._update) for path in parts),
            *(Route(method="DELETE", path=path, handler=self._remove) for path in parts),
        )

    async def _defaults(self, request: Request) -> Response:
        return Response(200, {"config": self._configs.defaults(request.ctx, _part(request))})

    async def _show(self, request: Request) -> Response:
        found = await self._configs.show(request.ctx, request.params["record_id"], _part(request))
        return Response(200, {"config": found})

    async def _replace(self, request: Request) -> Response:
        config = await _config(request)
        shown, is_new = await self._configs.replace(request.ctx, request.params["record_id"], config)
        return Response(201 if is_new else 200, {"config": shown})

    async def _update(self, request: Request) -> Response:
        config = await _config(request)
        shown = await self._configs.update(request.ctx, request.params["record_id"], config, _part(request))
        return Response(200, {"config": shown})

    async def _remove(self, request: Request) -> Response:
        await self._configs.remove(request.ctx, request.params["record_id"], _part(request))
        return Response(204)


def _part(request: Request) -> Part:
    return Part(request.params.get("group", ""), request.params.get("option", ""))


async def _config(request: Request) -> dict[str, Any]:
    """The configuration in a body; one that is missing or empty is for the use case to refuse."""
    document = await request.json()
    if not isinstance(document, dict):
        raise BadRequest("The request body must be an object.")
    config = document.get("config") or {}
    if not isinstance(config, dict):
        raise BadRequest("Invalid input for field/attribute config. It must be an object.", field="config")
    return config


def routes(ground: Ground) -> tuple[Route, ...]:
    """Configurations of domains."""
    return DomainConfigApi(DomainConfigs(ground)).routes()
