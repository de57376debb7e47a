"""What the use cases of compute are built from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from kilostack.compute.model.server import Server
from kilostack.compute.ports.consoles import Consoles
from kilostack.compute.store.tables import SERVERS
from kilostack.core.context import Context
from kilostack.core.errors import Conflict, NotFound, StaleGeneration
from kilostack.core.policy import Policy
from kilostack.core.world import World
from kilostack.store.database import Database, Tx, Unit
from kilostack.wire.calls import Actor, Calls
from kilostack.workflow.runner import Sagas
from kilostack.workflow.saga import Saga

T = TypeVar("T")
_TRIES = 5


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """Given once to every use case. `kinds` has the sagas by name."""

    db: Database
    world: World
    sagas: Sagas
    calls: Calls
    policy: Policy
    kinds: Mapping[str, Saga]
    consoles: Consoles


def actor(ctx: Context) -> Actor:
    """Who calls a neighbour outside sagas."""
    return Actor(ctx=ctx)


def is_admin(parts: Parts, ctx: Context) -> bool:
    return parts.policy.allows(ctx, "context_is_admin")


def check(parts: Parts, ctx: Context, rule: str, **target: Any) -> None:
    """Raise `Forbidden` unless the rule "os_compute_api:<rule>" allows; the target is the caller's own project."""
    parts.policy.check(ctx, f"os_compute_api:{rule}", {"project_id": ctx.project_id, "user_id": ctx.user_id} | target)


def allows(parts: Parts, ctx: Context, rule: str, **target: Any) -> bool:
    return parts.policy.allows(ctx, f"os_compute_api:{rule}", {"project_id": ctx.project_id} | target)


def not_found(server_id: str) -> NotFound:
    return NotFound(f"Instance {server_id[:64]} could not be found.")


async def visible(tx: Tx, parts: Parts, ctx: Context, server_id: str, rule: str) -> Server:
    """The server, for somebody who may do `rule` to it. Another project's server is as if it were not there."""
    server = await SERVERS.find(tx, id=server_id)
    if server is None or (server.project_id != ctx.project_id and not is_admin(parts, ctx)):
        raise not_found(server_id)
    check(parts, ctx, rule, project_id=server.project_id, user_id=server.user_id)
    return server


def check_unlocked(parts: Parts, ctx: Context, server: Server) -> None:
    """Raise `Conflict` if the server is locked, unless the caller is an administrator."""
    if server.locked and not is_admin(parts, ctx):
        raise Conflict(f"Instance {server.id} is locked")


async def changing(parts: Parts, unit: Unit[T]) -> T:
    """Write a unit that reads what it changes, again when somebody wrote the same row in between."""
    for _ in range(_TRIES - 1):
        try:
            return await parts.db.write(unit)
        except StaleGeneration:
            continue
    return await parts.db.write(unit)
