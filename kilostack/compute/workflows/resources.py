"""The server's row as the saga runner sees it."""

from __future__ import annotations

import logging

from kilostack.compute.model.server import Fault, ServerState
from kilostack.compute.store import servers
from kilostack.compute.store.tables import SERVERS
from kilostack.core.world import Micros
from kilostack.store.database import Tx

_LOG = logging.getLogger("kilostack.compute.sagas")


class ServerRows:
    """`workflow.runner.Resources` of compute."""

    async def project(self, tx: Tx, resource_id: str, saga_id: str, task_state: str | None) -> None:
        await servers.project(tx, resource_id, saga_id, task_state)

    async def alarm(self, tx: Tx, resource_id: str, saga_id: str, reason: str, now: Micros) -> None:
        server = await SERVERS.find(tx, id=resource_id)
        _LOG.error("saga %s of server %s: %s", saga_id, resource_id, reason)
        if server is not None and server.saga_id == saga_id:
            fault = Fault(code=500, message=f"Cleaning up {reason}", created_at=now)
            await servers.change(tx, server, now, state=ServerState.ERROR, fault=fault)
