"""How a server came to be where it is, or why it failed: what was recorded, not decided again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from kilostack.compute.app.parts import Parts, is_admin, not_found
from kilostack.compute.model.naming import host_id
from kilostack.compute.model.records import Decision, ServerAction
from kilostack.compute.model.server import Server
from kilostack.compute.model.status import status
from kilostack.compute.store.tables import ACTIONS, DECISIONS, HOSTS, SAGAS, SERVERS
from kilostack.core.context import Context
from kilostack.core.errors import Conflict
from kilostack.store.database import Tx
from kilostack.workflow.log import LogRow, SagaRow


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """Everything recorded of one server; times are microseconds."""

    server: dict[str, Any]
    decisions: list[dict[str, Any]]
    sagas: list[dict[str, Any]]
    actions: list[dict[str, Any]]


async def why(parts: Parts, ctx: Context, name_or_id: str) -> Why:
    """For those who may see the server. Only administrators are shown the names of hosts.

    Raises `NotFound`, `Forbidden`, and `Conflict` for a name that several servers have.
    """

    async def unit(tx: Tx) -> Why:
        server = await _find(tx, parts, ctx, name_or_id)
        parts.policy.check(ctx, "kilostack:servers:why", {"project_id": server.project_id})
        decisions = await DECISIONS.where(tx, server_id=server.id)
        sagas = await SAGAS.rows.where(tx, resource_id=server.id)
        log = await SAGAS.log.within(tx, "saga_id", [saga.id for saga in sagas])
        actions = await ACTIONS.where(tx, server_id=server.id)
        shown = Why(
            server=_server(server),
            decisions=[_decision(decision) for decision in sorted(decisions, key=lambda decision: decision.at)],
            sagas=[_saga(saga, log) for saga in sorted(sagas, key=lambda saga: (saga.created_at, saga.id))],
            actions=[_action(action) for action in sorted(actions, key=lambda action: action.started_at)],
        )
        if is_admin(parts, ctx):
            return shown
        names = [host.name for host in await HOSTS.where(tx)]
        return msgspec.convert(_veiled(msgspec.to_builtins(shown), server.project_id, names), Why)

    return await parts.db.read(unit)


async def _find(tx: Tx, parts: Parts, ctx: Context, name_or_id: str) -> Server:
    admin = is_admin(parts, ctx)
    server = await SERVERS.find(tx, id=name_or_id)
    if server is not None and (admin or server.project_id == ctx.project_id):
        return server
    named = await SERVERS.where(tx, name=name_or_id, project_id=ctx.project_id)
    if not named and admin:
        named = await SERVERS.where(tx, name=name_or_id)
    if not named:
        raise not_found(name_or_id)
    if len(named) > 1:
        raise Conflict(f"{len(named)} servers are named {name_or_id[:64]}: use the id.")
    return named[0]


def _server(server: Server) -> dict[str, Any]:
    return {
        "id": server.id,
        "name": server.name,
        "status": status(server),
        "task_state": server.task_state,
        "host": server.host,
        "created_at": server.created_at,
        "launched_at": server.launched_at,
        "fault": None if server.fault is None else msgspec.to_builtins(server.fault),
    }


def _decision(decision: Decision) -> dict[str, Any]:
    return {
        "at": decision.at,
        "saga_id": decision.saga_id,
        "outcome": decision.outcome,
        "host": decision.host,
        "record": decision.record,
    }


def _saga(saga: SagaRow, log: Iterable[LogRow]) -> dict[str, Any]:
    steps = sorted((row for row in log if row.saga_id == saga.id), key=lambda row: row.seq)
    return {
        "at": saga.created_at,
        "name": saga.kind,
        "state": saga.outcome or saga.state,
        "id": saga.id,
        "cancelled": saga.cancelled,
        "tries": saga.tries,
        "error": saga.error,
        "request_id": saga.ctx.request_id,
        "ended_at": saga.ended_at,
        "steps": [_step(row) for row in steps],
    }


def _step(row: LogRow) -> dict[str, Any]:
    # why a step failed is for the owner; what steps returned (ports, providers) is not
    detail = str(row.value) if row.kind == "failed" else ""
    return {"at": row.at, "step": row.step, "state": row.kind, "detail": detail}


def _action(action: ServerAction) -> dict[str, Any]:
    return {
        "action": action.action,
        "request_id": action.request_id,
        "user_id": action.user_id,
        "started_at": action.started_at,
        "message": action.message,
        "events": list(action.events),
    }


def _veiled(value: Any, project_id: str, hosts: list[str]) -> Any:
    """`value` with every host's name replaced by the beginning of its hostId, in keys and texts alike."""
    if not hosts:
        return value
    names = "|".join(re.escape(name) for name in sorted(hosts, key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w-])(?:{names})(?![\w-])")

    def veil(part: Any) -> Any:
        if isinstance(part, str):
            return pattern.sub(lambda found: "host-" + host_id(project_id, found[0])[:8], part)
        if isinstance(part, dict):
            return {veil(key): veil(inner) for key, inner in part.items()}
        return [veil(inner) for inner in part] if isinstance(part, list | tuple) else part

    return veil(value)
