"""What has been done to a server, and by whom."""

from __future__ import annotations

from kilostack.compute.app.parts import Parts, check, is_admin, not_found
from kilostack.compute.model.records import ServerAction
from kilostack.compute.store.tables import ACTIONS, SERVERS
from kilostack.core.context import Context
from kilostack.core.errors import NotFound
from kilostack.store.database import Tx


class ServerHistory:
    """Use cases of os-instance-actions."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def every(self, ctx: Context, server_id: str, *, deleted: bool) -> tuple[list[ServerAction], str | None]:
        """The actions, newest first, and the server's host. With `deleted`, a server that is gone still has its past.

        Raises `NotFound` and `Forbidden`.
        """
        return await self._parts.db.read(lambda tx: self._every(tx, ctx, server_id, "list", deleted=deleted))

    async def get(
        self, ctx: Context, server_id: str, request_id: str, *, deleted: bool
    ) -> tuple[ServerAction, str | None]:
        """The action that a request began, and the server's host."""
        found, host = await self._parts.db.read(lambda tx: self._every(tx, ctx, server_id, "show", deleted=deleted))
        for action in found:
            if action.request_id == request_id:
                return action, host
        raise NotFound(f"Action {request_id[:64]} not found")

    async def _every(
        self, tx: Tx, ctx: Context, server_id: str, verb: str, *, deleted: bool
    ) -> tuple[list[ServerAction], str | None]:
        server = await SERVERS.find(tx, id=server_id)
        found = await ACTIONS.where(tx, server_id=server_id)
        if server is None and not (deleted and found):
            raise not_found(server_id)
        project_id = server.project_id if server is not None else _owner(found)
        if project_id != ctx.project_id and not is_admin(self._parts, ctx):
            raise not_found(server_id)
        check(self._parts, ctx, f"os-instance-actions:{verb}", project_id=project_id)
        found.sort(key=lambda action: (action.started_at, action.request_id), reverse=True)
        return found, None if server is None else server.host


def _owner(found: list[ServerAction]) -> str:
    """The project of a server that is gone: whoever made it. An administrator may have deleted it."""
    made = next((action for action in found if action.action == "create"), found[0])
    return made.project_id
