"""The agent of one host put together: guests and networks over one connection, real or simulated."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from kilostack import __version__
from kilostack.agents.guests.part import GuestsPart
from kilostack.agents.network.part import NetworkPart
from kilostack.agents.runtime.journal import JournalStore
from kilostack.agents.runtime.runtime import AgentRuntime, RuntimeParts
from kilostack.agents.runtime.streams import GUEST_TYPES, NETWORK_TYPES, Attached
from kilostack.core.world import World
from kilostack.drivers.guests.port import GuestDriver, ImageSource
from kilostack.drivers.net.port import NetworkDriver
from kilostack.wire.compute import Guest, HostFacts
from kilostack.wire.framing import Dial

#: how long a guest gets to stop by itself when its host goes down
STOP_S = 30.0


class AgentGround(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent stands on. `guests` makes the driver, which fetches images through the agent's connection."""

    world: World
    host: str
    dials: Sequence[Dial]
    journal: JournalStore
    guests: Callable[[ImageSource], GuestDriver]
    networks: NetworkDriver
    facts: Callable[[GuestDriver], Awaitable[HostFacts]]
    starts_at_once: int = 4


def build(ground: AgentGround) -> AgentRuntime:
    """The runtime with both parts attached; the caller runs it."""
    drivers: list[GuestDriver] = []
    parts: list[GuestsPart] = []

    async def console(guest_id: str, lines: int | None) -> str:
        return await drivers[0].console(guest_id, lines)

    async def facts() -> HostFacts:
        return await ground.facts(drivers[0])

    def guest(guest_id: str) -> Guest | None:
        return parts[0].guest(guest_id)

    runtime = AgentRuntime(
        RuntimeParts(
            world=ground.world,
            host=ground.host,
            release=__version__,
            dials=ground.dials,
            journal=ground.journal,
            facts=facts,
            console=console,
        )
    )
    drivers.append(ground.guests(runtime.images))
    network = NetworkPart(ground.world, ground.networks, guest)
    guests = GuestsPart(ground.world, drivers[0], network, starts_at_once=ground.starts_at_once)
    parts.append(guests)

    async def stop() -> None:
        await guests.stop_all(STOP_S)

    runtime.attach(
        Attached(part=guests, types=GUEST_TYPES, by_id=True, is_gone=guests.confirm_gone, stop=stop),
    )
    runtime.attach(Attached(part=network, types=NETWORK_TYPES, clear=network.down))
    return runtime
