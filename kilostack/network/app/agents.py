"""What operators may see of agents and do to them."""

from __future__ import annotations

from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import Conflict
from kilostack.network import failures
from kilostack.network.app import placement
from kilostack.network.app.access import Access
from kilostack.network.app.parts import Parts
from kilostack.network.model import agents
from kilostack.network.model.agents import Agent
from kilostack.network.model.records import AgentChange
from kilostack.network.store import hosts
from kilostack.network.store.changes import Change, ensure_fabric
from kilostack.network.store.tables import HOSTS, PORTS
from kilostack.store.database import Tx


class Agents:
    """Use cases of agents, derived from hosts."""

    def __init__(self, parts: Parts, rights: Access) -> None:
        self._parts, self._rights = parts, rights

    async def every(self, ctx: Context) -> list[Agent]:
        """All agents of all hosts; nothing for those who may not see them."""
        if not self._rights.allows(ctx, "get_agent", {}):
            return []
        return await self._parts.db.read(self._all)

    async def _all(self, tx: Tx) -> list[Agent]:
        beats = await hosts.beats(tx)
        self._parts.liveness.observe(beats)
        found = []
        for host in await hosts.every(tx):
            beat = beats.get(host.gateway)
            alive = self._parts.liveness.is_alive(host)
            heartbeat_at = max(host.connected_at, beat.at if beat and host.connected else 0)
            found += agents.of_host(host, alive=alive, heartbeat_at=heartbeat_at)
        return found

    async def any_alive(self) -> bool:
        """Whether any host could take a router or serve a network now."""
        return any(agent.alive for agent in await self._parts.db.read(self._all))

    async def get(self, ctx: Context, agent_id: str) -> Agent:
        for agent in await self.every(ctx):
            if agent.id == agent_id:
                return agent
        raise failures.agent_not_found(agent_id)

    async def update(self, ctx: Context, agent_id: str, given: dict[str, Any]) -> Agent:
        """Change an agent's description, or whether new routers may be placed on its host."""
        agent = await self.get(ctx, agent_id)
        self._rights.check(ctx, "update_agent", {})

        async def unit(tx: Tx) -> Agent:
            host = await HOSTS.get(tx, name=agent.host.name)
            old = host.agents.get(agent.kind.binary, AgentChange())
            change = msgspec.structs.replace(old, **given)
            written = msgspec.structs.replace(host, agents=host.agents | {agent.kind.binary: change})
            await hosts.write(tx, host, written)
            return msgspec.structs.replace(agent, host=written, change=change)

        return await self._parts.db.write(unit)

    async def delete(self, ctx: Context, agent_id: str) -> None:
        """Forget the host of a dead agent; its routers move to other hosts."""
        agent = await self.get(ctx, agent_id)
        self._rights.check(ctx, "delete_agent", {})
        if agent.alive:
            raise Conflict(f"Agent {agent_id} is alive: stop the agent of host {agent.host.name} first.")
        seed = self._parts.world.random().getrandbits(32)

        async def unit(tx: Tx) -> None:
            change = Change(tx)
            name = agent.host.name
            bound = [port for port in await PORTS.where(tx, host=name) if not port.device_owner.startswith("network:")]
            if bound:
                raise Conflict(f"Host {name} of agent {agent_id} still has {len(bound)} ports of servers.")
            if await HOSTS.delete(tx, name=name):
                await ensure_fabric(change)
                await placement.place_again(change, self._parts.liveness, name, seed)
            await change.close()

        await self._parts.db.write(unit)
