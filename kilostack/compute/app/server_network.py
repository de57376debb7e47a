"""A server's ports and security groups, as network has them now."""

from __future__ import annotations

from kilostack.compute.app.parts import Parts, actor, check, visible
from kilostack.core.context import Context
from kilostack.wire.network_calls import (
    DESCRIBE_SERVER,
    PROJECT_GROUPS,
    GroupsAsked,
    ServerGroup,
    ServerNetworkDetail,
    ServerPorts,
)


async def describe(parts: Parts, ctx: Context, server_id: str, rule: str) -> ServerNetworkDetail:
    """For somebody who may do `rule` to the server. Raises `NotFound`, `Forbidden`, `Unavailable`."""
    server = await parts.db.read(lambda tx: visible(tx, parts, ctx, server_id, rule))
    return await parts.calls.call(DESCRIBE_SERVER, ServerPorts(server.id), actor(ctx))


async def groups(parts: Parts, ctx: Context) -> tuple[ServerGroup, ...]:
    """The security groups of the caller's project. Raises `Forbidden`, `Unavailable`."""
    check(parts, ctx, "os-security-groups:get")
    return (await parts.calls.call(PROJECT_GROUPS, GroupsAsked(ctx.project_id), actor(ctx))).groups
