"""Roles of users and groups on projects, domains and the system, over HTTP."""

from __future__ import annotations

from typing import Any

from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.identity.api import role_assignments
from kilostack.identity.api.collections import here, page
from kilostack.identity.api.roles import show_role
from kilostack.identity.app.grants import Grants
from kilostack.identity.app.ground import Ground
from kilostack.identity.model.assignments import SYSTEM, ActorKind, Assignment, ScopeKind

_ACTORS: tuple[ActorKind, ...] = ("user", "group")
_SCOPES: tuple[tuple[ScopeKind, str], ...] = (
    ("project", "/projects/{record_id}"),
    ("domain", "/domains/{record_id}"),
    ("system", "/system"),
)


class GrantsApi:
    """One kind of actor on one kind of scope, direct or inherited."""

    def __init__(self, grants: Grants, actor: ActorKind, scope: ScopeKind, *, inherited: bool) -> None:
        self._grants, self._actor, self._scope, self._inherited = grants, actor, scope, inherited

    def routes(self, prefix: str) -> tuple[Route, ...]:
        every = f"{prefix}/{self._actor}s/{{actor_id}}/roles"
        one = every + "/{role_id}"
        if self._inherited:
            every, one = f"/OS-INHERIT{every}/inherited_to_projects", f"/OS-INHERIT{one}/inherited_to_projects"
        found = [
            Route(method="PUT", path=one, handler=self._give),
            Route(method="GET", path=one, handler=self._show),
            Route(method="DELETE", path=one, handler=self._take),
        ]
        # Keystone lists what is inherited from a domain, and not what is inherited from a project
        if not self._inherited or self._scope == "domain":
            found.append(Route(method="GET", path=every, handler=self._roles))
        return tuple(found)

    def _asked(self, request: Request) -> Assignment:
        params = request.params
        return Assignment(
            actor_kind=self._actor,
            actor_id=params["actor_id"],
            scope_kind=self._scope,
            scope_id=params.get("record_id", SYSTEM),
            role_id=params.get("role_id", ""),
            inherited=self._inherited,
        )

    async def _give(self, request: Request) -> Response:
        await self._grants.give(request.ctx, self._asked(request))
        return Response(204)

    async def _take(self, request: Request) -> Response:
        await self._grants.take(request.ctx, self._asked(request))
        return Response(204)

    async def _show(self, request: Request) -> Response:
        await self._grants.show(request.ctx, self._asked(request))
        return Response(204)

    async def _roles(self, request: Request) -> Response:
        found = await self._grants.roles_of(request.ctx, self._asked(request))
        shown: list[Any] = [show_role(role, request.base) for role in found]
        return Response(200, page(request, here(request), "roles", shown))


def routes(ground: Ground) -> tuple[Route, ...]:
    """Grants of every form, and the list of all of them."""
    grants = Grants(ground)
    found = list(role_assignments.routes(ground))
    for actor in _ACTORS:
        for scope, prefix in _SCOPES:
            for inherited in (False, True) if scope != "system" else (False,):
                found += GrantsApi(grants, actor, scope, inherited=inherited).routes(prefix)
    return tuple(found)
