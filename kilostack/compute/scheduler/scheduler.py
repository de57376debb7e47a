"""The scheduler of one process: it proposes from memory, placement decides.

Many may run, and none is special: a claim that another one was faster with comes back with the host's new numbers, and
the next candidate is tried.
"""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, Any

from kilostack.compute.scheduler.request import Hosts, Placement, Request
from kilostack.core.errors import NotFound, Refused, Unavailable
from kilostack.core.world import World
from kilostack.wire.calls import Actor, Calls
from kilostack.wire.hosts import ChangesAsked
from kilostack.wire.placement_calls import CLAIM, HOLDING, PROVIDERS, Claim, Consumer

if TYPE_CHECKING:
    from kilostack.compute.scheduler.choose import Ranking
    from kilostack.compute.scheduler.columns import Columns

_ROUNDS = 5


class Scheduler:
    """Finds and claims hosts. `hosts` is compute's own knowledge of them, `calls` leads to placement."""

    def __init__(self, world: World, calls: Calls, hosts: Hosts) -> None:
        self._world, self._calls, self._hosts = world, calls, hosts
        self._columns: Columns | None = None
        self._choose: Any = None
        self._turn = asyncio.Lock()
        self._hosts_seen = 0
        self._providers_seen = 0

    async def warm(self) -> None:
        """Load what choosing needs, which takes a moment, outside the loop; `place` does it if nobody has."""
        if self._columns is None:
            module = await self._world.in_thread(importlib.import_module, "kilostack.compute.scheduler.choose")
            # another one may have been faster
            if self._columns is None:
                self._choose = module.choose
                self._columns = module.Columns()

    async def place(self, request: Request, actor: Actor, seed: int) -> Placement:
        """Claim a host for the request, in place of what its consumer held before.

        Raises `Refused` when none fits, with facts `record` (the decision) and `only_connection_missing` (a host would
        do if its agent were connected); `Unavailable` when placement cannot be asked, or others were faster each time.
        The same call again, by a saga that was cut off, leaves one claim.
        """
        tried: list[dict[str, Any]] = []
        for attempt in range(_ROUNDS):
            columns = await self._fresh(actor)
            ranking: Ranking = self._choose(columns, request, seed + attempt)
            if not ranking.candidates:
                # what is under way here may fail yet, or be counted twice for a moment: placement decides
                ranking = self._choose(columns, request, seed + attempt, pending=False)
            record = {**ranking.record, "tried": tried}
            if not ranking.candidates:
                if (host_again := await self._again(request, actor)) is not None:
                    tried.append({"host": host_again[0], "taken": True})
                    return Placement(host=host_again[0], provider_id=host_again[1], record=record)
                raise Refused(
                    f"No valid host was found. There are not enough hosts available. {ranking.summary}",
                    kind="NoValidHost",
                    record=record,
                    only_connection_missing=ranking.only_connection_missing,
                )
            for host, provider_id in ranking.candidates:
                taken = await self._claim(request, provider_id, actor)
                tried.append({"host": host, "taken": taken})
                if taken:
                    return Placement(host=host, provider_id=provider_id, record=record)
        raise Unavailable(f"{len(tried)} claims were lost to others", record={"tried": tried})

    async def _again(self, request: Request, actor: Actor) -> tuple[str, str] | None:
        """The host that an earlier try has claimed for this consumer, and that may be full because of it."""
        held = await self._calls.call(HOLDING, Consumer(request.consumer), Actor(ctx=actor.ctx))
        if held.resources != {name: amount for name, amount in request.resources.items() if amount}:
            return None
        assert self._columns is not None
        host = self._columns.host_of(held.provider)
        return (host, held.provider) if host and await self._claim(request, held.provider, actor) else None

    async def _fresh(self, actor: Actor) -> Columns:
        """The columns with everything that was committed before this call."""
        await self.warm()
        assert self._columns is not None
        by = Actor(ctx=actor.ctx)
        async with self._turn:
            while True:
                hosts = await self._hosts.changed(self._hosts_seen)
                self._columns.set_hosts(hosts.hosts, whole=hosts.whole)
                self._columns.remove_hosts(hosts.removed)
                self._hosts_seen = hosts.last
                if not hosts.more:
                    break
            while True:
                seen = await self._calls.call(PROVIDERS, ChangesAsked(self._providers_seen), by)
                self._columns.set_providers(seen.providers, whole=seen.whole)
                self._columns.remove_providers(seen.removed)
                self._providers_seen = seen.last
                if not seen.more:
                    return self._columns

    async def _claim(self, request: Request, provider_id: str, actor: Actor) -> bool:
        assert self._columns is not None
        claim = Claim(
            consumer=request.consumer,
            provider=provider_id,
            resources=request.resources,
            project_id=request.project_id,
            user_id=request.user_id,
        )
        self._columns.claim_begins(provider_id, request.resources)
        try:
            claimed = await self._calls.call(CLAIM, claim, actor)
        except NotFound:
            self._columns.remove_providers([provider_id])
            return False
        finally:
            self._columns.claim_ends(provider_id, request.resources)
        self._columns.set_providers([claimed.provider])
        return claimed.taken
