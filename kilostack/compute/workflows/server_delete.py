"""Remove a server: withdraw its guest, wait until the host has let go, free ports and claim, forget the row.

It starts when the saga that it supersedes has unwound. It never gives up: what fails is tried again.
"""

from __future__ import annotations

from kilostack.compute.model.records import Host, Placed
from kilostack.compute.model.server import Fault, ServerState
from kilostack.compute.store import actions, guests, servers
from kilostack.compute.store.tables import GUESTS, HOSTS, SERVERS
from kilostack.compute.workflows.deps import Deps
from kilostack.compute.workflows.params import DeleteParams
from kilostack.store.database import Tx
from kilostack.wire.network_calls import UNBIND_PORTS, ServerPorts
from kilostack.wire.placement_calls import RELEASE, Consumer
from kilostack.workflow.saga import Outcome, Run, Saga, Step, Wait

#: how long a host that is not connected may keep a guest whose server is deleted
_HOST_GONE_S = 60.0
_LOOK_AGAIN_S = 5.0
_YEARS_S = 10 * 365 * 86400.0


async def withdraw(tx: Tx, deps: Deps, run: Run) -> None:
    placed = await GUESTS.find(tx, server_id=run.resource_id)
    if placed is not None and not placed.removing:
        await guests.withdraw(tx, placed, run.now)


async def await_gone(deps: Deps, run: Run) -> None:
    async def look(tx: Tx) -> tuple[Placed | None, Host | None]:
        placed = await GUESTS.find(tx, server_id=run.resource_id)
        return placed, None if placed is None else await HOSTS.find(tx, name=placed.host)

    placed, host = await deps.db.read(look)
    if placed is None or host is None:
        return
    if not host.connected and run.now - placed.updated_at > _HOST_GONE_S * 1e6:
        # when it returns it is told first that this guest is not wanted
        return
    raise Wait(_LOOK_AGAIN_S, f"host {host.name} still has the guest")


async def unbind_ports(deps: Deps, run: Run) -> None:
    await deps.calls.call(UNBIND_PORTS, ServerPorts(run.resource_id), run.actor())


async def release(deps: Deps, run: Run) -> None:
    await deps.calls.call(RELEASE, Consumer(run.resource_id), run.actor())


async def forget(tx: Tx, deps: Deps, run: Run) -> None:
    await GUESTS.delete(tx, server_id=run.resource_id)


async def ended(tx: Tx, deps: Deps, run: Run, outcome: Outcome) -> None:
    server = await SERVERS.find(tx, id=run.resource_id)
    if server is None:
        return
    if outcome == "done":
        await actions.finish(tx, server.id, run.ctx.request_id, run.now, None)
        await servers.remove(tx, server)
        return
    fault = Fault(code=500, message=f"The server could not be deleted: {run.error}", created_at=run.now)
    fields = {"state": ServerState.ERROR, "fault": fault}
    await servers.change(tx, server, run.now, saga_id=None, task_state=None, **fields)
    await actions.finish(tx, server.id, run.ctx.request_id, run.now, run.error)


SAGA = Saga(
    name="server_delete",
    params=DeleteParams,
    ended=ended,
    deadline_s=_YEARS_S,
    steps=(
        Step(name="withdraw", write=withdraw, task_state="deleting"),
        Step(name="await_gone", do=await_gone, task_state="deleting"),
        Step(name="unbind_ports", do=unbind_ports, task_state="deleting"),
        Step(name="release", do=release, task_state="deleting"),
        Step(name="forget", write=forget, task_state="deleting"),
    ),
)
