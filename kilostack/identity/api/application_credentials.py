"""Application credentials and the access rules of users over HTTP."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from kilostack.core.errors import BadRequest
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.http.schemas import objects, wrapped
from kilostack.identity.api.collections import page
from kilostack.identity.api.parts import (
    ID,
    MAYBE_TEXT,
    NAME,
    NAMED_ROLES,
    Shown,
    links,
    named_roles,
    show_access_rule,
    show_end,
    show_options,
)
from kilostack.identity.api.queries import asked
from kilostack.identity.app.access_rules import AccessRules, WantedRule
from kilostack.identity.app.application_credentials import ApplicationCredentials, Full
from kilostack.identity.app.application_credentials import Wanted as WantedCredential
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.tokens import Tokens
from kilostack.identity.model.access_rules import UserRule
from kilostack.identity.model.roles import Role
from kilostack.identity.model.times import micros_of
from kilostack.identity.store.access_rules import ACCESS_RULE_LIST
from kilostack.identity.store.application_credentials import APPLICATION_CREDENTIAL_LIST

_METHODS = ["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"]
#: without what only identity itself asks for
_FILTERS = {name: column for name, column in APPLICATION_CREDENTIAL_LIST.filters.items() if name != "user_id"}
_RULE_FILTERS = {name: column for name, column in ACCESS_RULE_LIST.filters.items() if name != "user_id"}

_RULE = objects(
    {
        "id": ID,
        "service": ID,
        "path": {"type": "string", "maxLength": 225, "pattern": "^/"},
        "method": {"type": "string", "enum": _METHODS},
    },
    extra=True,
)
APPLICATION_CREDENTIAL = wrapped(
    "application_credential",
    objects(
        {
            "id": {"type": "string"},
            "name": NAME,
            "description": MAYBE_TEXT,
            "secret": {"type": ["string", "null"], "maxLength": 4096},
            "expires_at": {"type": ["string", "null"]},
            "unrestricted": {"type": ["boolean", "null"]},
            "project_id": {"type": "string"},
            "system": {"type": ["string", "null"]},
            "roles": NAMED_ROLES,
            "access_rules": {"type": "array", "items": _RULE},
        },
        ["name"],
    ),
)


def show_application_credential(full: Full, base: str) -> Shown:
    record = full.credential
    shown: Shown = {
        "id": record.id,
        "name": record.name,
        "description": record.description,
        "project_id": record.project_id,
        "user_id": record.user_id,
        "system": None,
        "roles": [_show_role(role) for role in full.roles],
        "expires_at": show_end(record.expires_at),
        "unrestricted": record.unrestricted,
        "links": links(base, f"users/{record.user_id}/application_credentials", record.id),
    }
    if full.access_rules is not None:
        shown["access_rules"] = [show_access_rule(rule) for rule in full.access_rules]
    return shown


def _show_role(role: Role) -> Shown:
    return {
        "id": role.id,
        "name": role.name,
        "domain_id": role.domain_id or None,
        "description": role.description,
        "options": show_options(role.immutable),
    }


def _show_rule(rule: UserRule, base: str) -> Shown:
    # the link is where upstream says that it is, although nothing answers there
    return show_access_rule(rule) | {"links": links(base, "access_rules", rule.id)}


class ApplicationCredentialsApi:
    """Application credentials."""

    def __init__(self, ground: Ground, tokens: Tokens) -> None:
        self._ground, self._credentials, self._tokens = ground, ApplicationCredentials(ground), tokens

    def routes(self) -> tuple[Route, ...]:
        path = "/users/{record_id}/application_credentials"
        one = path + "/{credential_id}"
        return (
            Route(method="GET", path=path, handler=self._list),
            Route(method="POST", path=path, handler=self._create, body=APPLICATION_CREDENTIAL),
            Route(method="GET", path=one, handler=self._show),
            Route(method="DELETE", path=one, handler=self._delete),
        )

    async def _list(self, request: Request) -> Response:
        user_id, ask = request.params["record_id"], asked(request, _FILTERS)
        claims = await self._tokens.caller(request.token)
        found = await self._credentials.page(request.ctx, claims, user_id, ask)
        shown = [show_application_credential(full, request.base) for full in found]
        path = f"/users/{user_id}/application_credentials"
        return Response(200, page(request, path, "application_credentials", shown, ask.limit))

    async def _create(self, request: Request) -> Response:
        given = (await request.json())["application_credential"]
        claims = await self._tokens.caller(request.token)
        wanted = WantedCredential(
            name=given["name"],
            description=given.get("description"),
            roles=named_roles(given.get("roles", ())),
            secret=given.get("secret"),
            unrestricted=given.get("unrestricted"),
            expires_at=_time(given.get("expires_at")),
            access_rules=tuple(self._rule(rule) for rule in given.get("access_rules", ())),
        )
        full, secret = await self._credentials.create(request.ctx, claims, request.params["record_id"], wanted)
        shown = show_application_credential(full, request.base) | {"secret": secret}
        return Response(201, {"application_credential": shown})

    def _rule(self, given: dict[str, Any]) -> WantedRule:
        parts = {name: given[name] for name in ("id", "service", "path", "method") if name in given}
        return WantedRule(new_id=self._ground.new_id(), **parts)

    async def _show(self, request: Request) -> Response:
        claims = await self._tokens.caller(request.token)
        user_id, credential_id = request.params["record_id"], request.params["credential_id"]
        full = await self._credentials.show(request.ctx, claims, user_id, credential_id)
        return Response(200, {"application_credential": show_application_credential(full, request.base)})

    async def _delete(self, request: Request) -> Response:
        claims = await self._tokens.caller(request.token)
        user_id, credential_id = request.params["record_id"], request.params["credential_id"]
        await self._credentials.delete(request.ctx, claims, user_id, credential_id)
        return Response(204)


class AccessRulesApi:
    """What application credentials of a user are for."""

    def __init__(self, ground: Ground, tokens: Tokens) -> None:
        self._rules, self._tokens = AccessRules(ground), tokens

    def routes(self) -> tuple[Route, ...]:
        path = "/users/{record_id}/access_rules"
        one = path + "/{rule_id}"
        return (
            Route(method="GET", path=path, handler=self._list),
            Route(method="GET", path=one, handler=self._show),
            Route(method="DELETE", path=one, handler=self._delete),
        )

    async def _list(self, request: Request) -> Response:
        user_id, ask = request.params["record_id"], asked(request, _RULE_FILTERS)
        found = await self._rules.page(request.ctx, await self._tokens.caller(request.token), user_id, ask)
        shown = [_show_rule(rule, request.base) for rule in found]
        return Response(200, page(request, f"/users/{user_id}/access_rules", "access_rules", shown, ask.limit))

    async def _show(self, request: Request) -> Response:
        claims = await self._tokens.caller(request.token)
        found = await self._rules.show(request.ctx, claims, request.params["record_id"], request.params["rule_id"])
        return Response(200, {"access_rule": _show_rule(found, request.base)})

    async def _delete(self, request: Request) -> Response:
        claims = await self._tokens.caller(request.token)
        await self._rules.delete(request.ctx, claims, request.params["record_id"], request.params["rule_id"])
        return Response(204)


def _time(text: str | None) -> int | None:
    """Microseconds of a time such as 2030-01-01T00:00:00.000000Z; it is UTC, and may leave the zone out."""
    if not text:
        return None
    try:
        bare = text.removesuffix("Z")
        if datetime.fromisoformat(bare).tzinfo is not None or "T" not in text:
            raise ValueError
        return micros_of(bare)
    except ValueError:
        raise BadRequest(
            f"Timestamp not in expected format: {text[:64]!r} is not a time such as 2030-01-01T00:00:00.000000Z.",
            field="expires_at",
        ) from None


def routes(ground: Ground, tokens: Tokens) -> tuple[Route, ...]:
    """Application credentials and access rules of users."""
    return (*ApplicationCredentialsApi(ground, tokens).routes(), *AccessRulesApi(ground, tokens).routes())
