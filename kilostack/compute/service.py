"""Compute as assembly puts it together: its public table, what it answers to neighbours, and its loops."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import msgspec

from kilostack.bus.hints import Hints
from kilostack.compute.app.hosts import Hosts, Ratios, Watch
from kilostack.compute.app.parts import Parts
from kilostack.compute.model.records import Flavor
from kilostack.compute.policy import RULES
from kilostack.compute.ports.consoles import Consoles
from kilostack.compute.reconcilers.networking import Networking
from kilostack.compute.reconcilers.pruning import Pruning
from kilostack.compute.store.tables import FLAVORS, HOSTS, LEASES, META, SAGAS, SCHEMA_NUMBER, SERVERS
from kilostack.compute.workflows import server_create, server_delete, server_power
from kilostack.compute.workflows.deps import Chooser, Deps
from kilostack.compute.workflows.resources import ServerRows
from kilostack.core.policy import Policy
from kilostack.core.world import World
from kilostack.store.database import Database, Tx
from kilostack.wire.calls import Actor, Answers, Calls
from kilostack.wire.compute_calls import EXISTING, Servers
from kilostack.workflow import reconciler
from kilostack.workflow.lease import Lease
from kilostack.workflow.runner import Runner, Sagas
from kilostack.workflow.saga import Saga

__all__ = ["KINDS", "META", "SCHEMA_NUMBER", "ComputeService", "ServiceParts"]

_LOG = logging.getLogger("kilostack.compute")
_PRUNE_S = 3600.0

#: every version of every saga that a database may hold
KINDS: tuple[Saga, ...] = (
    server_create.SAGA,
    server_delete.SAGA,
    server_power.START,
    server_power.STOP,
    server_power.REBOOT_SOFT,
    server_power.REBOOT_HARD,
)

_FLAVORS = (("1", "m1.tiny", 1, 128, 1), ("2", "m1.small", 1, 256, 2), ("3", "m1.medium", 2, 1024, 10))


class ServiceParts(msgspec.Struct, frozen=True, kw_only=True):
    """What compute is made from. `kinds` are replaced by tests that break steps on purpose."""

    db: Database
    world: World
    hints: Hints
    calls: Calls
    chooser: Chooser
    consoles: Consoles
    policy: Mapping[str, str] = {}
    kinds: Sequence[Saga] = KINDS
    ratios: Ratios = Ratios()


class ComputeService:
    """Owns servers and what belongs to them."""

    def __init__(self, parts: ServiceParts) -> None:
        self._parts = parts
        world, db = parts.world, parts.db
        rows = ServerRows()
        self.lease = Lease(LEASES, db, world, "conductor", SAGAS.free)
        deps = Deps(db=db, calls=parts.calls, chooser=parts.chooser)
        kinds = {f"{kind.name}/{kind.version}": kind for kind in parts.kinds}
        self.runner = Runner(kinds, SAGAS, rows, deps, (db, world, parts.hints, self.lease))
        self.hosts = Hosts(db, world, parts.calls, parts.ratios)
        self._watch = Watch(db, world)
        self._networking = Networking(db, world, parts.hints, parts.calls)
        self.app = Parts(
            db=db,
            world=world,
            sagas=Sagas(SAGAS, rows),
            calls=parts.calls,
            policy=Policy(RULES, parts.policy),
            kinds={kind.name: kind for kind in parts.kinds},
            consoles=parts.consoles,
        )
        self.answers = Answers()
        self.hosts.answer(self.answers)
        self.answers.add(EXISTING, self._existing)

    async def bootstrap(self) -> None:
        """Make the flavors of a new cloud; nothing if there are any."""
        now = self._parts.world.now()

        async def unit(tx: Tx) -> None:
            if await FLAVORS.count(tx):
                return
            for flavor_id, name, vcpus, memory_mib, disk_gib in _FLAVORS:
                made = Flavor(
                    id=flavor_id, name=name, vcpus=vcpus, memory_mib=memory_mib, disk_gib=disk_gib, created_at=now
                )
                await FLAVORS.insert(tx, made)

        await self._parts.db.write(unit)

    async def start(self, *, exclusive: bool) -> None:
        """Start the loops. `exclusive` says that no other process uses the database."""
        parts = self._parts
        await self.lease.start(exclusive=exclusive)
        parts.world.spawn(self.lease.run(self.runner.drop), "compute-lease")
        parts.world.spawn(self.runner.run(), "compute-sagas")
        parts.world.spawn(self._networking.run(), "compute-networking")
        parts.world.spawn(self._watch.run(lambda error: _LOG.warning("gateways not watched: %s", error)), "gateways")
        pruning = Pruning(parts.db, parts.world)
        prune = reconciler.run(pruning, parts.world, parts.hints, "compute.pruning", _PRUNE_S)
        parts.world.spawn(prune, "compute-pruning")

    async def living_sagas(self) -> int:
        """How many sagas have not ended."""
        return await self._parts.db.read(SAGAS.living)

    async def connected_hosts(self) -> int:
        """How many hosts have an agent that is connected."""
        return await self._parts.db.read(lambda tx: HOSTS.count(tx, connected=True))

    async def _existing(self, asked: Servers, actor: Actor) -> Servers:
        found = await self._parts.db.read(lambda tx: SERVERS.within(tx, "id", asked.ids))
        return Servers(tuple(server.id for server in found))
