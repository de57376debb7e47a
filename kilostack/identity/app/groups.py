"""Groups, and who is in them. Whoever leaves one loses their tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import Duplicate, NotFound
from kilostack.core.token import user_subject
from kilostack.identity.app.documents import check_fixed, extra, made_up
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.removal import remove_groups
from kilostack.identity.app.resources import Resources
from kilostack.identity.app.users import Users, refined
from kilostack.identity.model.groups import Group, Member
from kilostack.identity.model.projects import DEFAULT_DOMAIN
from kilostack.identity.model.users import User
from kilostack.identity.store import tokens
from kilostack.identity.store.federation import visited_groups
from kilostack.identity.store.groups import GROUP_LIST, GROUPS, MEMBERS, SOME_GROUPS
from kilostack.identity.store.projects import DOMAINS
from kilostack.identity.store.users import MEMBER_LIST, USERS
from kilostack.store.database import Tx
from kilostack.store.lists import Ask, Where

_replace = msgspec.structs.replace


class Groups(Resources[Group]):
    """Names are unique within a domain."""

    singular, plural = "group", "groups"
    records, collection = GROUPS, GROUP_LIST
    domain_filter = "domain_id"
    _known = frozenset({"id", "name", "domain_id", "description", "links"})

    def made(self, ctx: Context, document: dict[str, Any]) -> Group:
        return Group(
            id=self.ground.new_id(),
            name=document["name"].strip(),
            domain_id=document.get("domain_id") or ctx.domain_id or DEFAULT_DOMAIN,
            description=document.get("description", ""),
            extra=made_up(document, self._known),
        )

    def changed(self, record: Group, document: dict[str, Any]) -> Group:
        check_fixed(record.id, document, "id", "ID")
        check_fixed(record.domain_id, document, "domain_id", "Domain ID")
        return _replace(
            record,
            name=document.get("name", record.name).strip(),
            description=document.get("description", record.description),
            extra=extra(record.extra, document, self._known),
        )

    async def check(self, tx: Tx, record: Group) -> None:
        if await DOMAINS.find(tx, id=record.domain_id) is None:
            raise NotFound(f"Could not find domain: {record.domain_id}.")

    def target_wanted(self, record: Group, document: dict[str, Any]) -> Mapping[str, Any]:
        # as it was sent: who may write in their own domain alone has to name it
        return {"group": document}

    async def found(self, tx: Tx, ctx: Context, verb: str, record_id: str) -> Group:
        if verb == "delete" and await GROUPS.find(tx, id=record_id) is None:
            # upstream tells everybody, here alone
            raise self.missing(record_id)
        return await super().found(tx, ctx, verb, record_id)

    async def cascade(self, tx: Tx, record: Group) -> Iterable[str]:
        return await remove_groups(tx, [record.id])

    def duplicate(self, record: Group) -> str:
        return (
            f"Conflict occurred attempting to store group - Duplicate entry found with name {record.name} "
            f"at domain ID {record.domain_id}."
        )


class Members:
    """Who is in which group."""

    def __init__(self, ground: Ground, groups: Groups, users: Users) -> None:
        self._ground, self._groups, self._users = ground, groups, users

    async def add(self, ctx: Context, wanted: Member) -> None:
        """Put a user into a group; twice is once."""

        async def unit(tx: Tx) -> None:
            await self._check(tx, ctx, "add_user_to_group", wanted)
            if await MEMBERS.find(tx, **msgspec.structs.asdict(wanted)) is None:
                await MEMBERS.insert(tx, wanted)

        with suppress(Duplicate):
            await self._ground.db.write(unit)

    async def show(self, ctx: Context, wanted: Member) -> None:
        """Raise `NotFound` unless the user is in the group."""

        async def unit(tx: Tx) -> None:
            await self._check(tx, ctx, "check_user_in_group", wanted)
            stays = await MEMBERS.find(tx, **msgspec.structs.asdict(wanted)) is not None
            if not stays and wanted.group_id not in await self._visited(tx, wanted.user_id):
                raise _no_member(wanted)

        await self._ground.db.read(unit)

    async def remove(self, ctx: Context, wanted: Member) -> None:
        """Take a user out of a group and end their tokens. Raises `NotFound`."""
        until = self._ground.until()

        async def unit(tx: Tx) -> None:
            await self._check(tx, ctx, "remove_user_from_group", wanted)
            if not await MEMBERS.delete(tx, **msgspec.structs.asdict(wanted)):
                raise _no_member(wanted)
            await tokens.revoke(tx, [user_subject(wanted.user_id)], until)

        await self._ground.db.write(unit)

    async def users_in(self, ctx: Context, group_id: str, ask: Ask) -> list[User]:
        """The users of a group; with a token for a domain those of that domain."""
        asked = _of(ctx, refined(ask), Where("group_id", (group_id,)))

        async def unit(tx: Tx) -> list[User]:
            await self._groups.found_for(tx, ctx, "list_users_in_group", group_id)
            return [self._users.seen(user) for user in await MEMBER_LIST.page(tx, asked)]

        return await self._ground.db.read(unit)

    async def groups_of(self, ctx: Context, user_id: str, ask: Ask) -> list[tuple[Group, int | None]]:
        """The groups of a user, with a token for a domain those of that domain; and until when, None for good."""

        async def unit(tx: Tx) -> list[tuple[Group, int | None]]:
            await self._users.found_for(tx, ctx, "list_groups_for_user", user_id)
            visited = await self._visited(tx, user_id)
            stays = {one.group_id for one in await MEMBERS.where(tx, user_id=user_id)}
            found = await SOME_GROUPS.page(tx, _of(ctx, ask, Where("id", tuple(stays | visited.keys()))))
            return [(group, None if group.id in stays else visited[group.id]) for group in found]

        return await self._ground.db.read(unit)

    async def _visited(self, tx: Tx, user_id: str) -> dict[str, int]:
        """Groups that an identity provider has said the user is in, and until when that holds."""
        minutes = self._ground.settings.authorization_ttl_min
        visits = await visited_groups(tx, user_id, self._ground.world.now(), minutes)
        return {visit.group_id: end for visit, end in sorted(visits, key=lambda one: one[1])}

    async def _check(self, tx: Tx, ctx: Context, action: str, wanted: Member) -> None:
        """Policy first, then that group and user are there."""
        group = await GROUPS.find(tx, id=wanted.group_id)
        user = await USERS.find(tx, id=wanted.user_id)
        target: dict[str, Any] = {}
        if group is not None:
            target |= self._groups.target(group)
        if user is not None:
            target |= self._users.target(user)
        self._ground.access.check(ctx, action, target)
        if group is None:
            raise self._groups.missing(wanted.group_id)
        if user is None:
            raise self._users.missing(wanted.user_id)


def _of(ctx: Context, ask: Ask, where: Where) -> Ask:
    own = (Where("domain_id", (ctx.domain_id,)),) if ctx.domain_id else ()
    return _replace(ask, where=(*ask.where, where, *own))


def _no_member(wanted: Member) -> NotFound:
    return NotFound(f"User '{wanted.user_id}' not found in group '{wanted.group_id}'")
