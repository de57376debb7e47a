"""The services of a cloud put together in one process: the control plane of a laptop, and of every simulation.

Everything that differs between the two is given: the world, the databases, the place of contents, how hosts connect.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import MetaData

from kilostack import __version__
from kilostack.assembly.configuration import Configuration
from kilostack.assembly.health import Access, Health, Ready, watch_lag
from kilostack.bus.hints import Hints
from kilostack.compute import service as compute
from kilostack.compute.api import table as compute_api
from kilostack.compute.app.known_hosts import KnownHosts
from kilostack.compute.scheduler.scheduler import Scheduler
from kilostack.compute.store import tables as compute_tables
from kilostack.core.audit import Chain
from kilostack.core.secret import Secret
from kilostack.core.telemetry import Metrics
from kilostack.core.vault import Entropy, Vault
from kilostack.core.world import World
from kilostack.drivers.blobs.port import Blobs
from kilostack.drivers.web.real import RealWeb
from kilostack.gateway.gateway import Gateway, GatewayParts
from kilostack.http.app import make_app
from kilostack.http.audit import AuditLog
from kilostack.http.discovery import ServiceRoot, cloud_root
from kilostack.http.openapi import openapi
from kilostack.http.routes import Api
from kilostack.http.verifier import Verifier
from kilostack.identity.app.bootstrap import ServicePlace
from kilostack.identity.app.ground import IdentityParts
from kilostack.identity.service import IdentityService
from kilostack.identity.store import tables as identity_tables
from kilostack.image.service import ImageService
from kilostack.image.service import Parts as ImageParts
from kilostack.image.store import tables as image_tables
from kilostack.network.service import NetworkService
from kilostack.network.service import ServiceParts as NetworkParts
from kilostack.network.store import tables as network_tables
from kilostack.placement.service import Parts as PlacementParts
from kilostack.placement.service import PlacementService
from kilostack.placement.store import tables as placement_tables
from kilostack.store import audit as audit_store
from kilostack.store.database import Database
from kilostack.wire.calls import Calls, LocalCalls
from kilostack.workflow.saga import Saga

#: service -> its tables and the number of its schema
SCHEMAS: Mapping[str, tuple[MetaData, int]] = {
    "identity": (identity_tables.META, identity_tables.SCHEMA_NUMBER),
    "compute": (compute_tables.META, compute_tables.SCHEMA_NUMBER),
    "placement": (placement_tables.META, placement_tables.SCHEMA_NUMBER),
    "network": (network_tables.META, network_tables.SCHEMA_NUMBER),
    "image": (image_tables.META, image_tables.SCHEMA_NUMBER),
    "audit": (audit_store.META, audit_store.SCHEMA_NUMBER),
}

PLACES = (
    ServicePlace("identity", "keystone", "/identity"),
    ServicePlace("compute", "nova", "/compute/v2.1"),
    ServicePlace("network", "neutron", "/network"),
    ServicePlace("image", "glance", "/image"),
)


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What a cloud stands on. `kinds` are replaced by tests that break steps of sagas on purpose."""

    world: World
    hints: Hints
    databases: Mapping[str, Database]
    blobs: Blobs
    master_key: bytes
    #: the content of the key file as it is now; None where it never changes
    reread_key: Callable[[], bytes] | None = None
    entropy: Entropy = os.urandom
    #: service -> an operator's rules
    policies: Mapping[str, Mapping[str, str]] = {}
    configuration: Configuration = Configuration()
    kinds: Sequence[Saga] = compute.KINDS
    #: the table of calls inside this process, and what services call through; tests lose and repeat calls there
    local_calls: LocalCalls | None = None
    calls: Calls | None = None


class Seed(msgspec.Struct, frozen=True, kw_only=True):
    """What a new cloud is made with."""

    admin_password: Secret
    demo_password: Secret
    public_cidr: str
    public_gateway: str
    #: the file of image `tiny`; None makes a simulated one
    tiny: Path | None


