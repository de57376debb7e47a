"""Stand-ins around gateways and agents: a service with desired state on hosts, and a part whose host is a dict."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from kilostack.core.errors import Refused
from kilostack.wire.calls import Actor, Answers, Nothing
from kilostack.wire.compute import Guest, GuestReport, ImageRef, Metadata
from kilostack.wire.hosts import (
    Beat,
    ChangesAsked,
    ChangesSeen,
    Connect,
    Connected,
    Disconnect,
    HostOps,
    HostState,
    HostStateAsked,
    Reported,
)
from kilostack.wire.network import Port, PortReport
from tests.sim.world import SimWorld


def guest(name: str, revision: int, image: str = "image-1") -> Guest:
    metadata = Metadata(hostname=name, name=name, project_id="p", user_id="u", availability_zone="nova")
    ref = ImageRef(id=image, disk_format="raw", size_bytes=10, sha512="")
    return Guest(
        id=name,
        generation=revision,
        name=name,
        vcpus=1,
        memory_mib=64,
        disk_gib=1,
        image=ref,
        nics=(),
        power="on",
        boot=1,
        metadata=metadata,
    )


def port(name: str, revision: int) -> Port:
    return Port(
        id=name,
        revision=revision,
        network_id="n",
        mac="fa:16:3e:00:00:01",
        fixed_ips=(),
        device_id="",
        security_groups=(),
    )


class StandIn:
    """A service with desired state on hosts: what it was told, and what it was asked."""

    def __init__(self, name: str) -> None:
        self.name, self.ops = name, HostOps(name)
        self.prefix = "guest" if name == "compute" else "port"
        #: host -> key -> revision
        self.desired: dict[str, dict[str, int]] = {}
        self.removed: set[str] = set()
        self.feed: list[tuple[str, ...]] = []
        self.epochs: dict[str, int] = {}
        self.connected: dict[str, str] = {}
        self.seen: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.beats: dict[str, int] = {}
        self.refuse: Callable[[dict[str, Any]], None] = lambda report: None
        self.changed: Callable[[], None] = lambda: None
        self.answers = Answers()
        for op, handler in (
            (self.ops.connect, self._connect),
            (self.ops.disconnect, self._disconnect),
            (self.ops.state, self._state),
            (self.ops.changes, self._changes),
            (self.ops.report, self._report),
            (self.ops.beat, self._beat),
        ):
            self.answers.add(op, handler)  # type: ignore[arg-type]

    def want(self, host: str, name: str, revision: int | None) -> None:
        """Desire an object on a host, or no more. A change of one that the host knows does not name the host."""
        key = f"{self.prefix}/{name}"
        mine = self.desired.setdefault(host, {})
        self.feed.append((key,) if key in mine and revision is not None else (key, f"host/{host}"))
        if revision is None:
            mine.pop(key, None)
            self.removed.add(name)
        else:
            mine[key] = revision
        self.changed()

    def settled(self, host: str) -> bool:
        """Whether the host has said of everything that it is as desired."""
        seen = self.seen.get(host, {})
        for key, revision in self.desired.get(host, {}).items():
            report = seen.get(key.partition("/")[2])
            if report is None or report.get("generation", report.get("revision")) != revision:
                return False
        if self.name != "compute":
            return True
        wanted = {key.partition("/")[2] for key in self.desired.get(host, {})}
        return all(report["state"] == "absent" for name, report in seen.items() if name not in wanted)

    async def _connect(self, asked: Connect, actor: Actor) -> Connected:
        self.epochs[asked.host] = self.epochs.get(asked.host, 0) + 1
        self.connected[asked.host] = asked.gateway
        return Connected(self.epochs[asked.host])

    async def _disconnect(self, asked: Disconnect, actor: Actor) -> Nothing:
        if self.epochs.get(asked.host) == asked.epoch:
            self.connected.pop(asked.host, None)
        return Nothing()

    async def _state(self, asked: HostStateAsked, actor: Actor) -> HostState:
        self.asked.append(asked.host)
        mine = self.desired.get(asked.host, {})
        changed: dict[str, msgspec.Raw] = {}
        for key, revision in mine.items():
            if asked.known.get(key) != revision:
                name = key.partition("/")[2]
                thing = guest(name, revision) if self.name == "compute" else port(name, revision)
                changed[key] = msgspec.Raw(msgspec.json.encode(thing))
        gone = [key for key in asked.known if key not in mine]
        unheard = [
            f"{self.prefix}/{name}"
            for name in sorted(self.removed)
            if self.name == "compute" and self.seen.get(asked.host, {}).get(name, {"state": ""})["state"] != "absent"
        ]
        removed = tuple(dict.fromkeys([*gone, *(key for key in unheard if key not in mine)]))
        return HostState(changed=changed, revisions={key: mine[key] for key in changed}, removed=removed)

    async def _changes(self, asked: ChangesAsked, actor: Actor) -> ChangesSeen:
        keys = dict.fromkeys(key for entry in self.feed[asked.after :] for key in entry)
        return ChangesSeen(len(self.feed), tuple(keys))

    async def _report(self, reported: Reported, actor: Actor) -> Nothing:
        if self.epochs.get(reported.host) != reported.epoch:
            raise Refused("an old epoch")
        decoded = [msgspec.json.decode(raw) for raw in reported.reports]
        for report in decoded:
            self.refuse(report)
        for report in decoded:
            self.seen.setdefault(reported.host, {})[report["id"]] = report
        return Nothing()

    async def _beat(self, asked: Beat, actor: Actor) -> Nothing:
        assert asked.beat == 0 or asked.beat >= self.beats.get(asked.gateway, 0)
        self.beats[asked.gateway] = asked.beat
        return Nothing()


class MemoryStore:
    """A journal that outlives agents."""

    def __init__(self) -> None:
        self.content: bytes | None = None
        self.is_full = False

    def read(self) -> bytes | None:
        return self.content

    def write(self, content: bytes) -> None:
        if self.is_full:
            raise OSError("no space left on device")
        self.content = content


class HostPart:
    """A part whose host is a dictionary that outlives agents: name -> revision."""

    def __init__(self, world: SimWorld, service: StandIn, disk: dict[str, int]) -> None:
        self.service = service.name
        self._world, self._service, self._disk = world, service, disk
        self._desired: dict[str, int] = {}
        self._complete = False
        self._wake = asyncio.Event()
        self._absent: dict[str, Any] = {}
        self.calls = 0
        self.is_running = False

    def changed(self, desired: Mapping[str, Any], complete: bool) -> None:
        self.calls += 1
        self._desired = {item.id: getattr(item, "generation", 0) or item.revision for item in desired.values()}
        self._complete = complete
        self._wake.set()

    def is_gone(self, name: str) -> None:
        if name not in self._disk:
            self._absent[name] = self._report_of(name, 0, "absent")
            self._tell(self._absent[name])

    def reports(self) -> list[Any]:
        made = [self._report_of(name, revision, self._good()) for name, revision in self._disk.items()]
        return [*made, *self._absent.values()]

    async def run(self, report: Callable[[Any], None]) -> None:
        self._tell = report
        self.is_running = True
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._pass(report)
        finally:
            self.is_running = False

    async def _pass(self, report: Callable[[Any], None]) -> None:
        for name, revision in dict(self._desired).items():
            if self._disk.get(name) != revision:
                await self._world.sleep(0.05)
                if self._desired.get(name) == revision:
                    self._disk[name] = revision
                    report(self._report_of(name, revision, self._good()))
        for name in [name for name in self._disk if name not in self._desired] if self._complete else []:
            assert name in self._service.removed, f"{name} is wanted, but is about to be removed"
            await self._world.sleep(0.05)
            if name in self._desired:
                continue
            del self._disk[name]
            self._absent[name] = self._report_of(name, 0, "absent")
            if self.service == "compute":
                report(self._absent[name])

    @staticmethod
    def _tell(report: Any) -> None:
        """Before the part runs nobody listens."""

    def _good(self) -> Any:
        return "running" if self.service == "compute" else "active"

    def _report_of(self, name: str, revision: int, state: Any) -> Any:
        if self.service == "compute":
            return GuestReport(id=name, generation=revision, state=state)
        return PortReport(id=name, revision=revision, state="active")
