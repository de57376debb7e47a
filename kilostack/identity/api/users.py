"""Users over HTTP."""

from __future__ import annotations

from typing import Any

from kilostack.core.secret import Secret
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.http.schemas import Schema, objects, wrapped
from kilostack.identity.api.collections import CollectionApi, page
from kilostack.identity.api.parts import BOOLEAN, ID, MAYBE_TEXT, NAME, PASSWORD_TEXT, Shown, links, pair, show_end
from kilostack.identity.api.projects import show_project
from kilostack.identity.app.federated_identities import FILTERS as FEDERATED
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.own_password import OwnPassword
from kilostack.identity.app.users import Users
from kilostack.identity.model.federation import FederatedUser
from kilostack.identity.model.users import MULTI_FACTOR_RULES, SWITCHES, User
from kilostack.identity.store.users import FILTERS

_TEXT_64 = {"type": "string", "minLength": 1, "maxLength": 64}
_METHODS = {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True}
OPTIONS = objects(
    {
        **{name: {"type": ["boolean", "null"]} for name in SWITCHES},
        MULTI_FACTOR_RULES: {"type": ["array", "null"], "items": _METHODS, "uniqueItems": True, "maxItems": 100},
    }
)
_PROTOCOL = objects(
    {"protocol_id": _TEXT_64, "unique_id": {"type": "string", "minLength": 1, "maxLength": 255}},
    ["protocol_id", "unique_id"],
    extra=True,
)
_PROVIDER = objects(
    {"idp_id": _TEXT_64, "protocols": {"type": "array", "items": _PROTOCOL, "minItems": 1}},
    ["idp_id", "protocols"],
    extra=True,
)

USER = pair(
    "user",
    {
        "name": NAME,
        "domain_id": ID,
        "default_project_id": {"type": ["string", "null"], "maxLength": 64},
        "description": MAYBE_TEXT,
        "enabled": BOOLEAN,
        "password": PASSWORD_TEXT,
        "options": OPTIONS,
        "federated": {"type": "array", "items": _PROVIDER, "maxItems": 100},
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

#: what lists of users and groups want of their parameters; others are ignored
QUERY = Schema(objects({"name": NAME, "domain_id": ID, "sort_dir": {"enum": ["asc", "desc"]}}, extra=True))


def show_user(record: User, base: str) -> Shown:
    shown = {
        **record.extra,
        "id": record.id,
        "name": record.name,
        "domain_id": record.domain_id,
        "enabled": record.enabled,
        "password_expires_at": show_end(record.password_expires_at),
        "options": record.options,
        "links": links(base, "users", record.id),
    }
    if record.default_project_id is not None:
        shown["default_project_id"] = record.default_project_id
    return shown


def show_identities(identities: list[FederatedUser]) -> list[Shown]:
    """Who a user is elsewhere, by provider."""
    by_provider: dict[str, list[Shown]] = {}
    for one in identities:
        protocol = {"protocol_id": one.protocol_id, "unique_id": one.unique_id}
        by_provider.setdefault(one.provider_id, []).append(protocol)
    return [{"idp_id": provider_id, "protocols": protocols} for provider_id, protocols in by_provider.items()]


class UsersApi(CollectionApi[User]):
    """Users, their passwords and their projects."""

    def __init__(self, ground: Ground) -> None:
        self._users, self._own_password = Users(ground), OwnPassword(ground)
        super().__init__(self._users, USER, show_user, QUERY)
        self._filters = {**FILTERS, **FEDERATED}

    def routes(self) -> tuple[Route, ...]:
        one = "/users/{record_id}"
        return (
            *super().routes(),
            # whoever knows the old password needs no token: it may be the reason why they have none
            Route(method="POST", path=one + "/password", handler=self._password, body=PASSWORD, public=True),
            Route(method="GET", path=one + "/projects", handler=self._projects),
        )

    async def shown(self, record: User, request: Request) -> Shown:
        shown = show_user(record, request.base)
        if identities := await self._users.identities(record.id):
            shown["federated"] = show_identities(identities)
        return shown

    async def _update(self, request: Request) -> Response:
        document = await self.document(request)
        record = await self._users.update(request.ctx, request.params["record_id"], document)
        # upstream shows what was made up a second time, of users and projects
        return Response(200, {"user": await self.shown(record, request) | {"extra": record.extra}})

    async def _password(self, request: Request) -> Response:
        given: dict[str, Any] = (await request.json())["user"]
        old, new = Secret(given["original_password"]), Secret(given["password"])
        await self._own_password.change(request.params["record_id"], old, new, request.address)
        return Response(204)

    async def _projects(self, request: Request) -> Response:
        user_id = request.params["record_id"]
        found = await self._users.projects_of(request.ctx, user_id)
        shown = [show_project(record, request.base) for record in found]
        return Response(200, page(request, f"/users/{user_id}/projects", "projects", shown))


def routes(ground: Ground) -> tuple[Route, ...]:
    """Users, their passwords and their projects."""
    return UsersApi(ground).routes()
