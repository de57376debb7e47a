"""Roles, and which brings which other along, over HTTP."""

from __future__ import annotations

from typing import Any

from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.identity.api.collections import CollectionApi
from kilostack.identity.api.parts import IMMUTABLE_OPTIONS, MAYBE_ID, MAYBE_TEXT, NAME, Shown, links, pair, show_options
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.roles import ImpliedRoles, Inference, Roles
from kilostack.identity.model.roles import Role

ROLE = pair(
    "role",
    {
        "name": NAME,
        "description": MAYBE_TEXT,
        "domain_id": MAYBE_ID,
        "options": IMMUTABLE_OPTIONS,
    },
    ["name"],
)


def show_role(record: Role, base: str) -> Shown:
    return {
        **record.extra,
        "id": record.id,
        "name": record.name,
        "domain_id": record.domain_id or None,
        "description": record.description,
        "options": show_options(record.immutable),
        "links": links(base, "roles", record.id),
    }


def _show_part(record: Role, base: str) -> Shown:
    return {"id": record.id, "name": record.name, "links": links(base, "roles", record.id)}


def _show_inference(found: Inference, base: str) -> Shown:
    implied = [_show_part(role, base) for role in found.implied]
    return {"prior_role": _show_part(found.prior, base), "implies": implied}


class ImpliedRolesApi:
    """Which role brings which other along."""

    def __init__(self, implied: ImpliedRoles) -> None:
        self._implied = implied

    def routes(self) -> tuple[Route, ...]:
        path = "/roles/{record_id}/implies"
        one = path + "/{implied_id}"
        return (
            Route(method="GET", path="/role_inferences", handler=self._every),
            Route(method="GET", path=path, handler=self._of),
            Route(method="PUT", path=one, handler=self._create),
            Route(method="GET", path=one, handler=self._show),
            Route(method="HEAD", path=one, handler=self._check),
            Route(method="DELETE", path=one, handler=self._delete),
        )

    async def _every(self, request: Request) -> Response:
        shown = [_show_inference(found, request.base) for found in await self._implied.every(request.ctx)]
        return Response(200, {"role_inferences": shown, "links": _to(request, "/role_inferences")})

    async def _of(self, request: Request) -> Response:
        prior_id = request.params["record_id"]
        shown = _show_inference(await self._implied.of(request.ctx, prior_id), request.base)
        return Response(200, {"role_inference": shown, "links": _to(request, f"/roles/{prior_id}/implies")})

    async def _create(self, request: Request) -> Response:
        return Response(201, self._one(request, await self._implied.create(request.ctx, *_pair(request))))

    async def _show(self, request: Request) -> Response:
        return Response(200, self._one(request, await self._implied.show(request.ctx, *_pair(request))))

    async def _check(self, request: Request) -> Response:
        await self._implied.show(request.ctx, *_pair(request), "check")
        return Response(204)

    async def _delete(self, request: Request) -> Response:
        await self._implied.delete(request.ctx, *_pair(request))
        return Response(204)

    def _one(self, request: Request, found: Inference) -> dict[str, Any]:
        shown = _show_inference(found, request.base)
        prior_id, implied_id = _pair(request)
        return {
            "role_inference": shown | {"implies": shown["implies"][0]},
            "links": _to(request, f"/roles/{prior_id}/implies/{implied_id}"),
        }


def _pair(request: Request) -> tuple[str, str]:
    return request.params["record_id"], request.params["implied_id"]


def _to(request: Request, path: str) -> Shown:
    return {"self": request.link(path)}


def routes(ground: Ground) -> tuple[Route, ...]:
    """Roles, and what they imply."""
    return (
        *CollectionApi(Roles(ground), ROLE, show_role).routes(),
        *ImpliedRolesApi(ImpliedRoles(ground)).routes(),
    )
