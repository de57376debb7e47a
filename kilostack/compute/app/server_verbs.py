"""Verbs that become sagas: delete, start, stop, reboot."""

from __future__ import annotations

import msgspec

from kilostack.compute.app.parts import Parts, changing, check_unlocked, visible
from kilostack.compute.store import actions, servers
from kilostack.compute.store.tables import SAGAS
from kilostack.compute.workflows.params import DeleteParams, PowerParams
from kilostack.core.context import Context
from kilostack.core.errors import Conflict
from kilostack.store.database import Tx


class _Verb(msgspec.Struct, frozen=True):
    """A power verb: its saga, the action of its history, its policy rule, what the saga is told."""

    saga: str
    action: str
    rule: str
    power: dict[str, str]


_POWER = {
    "start": _Verb("server_start", "start", "servers:start", {"power": "on"}),
    "stop": _Verb("server_stop", "stop", "servers:stop", {"power": "off"}),
    "reboot_soft": _Verb("server_reboot_soft", "reboot", "servers:reboot", {"power": "on", "boot_kind": "soft"}),
    "reboot_hard": _Verb("server_reboot_hard", "reboot", "servers:reboot", {"power": "on", "boot_kind": "hard"}),
}
_DELETE = "server_delete"


class ServerVerbs:
    """Each verb writes the server's lock, its history and the saga in one unit."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def delete(self, ctx: Context, server_id: str) -> None:
        """Remove the server, whatever is being done to it; nothing if it is being removed already."""
        parts = self._parts
        saga_id, now = parts.world.new_id(), parts.world.now()
        kind = parts.kinds[_DELETE]

        async def unit(tx: Tx) -> None:
            server = await visible(tx, parts, ctx, server_id, "servers:delete")
            check_unlocked(parts, ctx, server)
            old = server.saga_id
            if old is not None:
                running = await SAGAS.rows.find(tx, id=old)
                if running is not None and running.kind == _DELETE and running.state != "ended":
                    return
            await servers.change(tx, server, now, saga_id=saga_id)
            await actions.begin(tx, ctx, server.id, "delete", now)
            params = DeleteParams(server_id=server.id)
            if old is None:
                await parts.sagas.enqueue(tx, kind, (saga_id, server.id), params, (ctx, now))
            else:
                await parts.sagas.supersede(tx, old, (kind, saga_id, server.id, params), (ctx, now))

        await changing(parts, unit)

    async def power(self, ctx: Context, server_id: str, verb: str) -> None:
        """Start, stop or reboot an idle server. Raises `Conflict` for one that is busy or in the wrong state."""
        parts, how = self._parts, _POWER[verb]
        saga_id, now = parts.world.new_id(), parts.world.now()
        kind = parts.kinds[how.saga]

        async def unit(tx: Tx) -> None:
            server = await visible(tx, parts, ctx, server_id, how.rule)
            check_unlocked(parts, ctx, server)
            server.check_idle(verb)
            if server.host is None:
                raise Conflict(f"Cannot '{how.action}' instance {server.id}: it is on no host")
            await servers.change(tx, server, now, saga_id=saga_id)
            await actions.begin(tx, ctx, server.id, how.action, now)
            params = msgspec.convert({"server_id": server.id, **how.power}, PowerParams)
            await parts.sagas.enqueue(tx, kind, (saga_id, server.id), params, (ctx, now))

        await changing(parts, unit)
