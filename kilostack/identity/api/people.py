"""What hangs on a user: password, projects, application credentials, and roles on scopes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from kilostack.core.errors import BadRequest
from kilostack.core.secret import Secret
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.identity.api import render, schemas
from kilostack.identity.api.collections import page
from kilostack.identity.app.credentials import Credentials
from kilostack.identity.app.credentials import Wanted as WantedCredential
from kilostack.identity.app.directory import Users
from kilostack.identity.app.roles import Grants, Wanted
from kilostack.identity.app.tokens import Tokens
from kilostack.identity.model.roles import SYSTEM, Assignment, ScopeKind

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SCOPES: tuple[tuple[str, ScopeKind], ...] = (
    ("/projects/{record_id}", "project"),
    ("/domains/{record_id}", "domain"),
    ("/system", "system"),
)


class PeopleApi:
    """Passwords and projects of users."""

    def __init__(self, users: Users) -> None:
        self._users = users

    def routes(self) -> tuple[Route, ...]:
        path = "/users/{record_id}"
        return (
            # whoever knows the old password needs no token: it may be the reason why they have none
            Route(method="POST", path=path + "/password", handler=self._password, body=schemas.PASSWORD, public=True),
            Route(method="GET", path=path + "/projects", handler=self._projects),
        )

    async def _password(self, request: Request) -> Response:
        given = (await request.json())["user"]
        old, new = Secret(given["original_password"]), Secret(given["password"])
        await self._users.change_own_password(request.params["record_id"], old, new, request.address)
        return Response(204)

    async def _projects(self, request: Request) -> Response:
        user_id = request.params["record_id"]
        found = await self._users.projects_of(request.ctx, user_id)
        shown = [render.project(record, request.base) for record in found]
        return Response(200, page(request, f"/users/{user_id}/projects", "projects", shown))


class CredentialsApi:
    """Application credentials."""

    def __init__(self, credentials: Credentials, tokens: Tokens) -> None:
        self._credentials, self._tokens = credentials, tokens

    def routes(self) -> tuple[Route, ...]:
        path = "/users/{record_id}/application_credentials"
        one = path + "/{credential_id}"
        return (
            Route(method="GET", path=path, handler=self._list),
            Route(method="POST", path=path, handler=self._create, body=schemas.APPLICATION_CREDENTIAL),
            Route(method="GET", path=one, handler=self._show),
            Route(method="DELETE", path=one, handler=self._delete),
        )

    async def _list(self, request: Request) -> Response:
        user_id = request.params["record_id"]
        found = await self._credentials.page(request.ctx, user_id, request.query.first("name"))
        shown = [render.credential(full, request.base) for full in found]
        path = f"/users/{user_id}/application_credentials"
        return Response(200, page(request, path, "application_credentials", shown))

    async def _create(self, request: Request) -> Response:
        given = (await request.json())["application_credential"]
        claims = await self._tokens.caller(request.token)
        if given.get("project_id", claims.project_id) != claims.project_id:
            raise BadRequest("Invalid application credential: project_id is not that of the token", field="project_id")
        wanted = WantedCredential(
            name=given["name"],
            description=given.get("description"),
            roles=tuple((str(role.get("id", "")), str(role.get("name", ""))) for role in given.get("roles", ())),
            secret=given.get("secret"),
            unrestricted=bool(given.get("unrestricted")),
            expires_at=_time(given.get("expires_at")),
        )
        full, secret = await self._credentials.create(request.ctx, claims, request.params["record_id"], wanted)
        shown = render.credential(full, request.base) | {"secret": secret}
        return Response(201, {"application_credential": shown})

    async def _show(self, request: Request) -> Response:
        full = await self._credentials.show(request.ctx, request.params["record_id"], request.params["credential_id"])
        return Response(200, {"application_credential": render.credential(full, request.base)})

    async def _delete(self, request: Request) -> Response:
        claims = await self._tokens.caller(request.token)
        user_id, credential_id = request.params["record_id"], request.params["credential_id"]
        await self._credentials.delete(request.ctx, claims, user_id, credential_id)
        return Response(204)


def _time(text: str | None) -> int | None:
    """Microseconds of a time such as 2030-01-01T00:00:00.000000Z; without a zone it is UTC."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError):
        raise BadRequest(
            f"Invalid input for field/attribute expires_at. Value: {text[:64]!r}. It must be a time such as "
            "2030-01-01T00:00:00.000000Z.",
            field="expires_at",
        ) from None


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
        shown = [render.assignment(each, named, request.base) for each in found]
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
        shown: list[Any] = [render.role(role, request.base) for role in found]
        path = request.path.removeprefix("/identity/v3")
        return Response(200, page(request, path, "roles", shown))
