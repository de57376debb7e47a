"""Start, stop and reboot: one step that desires the guest otherwise; the host's report ends the task."""

from __future__ import annotations

import msgspec

from kilostack.compute.store import actions, guests, servers
from kilostack.compute.store.tables import GUESTS, SERVERS
from kilostack.compute.workflows.deps import Deps
from kilostack.compute.workflows.params import PowerParams
from kilostack.core.errors import Refused
from kilostack.store.database import Tx
from kilostack.wire.compute import Guest
from kilostack.workflow.saga import Outcome, Run, Saga, Step


async def set_power(tx: Tx, deps: Deps, run: Run) -> None:
    params: PowerParams = run.params
    placed = await GUESTS.find(tx, server_id=run.resource_id)
    if placed is None or placed.removing:
        raise Refused("The server is on no host.")

    def edit(guest: Guest) -> Guest:
        if params.boot_kind is None and (params.power == "off" or guest.power == "on"):
            return msgspec.structs.replace(guest, power=params.power)
        if params.boot_kind is None:
            # a start is a boot of its own: the host would take the one that has ended by itself for this one
            return msgspec.structs.replace(guest, power=params.power, boot=guest.boot + 1)
        return msgspec.structs.replace(guest, power=params.power, boot=guest.boot + 1, boot_kind=params.boot_kind)

    await guests.change(tx, placed, run.now, edit)


async def ended(tx: Tx, deps: Deps, run: Run, outcome: Outcome) -> None:
    if run.cancelled:
        await actions.finish(tx, run.resource_id, run.ctx.request_id, run.now, "The server was deleted meanwhile.")
        return
    server = await SERVERS.get(tx, id=run.resource_id)
    if outcome == "done":
        # the task stays until the host reports
        await servers.change(tx, server, run.now, saga_id=None)
        return
    await servers.change(tx, server, run.now, saga_id=None, task_state=None)
    await actions.finish(tx, server.id, run.ctx.request_id, run.now, run.error)


def _saga(name: str, task_state: str) -> Saga:
    step = Step(name="set_power", write=set_power, task_state=task_state)
    return Saga(name=name, params=PowerParams, ended=ended, steps=(step,))


START = _saga("server_start", "powering-on")
STOP = _saga("server_stop", "powering-off")
REBOOT_SOFT = _saga("server_reboot_soft", "rebooting")
REBOOT_HARD = _saga("server_reboot_hard", "rebooting_hard")
