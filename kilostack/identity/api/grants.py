"""Roles of users on projects, domains and the system, and the list of all of them."""

from __future__ import annotations

from typing import Any

from kilostack.core.errors import BadRequest
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.identity.api.collections import page
from kilostack.identity.api.parts import Shown
from kilostack.identity.api.roles import show_role
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.roles import Grants, Names, Wanted
from kilostack.identity.model.roles import SYSTEM, Assignment, Effective, ScopeKind


def show_assignment(each: Effective, names: Names | None, base: str) -> Shown:
    """One role assignment; with names when they are given."""
    made, kind = each.assignment, each.assignment.scope_kind
    where = "system" if kind == "system" else f"{kind}s/{made.scope_id}"
    links = {"assignment": f"{base}/{where}/users/{made.user_id}/roles/{made.role_id}"}
    if each.prior_id is not None:
        links["prior_role"] = f"{base}/roles/{each.prior_id}/implies/{each.role_id}"
    shown: Shown = {"links": links, "role": {"id": each.role_id}, "user": {"id": made.user_id}}
    shown["scope"] = {"system": {"all": True}} if kind == "system" else {kind: {"id": made.scope_id}}
    if names is not None:
        _name(shown, each, names)
    return shown


def _name(shown: Shown, each: Effective, names: Names) -> None:
    made = each.assignment
    if (one := names.roles.get(each.role_id)) is not None:
        shown["role"]["name"] = one.name
    if (who := names.users.get(made.user_id)) is not None:
        shown["user"] |= {"name": who.name, "domain": _domain_name(who.domain_id, names)}
    if made.scope_kind == "project" and (where := names.projects.get(made.scope_id)) is not None:
        shown["scope"]["project"] |= {"name": where.name, "domain": _domain_name(where.domain_id, names)}
    if made.scope_kind == "domain":
        shown["scope"]["domain"] = _domain_name(made.scope_id, names)


def _domain_name(domain_id: str, names: Names) -> Shown:
    found = names.domains.get(domain_id)
    return {"id": domain_id} | ({} if found is None else {"name": found.name})


_SCOPES: tuple[tuple[str, ScopeKind], ...] = (
    ("/projects/{record_id}", "project"),
    ("/domains/{record_id}", "domain"),
    ("/system", "system"),
)


class GrantsApi:
    """Roles of users on projects, domains and the system, and the list of all of them."""

    def __init__(self, grants: Grants) -> None:
        self._grants = grants

    def routes(self) -> tuple[Route, ...]:
        found = [Route(method="GET", path="/role_assignments", handler=self._assignments)]
        for prefix, kind in _SCOPES:
            path = prefix + "/users/{user_id}/roles"
            one = _Grant(self._grants, kind)
            found += [
                Route(method="GET", path=path, handler=one.roles),
                Route(method="PUT", path=path + "/{role_id}", handler=one.give),
                Route(method="GET", path=path + "/{role_id}", handler=one.show),
                Route(method="DELETE", path=path + "/{role_id}", handler=one.take),
            ]
        return tuple(found)

    async def _assignments(self, request: Request) -> Response:
        query = request.query
        found, names = await self._grants.page(request.ctx, _wanted(request))
        # groups and inheritance have no assignments here
        if query.first("group.id") is not None or query.first("scope.OS-INHERIT:inherited_to") is not None:
            found = []
        named = names if _flag(request, "include_names") else None
        shown = [show_assignment(each, named, request.base) for each in found]
        return Response(200, page(request, "/role_assignments", "role_assignments", shown))


def _flag(request: Request, name: str) -> bool:
    value = request.query.first(name)
    return value is not None and value.lower() not in ("0", "false", "no", "off")


def _wanted(request: Request) -> Wanted:
    query = request.query
    scopes: list[tuple[ScopeKind, str]] = []
    if (project_id := query.first("scope.project.id")) is not None:
        scopes.append(("project", project_id))
    if (domain_id := query.first("scope.domain.id")) is not None:
        scopes.append(("domain", domain_id))
    if query.first("scope.system") is not None:
        scopes.append(("system", SYSTEM))
    if len(scopes) > 1:
        raise BadRequest("Specify only one of scope.project.id, scope.domain.id and scope.system.")
    kind, scope_id = scopes[0] if scopes else (None, None)
    return Wanted(
        user_id=query.first("user.id"),
        role_id=query.first("role.id"),
        scope_kind=kind,
        scope_id=scope_id,
        effective=_flag(request, "effective"),
    )


class _Grant:
    """Handlers for one kind of scope."""

    def __init__(self, grants: Grants, kind: ScopeKind) -> None:
        self._grants, self._kind = grants, kind

    def _asked(self, request: Request) -> Assignment:
        params = request.params
        return Assignment(
            user_id=params["user_id"],
            scope_kind=self._kind,
            scope_id=params.get("record_id", SYSTEM),
            role_id=params.get("role_id", ""),
        )

    async def give(self, request: Request) -> Response:
        await self._grants.give(request.ctx, self._asked(request))
        return Response(204)

    async def take(self, request: Request) -> Response:
        await self._grants.take(request.ctx, self._asked(request))
        return Response(204)

    async def show(self, request: Request) -> Response:
        await self._grants.show(request.ctx, self._asked(request))
        return Response(204)

    async def roles(self, request: Request) -> Response:
        asked = self._asked(request)
        found = await self._grants.roles_of(request.ctx, asked.user_id, asked.scope_kind, asked.scope_id)
        shown: list[Any] = [show_role(role, request.base) for role in found]
        path = request.path.removeprefix("/identity/v3")
        return Response(200, page(request, path, "roles", shown))


def routes(ground: Ground) -> tuple[Route, ...]:
    """Grants, and the list of all of them."""
    return GrantsApi(Grants(ground)).routes()