class Cloud:
    """Every service, the gateway and the ASGI application of one process."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        world, hints, databases = ground.world, ground.hints, ground.databases
        local_calls = ground.local_calls or LocalCalls(world)
        calls: Calls = ground.calls or local_calls
        self.metrics = Metrics()
        vault = Vault(ground.master_key, ground.entropy, ground.reread_key)
        self.audit = AuditLog(databases["audit"], world, Chain(vault.digest))
        self.identity = IdentityService(
            IdentityParts(
                db=databases["identity"],
                world=world,
                vault=vault,
                entropy=ground.entropy,
                web=RealWeb(world),
                settings=ground.configuration.identity,
                overrides=ground.policies.get("identity", {}),
            )
        )
        self.image = ImageService(
            ImageParts(db=databases["image"], world=world, blobs=ground.blobs, policy=ground.policies.get("image", {}))
        )
        self.placement = PlacementService(
            PlacementParts(db=databases["placement"], world=world, hints=hints, calls=calls)
        )
        self.network = NetworkService(
            NetworkParts(
                db=databases["network"],
                world=world,
                hints=hints,
                calls=calls,
                policy=ground.policies.get("network", {}),
            )
        )
        self.gateway = Gateway(GatewayParts(world=world, calls=calls, hints=hints))
        self.scheduler = Scheduler(world, calls, KnownHosts(databases["compute"]))
        self.compute = compute.ComputeService(
            compute.ServiceParts(
                db=databases["compute"],
                world=world,
                hints=hints,
                calls=calls,
                chooser=self.scheduler,
                consoles=self.gateway,
                policy=ground.policies.get("compute", {}),
                kinds=ground.kinds,
            )
        )
        for service in (self.identity, self.image, self.placement, self.network, self.compute):
            local_calls.serve(service.answers)
        self.verifier = Verifier(calls, hints, world)
        self._started = False

    async def bootstrap(self, seed: Seed) -> None:
        """Seed a new cloud; of an older one only what it lacks is added. Nothing is running yet."""
        await self.identity.bootstrap(seed.admin_password, seed.demo_password, PLACES)
        admin = await self.identity.project_id("admin")
        demo = await self.identity.project_id("demo")
        await self.network.bootstrap(seed.public_cidr, seed.public_gateway, admin, demo)
        await self.compute.bootstrap()
        await self.image.bootstrap(seed.tiny, admin)

    async def start(self, seed: Seed | None, *, exclusive: bool) -> None:
        """Start everything. `exclusive` says that no other process uses these databases."""
        await self.identity.start()
        await self.image.start()
        if seed is not None:
            await self.bootstrap(seed)
        await self.placement.start()
        await self.network.start()
        await self.compute.start(exclusive=exclusive)
        await self.verifier.start()
        await self.gateway.start()
        self._ground.world.spawn(watch_lag(self.metrics, self._ground.world), "loop-lag")
        self._started = True

    def apis(self) -> tuple[Api, ...]:
        """The route table of every public API."""
        health = Health(self.metrics, self.look)
        roots = tuple(ServiceRoot(place.type, place.name, place.path) for place in PLACES)
        services = (
            self.identity.root,
            self.identity.api,
            *compute_api.api(self.compute.app),
            self.network.root,
            self.network.api,
            self.image.root,
            self.image.api,
        )
        return (health.api, cloud_root(roots), openapi(services, __version__), *services)

    def app(self) -> Any:
        """The ASGI application with every public API."""
        return make_app(self.apis(), self.verifier, self._ground.world, Access(self.metrics), self.audit)

    async def look(self) -> Ready:
        """Whether the databases can be asked, and how many hosts are connected."""
        self.metrics.sagas_alive.now = await self.compute.living_sagas()
        return Ready(ready=self._started, hosts=await self.compute.connected_hosts())
