"""Users over HTTP."""

from __future__ import annotations

from kilostack.core.secret import Secret
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.http.schemas import objects, wrapped
from kilostack.identity.api.collections import CollectionApi, page
from kilostack.identity.api.parts import (
    BOOLEAN,
    MAYBE_ID,
    MAYBE_TEXT,
    NAME,
    NO_OPTIONS,
    PASSWORD_TEXT,
    Shown,
    links,
    pair,
)
from kilostack.identity.api.projects import show_project
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.users import Users
from kilostack.identity.model.users import User

USER = pair(
    "user",
    {
        "name": NAME,
        "domain_id": MAYBE_ID,
        "default_project_id": MAYBE_ID,
        "description": MAYBE_TEXT,
        "enabled": BOOLEAN,
        "password": PASSWORD_TEXT,
        "options": NO_OPTIONS,
    },
    ["name"],
)


PASSWORD = wrapped(
    "user",
    objects(
        {"password": {"type": "string", "minLength": 1, "maxLength": 4096}, "original_password": {"type": "string"}},
        ["password", "original_password"],
    ),
)


def show_user(record: User, base: str) -> Shown:
    shown = {
        **record.extra,
        "id": record.id,
        "name": record.name,
        "domain_id": record.domain_id,
        "enabled": record.enabled,
        "password_expires_at": None,
        "options": {},
        "links": links(base, "users", record.id),
    }
    if record.default_project_id is not None:
        shown["default_project_id"] = record.default_project_id
    return shown


class PeopleApi:
    """Passwords and projects of users."""

    def __init__(self, users: Users) -> None:
        self._users = users

    def routes(self) -> tuple[Route, ...]:
        path = "/users/{record_id}"
        return (
            # whoever knows the old password needs no token: it may be the reason why they have none
            Route(method="POST", path=path + "/password", handler=self._password, body=PASSWORD, public=True),
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
        shown = [show_project(record, request.base) for record in found]
        return Response(200, page(request, f"/users/{user_id}/projects", "projects", shown))


def routes(ground: Ground) -> tuple[Route, ...]:
    """Users, their passwords and their projects."""
    users = Users(ground)
    return (*CollectionApi(users, USER, show_user).routes(), *PeopleApi(users).routes())
