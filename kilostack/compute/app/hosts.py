"""What compute answers to gateways: connections of hosts, their desired guests, their reports."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from kilostack.compute.model.records import Host, Placed
from kilostack.compute.model.server import Fault, Server, ServerEvent
from kilostack.compute.store import actions, guests, hosts, servers
from kilostack.compute.store.tables import FEED, GUESTS, SAGAS, SERVERS
from kilostack.core.world import Micros, World
from kilostack.store.database import Database, Tx
from kilostack.wire.calls import Actor, Answers, Calls, Nothing
from kilostack.wire.compute import Guest, GuestReport, HostFacts
from kilostack.wire.hosts import (
    COMPUTE,
    Beat,
    ChangesAsked,
    ChangesSeen,
    Connect,
    Connected,
    Disconnect,
    HostState,
    HostStateAsked,
    Reported,
)
from kilostack.wire.placement_calls import ENSURE_PROVIDER, Inventory, Provider

_LOG = logging.getLogger("kilostack.compute.hosts")


class Ratios(msgspec.Struct, frozen=True, kw_only=True):
    """How far a host's parts are promised beyond what they are."""

    cpu: float = 16.0
    memory: float = 1.5
    disk: float = 1.0
    #: kept for the host itself
    reserved_memory_mib: int = 256


