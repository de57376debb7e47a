"""What may be seen of servers and changed in place: lists, names, metadata, tags, locks, groups, consoles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from kilostack.compute.app.parts import (
    Parts,
    actor,
    allows,
    changing,
    check,
    check_unlocked,
    is_admin,
    not_found,
    visible,
)
from kilostack.compute.model.server import Server, ServerState, vm_state
from kilostack.compute.store import guests, quotas, server_lists, servers
from kilostack.compute.store.server_lists import Ask, Line
from kilostack.compute.store.tables import FOLLOWS_NETWORK, GUESTS, PLACES
from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, Conflict, Forbidden, NotFound, OverQuota, Unavailable
from kilostack.core.world import Micros
from kilostack.store.database import Tx
from kilostack.wire.compute import Guest
from kilostack.wire.hosts import NETWORK, ChangesAsked
from kilostack.wire.network_calls import CHANGE_GROUP, GroupChange

Edit = Callable[[Server], Mapping[str, Any]]
_TAGGABLE = frozenset({ServerState.ACTIVE, ServerState.SHUTOFF})
#: what the guest may read about itself
_TOLD = frozenset({"name", "hostname", "metadata"})
MAX_TAGS = 50
_SHOWN_WITHIN_S, _LOOK_S = 1.0, 0.005


class Servers:
    """Reads, and changes that need no host."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    async def get(self, ctx: Context, server_id: str, rule: str) -> Server:
        """The server, for somebody who may do `rule` to it. Raises `NotFound` and `Forbidden`."""
        return await self.parts.db.read(lambda tx: visible(tx, self.parts, ctx, server_id, rule))

    async def glance(self, tx: Tx, ctx: Context, server_id: str) -> Line:
        """A server that the caller may see, as a list has it: the rest of its row is not read."""
        found = await server_lists.glance(tx, server_id)
        if found is None or (found[1] != ctx.project_id and not is_admin(self.parts, ctx)):
            raise not_found(server_id)
        check(self.parts, ctx, "servers:show", project_id=found[1])
        return found[0]

    async def page(self, tx: Tx, ctx: Context, ask: Ask, *, detail: bool, everywhere: bool) -> list[Line]:
        """A page of the caller's project, or of all projects for those who may."""
        rule = "servers:detail" if detail else "servers:index"
        check(self.parts, ctx, rule)
        if everywhere:
            check(self.parts, ctx, rule + ":get_all_tenants")
        return await server_lists.page(tx, ask)

    async def edit(self, ctx: Context, server_id: str, rule: str, edit: Edit, *, guarded: bool = True) -> Server:
        """Change fields that the saga of the server, if there is one, does not touch.

        `edit` sees the newest record and returns its changes, none for no write. Unless `guarded` is off, a locked
        server is changed by administrators alone.
        """
        now = self.parts.world.now()

        async def unit(tx: Tx) -> Server:
            server = await visible(tx, self.parts, ctx, server_id, rule)
            if guarded:
                check_unlocked(self.parts, ctx, server)
            changes = edit(server)
            if not changes:
                return server
            changed = await servers.change(tx, server, now, **changes)
            if _TOLD & changes.keys():
                await _tell_guest(tx, changed, now)
            return changed

        return await changing(self.parts, unit)

    async def set_metadata(
        self, ctx: Context, server_id: str, rule: str, items: Mapping[str, str], *, replace: bool
    ) -> dict[str, str]:
        """Lay items over a server's metadata, or put them in its place."""
        usage = await self.parts.db.read(lambda tx: quotas.usage(tx, ctx.project_id))
        bound = quotas.limit(usage, "metadata_items")

        def edit(server: Server) -> Mapping[str, Any]:
            merged = dict(items) if replace else {**server.metadata, **items}
            if 0 <= bound < len(merged):
                raise OverQuota(f"Maximum number of metadata items exceeds {bound}")
            return {"metadata": merged}

        return (await self.edit(ctx, server_id, f"server-metadata:{rule}", edit)).metadata

    async def drop_metadata(self, ctx: Context, server_id: str, key: str) -> None:
        """Remove one item. Raises `NotFound`."""

        def edit(server: Server) -> Mapping[str, Any]:
            if key not in server.metadata:
                raise NotFound("Metadata item was not found")
            return {"metadata": {name: value for name, value in server.metadata.items() if name != key}}

        await self.edit(ctx, server_id, "server-metadata:delete", edit)

    async def set_tags(self, ctx: Context, server_id: str, tags: list[str], rule: str) -> tuple[str, ...]:
        """Put tags in the place of all that the server has."""

        def edit(server: Server) -> Mapping[str, Any]:
            _check_taggable(server, "update tags")
            return {"tags": tuple(dict.fromkeys(tags))}

        return (await self.edit(ctx, server_id, f"os-server-tags:{rule}", edit, guarded=False)).tags

    async def add_tag(self, ctx: Context, server_id: str, tag: str) -> bool:
        """Add a tag; False if the server had it."""
        had = False

        def edit(server: Server) -> Mapping[str, Any]:
            nonlocal had
            _check_taggable(server, "update tag")
            had = tag in server.tags
            if not had and len(server.tags) >= MAX_TAGS:
                raise BadRequest(f"The number of tags exceeded the per-server limit {MAX_TAGS}")
            return {} if had else {"tags": (*server.tags, tag)}

        await self.edit(ctx, server_id, "os-server-tags:update", edit, guarded=False)
        return not had

    async def drop_tag(self, ctx: Context, server_id: str, tag: str) -> None:
        """Remove one tag. Raises `NotFound`."""

        def edit(server: Server) -> Mapping[str, Any]:
            _check_taggable(server, "delete tag")
            if tag not in server.tags:
                raise NotFound(f"Server {server.id} has no tag '{tag}'")
            return {"tags": tuple(other for other in server.tags if other != tag)}

        await self.edit(ctx, server_id, "os-server-tags:delete", edit, guarded=False)

    async def lock(self, ctx: Context, server_id: str, reason: str | None) -> None:
        """Keep everybody but administrators from changing the server."""

        def edit(server: Server) -> Mapping[str, Any]:
            by_admin = is_admin(self.parts, ctx) and server.project_id != ctx.project_id
            # a lock of an administrator is not weakened by its owner's
            by_admin = by_admin or (server.locked and server.locked_by_admin)
            return {"locked": True, "locked_by_admin": by_admin, "locked_reason": reason}

        await self.edit(ctx, server_id, "os-lock-server:lock", edit, guarded=False)

    async def unlock(self, ctx: Context, server_id: str) -> None:
        """Undo `lock`. Raises `Forbidden` for the owner of a server that an administrator has locked."""

        def edit(server: Server) -> Mapping[str, Any]:
            if server.locked_by_admin and not allows(
                self.parts, ctx, "os-lock-server:unlock:unlock_override", project_id=server.project_id
            ):
                raise Forbidden("Policy doesn't allow os_compute_api:os-lock-server:unlock:unlock_override.")
            return {"locked": False, "locked_by_admin": False, "locked_reason": None}

        await self.edit(ctx, server_id, "os-lock-server:unlock", edit, guarded=False)

    async def change_group(self, ctx: Context, server_id: str, group: str, *, add: bool) -> None:
        """Add or remove a security group on all ports of a server."""
        server = await self.get(ctx, server_id, "os-security-groups:add" if add else "os-security-groups:remove")
        change = GroupChange(server_id=server.id, group=group, add=add)
        await self.parts.calls.call(CHANGE_GROUP, change, actor(ctx))
        await self._until_shown(ctx)

    async def _until_shown(self, ctx: Context) -> None:
        """Let the follower of network come to what has just changed there, so that the caller is shown it."""
        parts = self.parts
        deadline = parts.world.monotonic() + _SHOWN_WITHIN_S
        reached = await self._reached()
        try:
            last = (await parts.calls.call(NETWORK.changes, ChangesAsked(reached), actor(ctx))).last
        except Unavailable:
            return
        while reached < last and parts.world.monotonic() < deadline:
            await parts.world.sleep(_LOOK_S)
            reached = await self._reached()

    async def _reached(self) -> int:
        return await self.parts.db.read(lambda tx: PLACES.get(tx, FOLLOWS_NETWORK))

    async def console(self, ctx: Context, server_id: str, length: int | None) -> str:
        """What the guest has written to its console. Raises `Conflict` when there is nothing to read from."""
        server = await self.get(ctx, server_id, "os-console-output")
        if server.host is None:
            raise Conflict(f"Instance {server.id} is not ready")
        return await self.parts.consoles.read(server.id, server.host, length)


async def _tell_guest(tx: Tx, server: Server, now: Micros) -> None:
    """Let the metadata service of the server's host know."""
    placed = await GUESTS.find(tx, server_id=server.id)
    if placed is None or placed.removing:
        return

    def edit(guest: Guest) -> Guest:
        told = {"name": server.name, "hostname": server.hostname, "meta": server.metadata}
        return msgspec.structs.replace(guest, metadata=msgspec.structs.replace(guest.metadata, **told))

    await guests.change(tx, placed, now, edit)


def _check_taggable(server: Server, verb: str) -> None:
    if server.state not in _TAGGABLE:
        raise Conflict(f"Cannot '{verb}' instance {server.id} while it is in vm_state {vm_state(server.state)}")
