"""`kilostack serve`: the control plane of one machine as a process, on SQLite files and the machine's own clocks."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path

import uvicorn
import uvloop

from kilostack.assembly import configuration, open_files, policies
from kilostack.assembly.cloud import SCHEMAS, Cloud, Ground, Seed
from kilostack.assembly.simulated_hosts import SimulatedHosts
from kilostack.bus.hints import LocalHints
from kilostack.core.policy import PolicyError
from kilostack.core.secret import Secret
from kilostack.core.settings import Settings
from kilostack.core.telemetry import log_to_stderr
from kilostack.core.vault import WrongMasterKey, load_master_key
from kilostack.core.world import RealWorld
from kilostack.drivers.blobs.files import FileBlobs
from kilostack.store.schema import DamagedDatabase, WrongSchema
from kilostack.store.sqlite import SqliteDatabase
from kilostack.wire.framing import serve_unix

_LOG = logging.getLogger("kilostack.control_plane")
#: seconds that open requests get when the process is told to end
_DRAIN_S = 5
_KEEP_ALIVE_S = 75
_BACKLOG = 512


def main(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Exits with a message when it cannot."""
    log_to_stderr("control-plane")
    open_files.allow(open_files.MOST_OF_CONTROL_PLANE)
    try:
        uvloop.run(serve(settings))
    except (configuration.BadConfiguration, DamagedDatabase, PolicyError, WrongSchema, WrongMasterKey) as error:
        _LOG.error("%s", error)
        sys.exit(str(error))


async def serve(settings: Settings) -> None:
    """The whole control plane; returns after a signal, when requests under way have been answered."""
    world = RealWorld()
    rules, chosen = policies.load(settings.policies), configuration.load(settings.config)
    listener = _listener(settings.port)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    hints = LocalHints(world)
    databases = {name: _open(settings, name, world, hints) for name in SCHEMAS}
    reread_key = partial(load_master_key, settings.state.master_key)
    blobs = FileBlobs(settings.state.images, world)
    ground = Ground(
        world=world,
        hints=hints,
        databases=databases,
        blobs=blobs,
        master_key=reread_key(),
        reread_key=reread_key,
        policies=rules,
        configuration=chosen,
    )
    cloud = Cloud(ground)
    await cloud.start(_seed(settings), exclusive=True)
    agents = None
    if settings.simulate:
        hosts = SimulatedHosts(world, cloud.gateway, settings.state.databases)
        await hosts.start(settings.host_names())
    else:
        agents = await serve_unix(settings.run.agents_socket, world, cloud.gateway.accept)
    server = _server(cloud)
    answering = world.spawn(server.serve(sockets=[listener]), "http")
    gc.freeze()  # routes, schemas and statements stay, too: nobody waits while they are looked through
    # NumPy takes a moment to load: before the first server asks for a host, after the first answer
    world.spawn(cloud.scheduler.warm(), "warm-scheduler")
    await stop.wait()
    _LOG.info("ending")
    if agents is not None:
        agents.close()
    server.should_exit = True
    await answering
    await cloud.audit.close()
    await cloud.gateway.close()
    await world.close()
    for database in databases.values():
        await database.close()


def _open(settings: Settings, service: str, world: RealWorld, hints: LocalHints) -> SqliteDatabase:
    meta, number = SCHEMAS[service]
    database = SqliteDatabase(settings.state.databases / f"{service}.db", world, hints.send)
    database.prepare(service, number, meta)
    return database


def _seed(settings: Settings) -> Seed:
    passwords = json.loads(Path(settings.state.passwords).read_text(encoding="utf-8"))
    if settings.public_cidr is None:
        raise ValueError("the public range of the cloud was not settled")
    public = IPv4Network(settings.public_cidr)
    return Seed(
        admin_password=Secret(passwords["admin"]),
        demo_password=Secret(passwords["demo"]),
        public_cidr=str(public),
        public_gateway=str(public.network_address + 1),
        tiny=None if settings.simulate else settings.image,
    )


class _Server(uvicorn.Server):
    """Leaves signals to this process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _server(cloud: Cloud) -> _Server:
    config = uvicorn.Config(
        cloud.app(),
        lifespan="off",
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_DRAIN_S,
        # whoever may say where a request comes from may guess passwords for ever
        proxy_headers=False,
    )
    return _Server(config)


def _listener(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(_BACKLOG)
    return listener
