"""Groups and their members over HTTP."""

from __future__ import annotations

from kilostack.http.messages import Request, Response
from kilostack.http.routes import Route
from kilostack.identity.api.collections import CollectionApi, page
from kilostack.identity.api.parts import ID, MAYBE_TEXT, NAME, Shown, links, pair, show_end
from kilostack.identity.api.queries import asked
from kilostack.identity.api.users import QUERY, show_user
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.groups import Groups, Members
from kilostack.identity.app.users import Users
from kilostack.identity.model.groups import Group, Member
from kilostack.identity.store.users import FILTERS

GROUP = pair("group", {"name": NAME | {"maxLength": 64}, "domain_id": ID, "description": MAYBE_TEXT}, ["name"])


def show_group(record: Group, base: str) -> Shown:
    return {
        **record.extra,
        "id": record.id,
        "name": record.name,
        "domain_id": record.domain_id,
        "description": record.description,
        "links": links(base, "groups", record.id),
    }


class MembersApi:
    """Who is in which group, asked from both sides."""

    def __init__(self, members: Members) -> None:
        self._members = members

    def routes(self) -> tuple[Route, ...]:
        one = "/groups/{record_id}/users/{user_id}"
        return (
            Route(method="GET", path="/groups/{record_id}/users", handler=self._users),
            Route(method="GET", path="/users/{record_id}/groups", handler=self._groups),
            Route(method="GET", path=one, handler=self._check),
            Route(method="PUT", path=one, handler=self._add),
            Route(method="DELETE", path=one, handler=self._remove),
        )

    async def _users(self, request: Request) -> Response:
        group_id, ask = request.params["record_id"], asked(request, FILTERS)
        found = await self._members.users_in(request.ctx, group_id, ask)
        shown = [show_user(record, request.base) for record in found]
        return Response(200, page(request, f"/groups/{group_id}/users", "users", shown, ask.limit))

    async def _groups(self, request: Request) -> Response:
        user_id, ask = request.params["record_id"], asked(request, {"name": "name"})
        found = await self._members.groups_of(request.ctx, user_id, ask)
        shown = [show_group(record, request.base) | {"membership_expires_at": show_end(end)} for record, end in found]
        return Response(200, page(request, f"/users/{user_id}/groups", "groups", shown, ask.limit))

    async def _check(self, request: Request) -> Response:
        await self._members.show(request.ctx, _member(request))
        return Response(204)

    async def _add(self, request: Request) -> Response:
        await self._members.add(request.ctx, _member(request))
        return Response(204)

    async def _remove(self, request: Request) -> Response:
        await self._members.remove(request.ctx, _member(request))
        return Response(204)


def _member(request: Request) -> Member:
    return Member(group_id=request.params["record_id"], user_id=request.params["user_id"])


def routes(ground: Ground) -> tuple[Route, ...]:
    """Groups and their members."""
    groups = Groups(ground)
    return (
        *CollectionApi(groups, GROUP, show_group, QUERY).routes(),
        *MembersApi(Members(ground, groups, Users(ground))).routes(),
    )
