"""`kilostack agent`: the agent of one host as a process, inside its network namespace.

SIGTERM ends the agent and leaves guests and networks running; SIGUSR1 drains the host: guests are stopped, and what was
made for them is removed.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import signal

import uvloop

from kilostack.agents.runtime.journal import FileStore
from kilostack.assembly import open_files
from kilostack.assembly.agent import AgentGround, build
from kilostack.core.settings import Settings
from kilostack.core.telemetry import log_to_stderr
from kilostack.core.world import RealWorld
from kilostack.drivers.guests.facts import machine_facts
from kilostack.drivers.guests.port import GuestDriver, ImageSource
from kilostack.drivers.guests.qemu import QemuGuests, QemuSettings
from kilostack.drivers.net import dnsmasq, fabric
from kilostack.drivers.net.linux import HostNetwork, LinuxNetworks
from kilostack.wire.compute import HostFacts
from kilostack.wire.framing import dial_unix

_LOG = logging.getLogger("kilostack.agent")


def main(settings: Settings, host: str) -> None:
    """Be the agent of `host` until a signal."""
    log_to_stderr(f"agent {host}")
    open_files.allow(open_files.MOST_OF_AGENT)
    uvloop.run(serve(settings, host))


async def serve(settings: Settings, host: str) -> None:
    """The whole agent; returns after a signal, when everything has been let go or drained."""
    world = RealWorld()
    number = settings.host_names().index(host) + 1
    place = fabric.host_from_inside(settings.name, number)
    networks = LinuxNetworks(
        world,
        HostNetwork(
            host=host,
            prefix=place.prefix,
            address=place.address,
            external_bridge=place.external_bridge,
            resolver=place.resolver,
            run_dir=dnsmasq.RUN_DIR,
        ),
    )
    state_dir = settings.state.host(host)
    cores = os.cpu_count() or 1

    def guests(images: ImageSource) -> GuestDriver:
        where = QemuSettings(
            state_dir=state_dir,
            run_dir=settings.run.host(host),
            probe_cache=settings.state.hosts / "accelerator.json",
        )
        return QemuGuests(world, images, where)

    async def facts(driver: GuestDriver) -> HostFacts:
        # What the probe has found: a /dev/kvm that opens may still hang its guests.
        accelerator = await driver.accelerator()
        look = functools.partial(machine_facts, shared_by=settings.hosts, accelerator=accelerator)
        return await world.in_thread(look, host, state_dir, place.address)

    ground = AgentGround(
        world=world,
        host=host,
        dials=(functools.partial(dial_unix, settings.run.agents_socket),),
        journal=FileStore(state_dir / "journal.json"),
        guests=guests,
        networks=networks,
        facts=facts,
        starts_at_once=2 * cores,
    )
    runtime = build(ground)
    running = world.spawn(runtime.run(), "agent")
    asked: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, asked.put_nowait, "end")
    loop.add_signal_handler(signal.SIGINT, asked.put_nowait, "end")
    loop.add_signal_handler(signal.SIGUSR1, asked.put_nowait, "drain")
    # the supervisor blocks it until there is somebody to hear it
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    order = world.spawn(asked.get(), "signals")
    await asyncio.wait([running, order], return_when=asyncio.FIRST_COMPLETED)
    if order.done():
        _LOG.info("%s", order.result())
        await (runtime.drain() if order.result() == "drain" else runtime.end())
    await running
    await world.close()
