"""Simulated hosts inside the control plane's process: the same agents, over the same protocol, on socket pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kilostack.agents.runtime.journal import FileStore
from kilostack.assembly.agent import AgentGround, build
from kilostack.core.world import World
from kilostack.drivers.guests.port import GuestDriver, ImageSource
from kilostack.drivers.guests.simulated import Behaviour, SimulatedGuests, SimulatedMachine
from kilostack.drivers.net.simulated import SimulatedHostNetwork, SimulatedNetworks
from kilostack.gateway.gateway import Gateway
from kilostack.wire.compute import HostFacts
from kilostack.wire.framing import Channel, socket_pair

VCPUS, MEMORY_MIB, DISK_GIB = 16, 65536, 1000


def simulated_facts(host: str, booted_at: int | None = None) -> HostFacts:
    """What a simulated host says that it has."""
    return HostFacts(
        hostname=host,
        vcpus=VCPUS,
        memory_mib=MEMORY_MIB,
        disk_gib=DISK_GIB,
        accelerator="simulated",
        hypervisor_type="simulated",
        address="192.0.2.1",
        booted_at=booted_at,
    )


class SimulatedHosts:
    """The hosts of `up --simulate`."""

    def __init__(self, world: World, gateway: Gateway, journals: Path) -> None:
        self._world, self._gateway, self._journals = world, gateway, journals

    async def start(self, names: Sequence[str]) -> None:
        """Run an agent for each name, until the world closes."""
        for name in names:
            self._world.spawn(self._agent(name), f"agent {name}")

    async def _agent(self, name: str) -> None:
        booted_at = self._world.now()
        machine = SimulatedMachine(self._world.monotonic, Behaviour(fetch_s=0.05))

        def guests(images: ImageSource) -> GuestDriver:
            return SimulatedGuests(self._world, machine)

        async def facts(driver: GuestDriver) -> HostFacts:
            return simulated_facts(name, booted_at)

        runtime = build(
            AgentGround(
                world=self._world,
                host=name,
                dials=(self._dial,),
                journal=FileStore(self._journals / f"{name}.json"),
                guests=guests,
                networks=SimulatedNetworks(self._world, SimulatedHostNetwork()),
                facts=facts,
            )
        )
        await runtime.run()

    async def _dial(self) -> Channel:
        ours, theirs = await socket_pair()
        self._world.spawn(self._gateway.accept(theirs), "connection of a simulated host")
        return ours