class Hosts:
    """The internal face of compute towards gateways."""

    def __init__(self, db: Database, world: World, calls: Calls, ratios: Ratios) -> None:
        self._db, self._world, self._calls, self._ratios = db, world, calls, ratios

    def answer(self, answers: Answers) -> None:
        """Add what this class answers."""
        answers.add(COMPUTE.connect, self.connect)
        answers.add(COMPUTE.disconnect, self.disconnect)
        answers.add(COMPUTE.state, self.state)
        answers.add(COMPUTE.changes, self.changes)
        answers.add(COMPUTE.report, self.report)
        answers.add(COMPUTE.beat, self.beat)

    async def connect(self, asked: Connect, actor: Actor) -> Connected:
        ids, now = (self._world.new_id(), self._world.new_id()), self._world.now()
        host = await self._db.write(lambda tx: hosts.connect(tx, asked, ids, now))
        await self._calls.call(ENSURE_PROVIDER, self._provider(host), actor)
        return Connected(host.epoch)

    def _provider(self, host: Host) -> Provider:
        facts: HostFacts = host.facts
        reserved = min(self._ratios.reserved_memory_mib, facts.memory_mib // 4)
        return Provider(
            id=host.id,
            name=host.name,
            inventories={
                "VCPU": Inventory(total=facts.vcpus, allocation_ratio=self._ratios.cpu),
                "MEMORY_MB": Inventory(total=facts.memory_mib, reserved=reserved, allocation_ratio=self._ratios.memory),
                "DISK_GB": Inventory(total=facts.disk_gib, allocation_ratio=self._ratios.disk),
            },
        )

    async def disconnect(self, asked: Disconnect, actor: Actor) -> Nothing:
        now = self._world.now()
        await self._db.write(lambda tx: hosts.disconnect(tx, asked.host, asked.epoch, now))
        return Nothing()

    async def state(self, asked: HostStateAsked, actor: Actor) -> HostState:
        return await self._db.read(lambda tx: guests.host_state(tx, asked.host, asked.known))

    async def changes(self, asked: ChangesAsked, actor: Actor) -> ChangesSeen:
        seen = await self._db.read(lambda tx: FEED.after(tx, asked.after))
        return ChangesSeen(seen.last, seen.keys, seen.complete)

    async def beat(self, asked: Beat, actor: Actor) -> Nothing:
        await self._db.write(lambda tx: hosts.beat(tx, asked.gateway, asked.beat))
        return Nothing()

    async def report(self, reported: Reported, actor: Actor) -> Nothing:
        reports = [msgspec.json.decode(raw, type=GuestReport) for raw in reported.reports]
        now = self._world.now()

        async def unit(tx: Tx) -> None:
            await hosts.check_epoch(tx, reported.host, reported.epoch)
            for report in reports:
                await fold(tx, reported.host, report, now)

        await self._db.write(unit)
        return Nothing()


async def fold(tx: Tx, host: str, report: GuestReport, now: Micros) -> None:
    """Take a host's word on a guest into the guest's and the server's row."""
    placed = await GUESTS.find(tx, server_id=report.id)
    if placed is None or placed.host != host:
        return
    if report.state == "absent":
        if placed.removing:
            await GUESTS.delete(tx, server_id=report.id)
            await SAGAS.wake(tx, report.id)
        return
    if placed.removing or report.generation < placed.revision:
        return
    seen = {"observed": report.state, "observed_revision": report.generation, "observed_boot": report.boot}
    placed = msgspec.structs.replace(placed, updated_at=now, **seen)
    await GUESTS.update(tx, placed)
    server = await SERVERS.find(tx, id=report.id)
    if server is None:
        return
    if (event := _event(placed, report)) is not None:
        await _happened(tx, server, event, report, now)
    if report.state == "stopped" and report.stopped_itself and placed.guest.power == "on":
        # a guest that halted stays halted until its owner starts it
        await guests.change(tx, placed, now, _off)


def _off(guest: Guest) -> Guest:
    return msgspec.structs.replace(guest, power="off")


def _event(placed: Placed, report: GuestReport) -> ServerEvent | None:
    """What the report says about the server; None when it is not about what is desired now."""
    guest = placed.guest
    if report.state == "failed":
        return ServerEvent.GUEST_FAILED
    if report.state == "running":
        return ServerEvent.GUEST_RUNNING if guest.power == "on" and report.boot >= guest.boot else None
    if guest.power == "off" or (report.stopped_itself and report.boot >= guest.boot):
        return ServerEvent.GUEST_STOPPED
    return None


async def _happened(tx: Tx, server: Server, event: ServerEvent, report: GuestReport, now: Micros) -> None:
    state = server.after(event)
    fault = None
    if event is ServerEvent.GUEST_FAILED:
        fault = Fault(code=500, message=report.fault or "The guest failed on its host.", created_at=now)
    # while a saga holds the server, the task is the saga's to show
    task_state = server.task_state if server.saga_id is not None else None
    launched_at = server.launched_at or (now if event is ServerEvent.GUEST_RUNNING else None)
    if (state, task_state, fault is None) == (server.state, server.task_state, server.fault is None):
        return
    fields = {"state": state, "task_state": task_state, "fault": fault, "launched_at": launched_at}
    await servers.change(tx, server, now, **fields)
    if server.saga_id is None:
        await actions.finish_open(tx, server.id, now, None if fault is None else fault.message)


class Watch:
    """Marks the hosts of dead gateways as not connected: a gateway whose beat stands still for `PATIENCE_S` is dead."""

    PATIENCE_S = 5.0

    def __init__(self, db: Database, world: World) -> None:
        self._db, self._world = db, world
        self._seen: dict[str, tuple[int, float]] = {}

    async def run(self, failed: Callable[[Exception], None]) -> None:
        """Look once a second, for ever; `failed` is told when the database cannot be asked."""
        while True:
            await self._world.sleep(1.0)
            try:
                await self.look()
            except Exception as error:
                self._seen.clear()
                failed(error)

    async def look(self) -> None:
        now = self._world.monotonic()
        for gateway, beat in list((await self._db.read(hosts.beats)).items()):
            seen, since = self._seen.get(gateway, (-1, now))
            if seen != beat:
                self._seen[gateway] = (beat, now)
            elif now - since >= self.PATIENCE_S:
                await self._lose(gateway, beat)

    async def _lose(self, gateway: str, beat: int) -> None:
        wall = self._world.now()

        async def unit(tx: Tx) -> int:
            return await hosts.lose(tx, gateway, beat, wall)

        self._seen.pop(gateway, None)
        if lost := await self._db.write(unit):
            _LOG.warning("gateway %s is gone, and %d hosts with it", gateway, lost)
