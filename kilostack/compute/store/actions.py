"""A server's history, as os-instance-actions shows it."""

from __future__ import annotations

from typing import Any

import msgspec

from kilostack.compute.model.records import ServerAction
from kilostack.compute.store.tables import ACTIONS
from kilostack.core.context import Context
from kilostack.core.world import Micros
from kilostack.store.database import Tx

#: action -> name of its one event, as operators know it
EVENTS = {
    "create": "compute__do_build_and_run_instance",
    "delete": "compute_terminate_instance",
    "start": "compute_start_instance",
    "stop": "compute_stop_instance",
    "reboot": "compute_reboot_instance",
}


async def begin(tx: Tx, ctx: Context, server_id: str, action: str, now: Micros) -> None:
    """Record that somebody asked for an action, under the request's id."""
    event = {"event": EVENTS[action], "start_time": now, "finish_time": None, "result": None}
    await ACTIONS.insert(
        tx,
        ServerAction(
            server_id=server_id,
            request_id=ctx.request_id,
            action=action,
            user_id=ctx.user_id,
            project_id=ctx.project_id,
            started_at=now,
            updated_at=now,
            events=(event,),
        ),
    )


async def finish(tx: Tx, server_id: str, request_id: str, now: Micros, error: str | None) -> None:
    """Record how the action of a request ended; nothing if it has ended before."""
    action = await ACTIONS.find(tx, server_id=server_id, request_id=request_id)
    if action is not None:
        await ACTIONS.update(tx, _finished(action, now, error))


async def finish_open(tx: Tx, server_id: str, now: Micros, error: str | None) -> None:
    """Record that whatever was under way has ended, as the host reports."""
    for action in await ACTIONS.where(tx, server_id=server_id):
        if any(event["finish_time"] is None for event in action.events):
            await ACTIONS.update(tx, _finished(action, now, error))


def _finished(action: ServerAction, now: Micros, error: str | None) -> ServerAction:
    result = "Success" if error is None else "Error"
    events: tuple[dict[str, Any], ...] = tuple(
        event if event["finish_time"] is not None else {**event, "finish_time": now, "result": result, "details": error}
        for event in action.events
    )
    message = action.message if error is None else "Error"
    return msgspec.structs.replace(action, updated_at=now, message=message, events=events)
