"""Trusts over HTTP."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from kilostack.core.errors import BadRequest
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.http.schemas import objects, wrapped
from kilostack.identity.api.collections import page
from kilostack.identity.api.parts import NAMED_ROLES, Shown, links, named_roles, show_time
from kilostack.identity.api.queries import asked
from kilostack.identity.api.roles import show_role
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.tokens import Tokens
from kilostack.identity.app.trusts import Full, Trusts, Wanted
from kilostack.identity.model.trusts import Trust
from kilostack.identity.store.trusts import TRUST_LIST

#: more is no use, and would not fit the column
_MOST_USES = 2**53
_MAYBE_TEXT = {"type": ["string", "null"], "maxLength": 64}

TRUST = wrapped(
    "trust",
    objects(
        {
            "trustor_user_id": {"type": "string", "maxLength": 255},
            "trustee_user_id": {"type": "string", "maxLength": 255},
            "impersonation": {"type": "boolean"},
            "project_id": _MAYBE_TEXT,
            "remaining_uses": {"type": ["integer", "null"], "minimum": 1, "maximum": _MOST_USES},
            "expires_at": _MAYBE_TEXT,
            "allow_redelegation": {"type": ["boolean", "null"]},
            "redelegation_count": {"type": ["integer", "null"], "minimum": 0},
            "redelegated_trust_id": _MAYBE_TEXT,
            "roles": NAMED_ROLES,
        },
        ["trustor_user_id", "trustee_user_id", "impersonation"],
        extra=True,
    ),
)
_KNOWN = frozenset(
    {
        *("trustor_user_id", "trustee_user_id", "impersonation", "project_id", "remaining_uses", "expires_at"),
        *("allow_redelegation", "redelegation_count", "redelegated_trust_id", "roles"),
        # ours alone to say
        *("id", "deleted_at", "links", "roles_links"),
    }
)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z?", re.ASCII)


def show_trust(trust: Trust, base: str) -> Shown:
    """As in lists: without its roles."""
    return {
        **trust.extra,
        "id": trust.id,
        "trustor_user_id": trust.trustor_user_id,
        "trustee_user_id": trust.trustee_user_id,
        "project_id": trust.project_id,
        "impersonation": trust.impersonation,
        "expires_at": None if trust.expires_at is None else show_time(trust.expires_at),
        "remaining_uses": trust.remaining_uses,
        # a deleted one is gone
        "deleted_at": None,
        "redelegated_trust_id": trust.redelegated_trust_id,
        "redelegation_count": trust.redelegation_count,
        "links": links(base, "OS-TRUST/trusts", trust.id),
    }


def _show_full(full: Full, base: str) -> Shown:
    return show_trust(full.trust, base) | _show_roles(full, base)


def _show_roles(full: Full, base: str) -> Shown:
    links_of_roles = {"self": f"{base}/OS-TRUST/trusts/{full.trust.id}/roles", "next": None, "previous": None}
    return {"roles": [show_role(role, base) for role in full.roles], "roles_links": links_of_roles}


class TrustsApi:
    """Trusts, and the roles that they give."""

    def __init__(self, trusts: Trusts, tokens: Tokens) -> None:
        self._trusts, self._tokens = trusts, tokens

    def routes(self) -> tuple[Route, ...]:
        path = "/OS-TRUST/trusts"
        one = path + "/{trust_id}"
        return (
            Route(method="GET", path=path, handler=self._list),
            Route(method="POST", path=path, handler=self._create, body=TRUST),
            Route(method="GET", path=one, handler=self._show),
            Route(method="DELETE", path=one, handler=self._delete),
            Route(method="GET", path=one + "/roles", handler=self._roles),
            Route(method="GET", path=one + "/roles/{role_id}", handler=self._role),
        )

    async def _list(self, request: Request) -> Response:
        ask = asked(request, TRUST_LIST.filters)
        found = await self._trusts.page(request.ctx, await self._tokens.caller(request.token), ask)
        shown = [show_trust(trust, request.base) for trust in found]
        return Response(200, page(request, "/OS-TRUST/trusts", "trusts", shown, ask.limit))

    async def _create(self, request: Request) -> Response:
        given = (await request.json())["trust"]
        wanted = _wanted(given)
        full = await self._trusts.create(request.ctx, await self._tokens.caller(request.token), wanted)
        return Response(201, {"trust": _show_full(full, request.base)})

    async def _show(self, request: Request) -> Response:
        return Response(200, {"trust": _show_full(await self._full(request, "get_trust"), request.base)})

    async def _roles(self, request: Request) -> Response:
        shown = _show_roles(await self._full(request, "list_roles_for_trust"), request.base)
        return Response(200, {"roles": shown["roles"], "links": shown["roles_links"]})

    async def _full(self, request: Request, action: str) -> Full:
        claims = await self._tokens.caller(request.token)
        return await self._trusts.show(request.ctx, claims, request.params["trust_id"], action)

    async def _role(self, request: Request) -> Response:
        claims = await self._tokens.caller(request.token)
        role = await self._trusts.role(request.ctx, claims, request.params["trust_id"], request.params["role_id"])
        return Response(200, {"role": show_role(role, request.base)})

    async def _delete(self, request: Request) -> Response:
        await self._trusts.delete(request.ctx, await self._tokens.caller(request.token), request.params["trust_id"])
        return Response(204)


def _wanted(given: dict[str, Any]) -> Wanted:
    return Wanted(
        trustor_user_id=given["trustor_user_id"],
        trustee_user_id=given["trustee_user_id"],
        impersonation=given["impersonation"],
        project_id=given.get("project_id") or None,
        roles=named_roles(given.get("roles", ())),
        expires_at=_time(given.get("expires_at")),
        remaining_uses=given.get("remaining_uses"),
        allow_redelegation=bool(given.get("allow_redelegation")),
        redelegation_count=given.get("redelegation_count"),
        redelegated_trust_id=given.get("redelegated_trust_id"),
        extra={name: value for name, value in given.items() if name not in _KNOWN},
    )


def _time(text: str | None) -> int | None:
    """Microseconds of a time such as 2030-01-01T00:00:00.000000Z, in UTC and to the second, as these are shown."""
    if text is None:
        return None
    try:
        if not _TIME.fullmatch(text):
            raise ValueError(text)
        moment = datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        raise BadRequest("Timestamp not in expected format.", field="expires_at") from None
    return int(moment.timestamp()) * 1_000_000


def routes(ground: Ground, tokens: Tokens) -> tuple[Route, ...]:
    """Trusts."""
    return TrustsApi(Trusts(ground), tokens).routes()
