"""A placement service on a fresh database, and what its tests say to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from kilostack.bus.hints import LocalHints
from kilostack.core.context import internal
from kilostack.core.world import Micros, RealWorld
from kilostack.placement.service import Parts, PlacementService
from kilostack.placement.store.tables import META, SCHEMA_NUMBER
from kilostack.store.database import Database
from kilostack.wire.calls import Actor, Answers, LocalCalls
from kilostack.wire.compute_calls import EXISTING, Servers
from kilostack.wire.hosts import ChangesAsked
from kilostack.wire.placement_calls import (
    CLAIM,
    ENSURE_PROVIDER,
    PROVIDERS,
    RELEASE,
    Claim,
    Claimed,
    Consumer,
    Inventory,
    Provider,
    Providers,
)


class ClockWorld(RealWorld):
    """The real world, whose wall clock the test turns on by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead_s = 0.0

    def now(self) -> Micros:
        return Micros(super().now() + int(self.ahead_s * 1e6))


def actor(saga: str = "", epoch: int = 1, step: str = "allocate") -> Actor:
    return Actor(ctx=internal("req-test"), saga_id=saga, step=step, epoch=epoch)


def host(name: str = "host1", *, vcpus: int = 4, memory: int = 1024, ratio: float = 1.0) -> Provider:
    return Provider(
        id=name + "-id",
        name=name,
        inventories={
            "VCPU": Inventory(total=vcpus, allocation_ratio=ratio),
            "MEMORY_MB": Inventory(total=memory),
        },
    )


@dataclass
class Placement:
    """The service behind its calls."""

    world: ClockWorld
    db: Database
    calls: LocalCalls
    service: PlacementService
    #: what compute knows
    servers: set[str]

    async def ensure(self, provider: Provider) -> Provider:
        return await self.calls.call(ENSURE_PROVIDER, provider, actor())

    async def claim(self, consumer: str, provider: str, by: Actor | None = None, **resources: int) -> Claimed:
        asked = Claim(consumer=consumer, provider=provider, resources=resources, project_id="p", user_id="u")
        return await self.calls.call(CLAIM, asked, by or actor())

    async def release(self, consumer: str, by: Actor | None = None) -> None:
        await self.calls.call(RELEASE, Consumer(consumer), by or actor())

    async def providers(self, after: int = 0) -> Providers:
        return await self.calls.call(PROVIDERS, ChangesAsked(after), actor())

    async def used(self, provider: str = "host1-id") -> dict[str, int]:
        found = {item.id: item for item in (await self.providers()).providers}
        return {name: inventory.used for name, inventory in found[provider].inventories.items()}


async def placement_on(db: Database, world: ClockWorld) -> Placement:
    calls = LocalCalls(world)
    service = PlacementService(Parts(db=db, world=world, hints=LocalHints(world), calls=calls))
    calls.serve(service.answers)
    known: set[str] = set()
    compute = Answers()

    async def existing(asked: Servers, by: Actor) -> Servers:
        return Servers(tuple(server for server in asked.ids if server in known))

    compute.add(EXISTING, existing)
    calls.serve(compute)
    return Placement(world, db, calls, service, known)


@pytest.fixture
async def placement(make_database: Any) -> Placement:
    return await placement_on(await make_database(META, SCHEMA_NUMBER), ClockWorld())
