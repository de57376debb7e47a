"""Guests as QEMU processes: one each, started detached, driven by QMP, found again by whoever comes next."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kilostack.core.world import World
from kilostack.drivers.guests import argv, confinement, console, disk, faults, process
from kilostack.drivers.guests.accelerator import Accelerator
from kilostack.drivers.guests.images import ImageCache, cache_key
from kilostack.drivers.guests.monitor import MonitorLost
from kilostack.drivers.guests.port import GuestFault, ImageSource, Observed, Stop
from kilostack.drivers.guests.record import GuestDirectories, GuestFiles, Record
from kilostack.drivers.guests.session import Sessions
from kilostack.wire.compute import Guest

log = logging.getLogger(__name__)

_POWER_BUTTON_AGAIN_S: Final = 5.0
_SWEEP_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class QemuSettings:
    """Where a host's guests live."""

    #: guests, disks and images of this host
    state_dir: Path
    #: sockets; at most `record.MAX_RUN_DIR_BYTES` long
    run_dir: Path
    #: what the probe of the accelerator found; may be shared by all hosts of a machine
    probe_cache: Path
    #: run each QEMU as a user of its own where we are root
    is_confined: bool = True


class QemuGuests:
    """The guests of one host. See `port.GuestDriver` for what each verb promises."""

    def __init__(self, world: World, source: ImageSource, settings: QemuSettings) -> None:
        self._world = world
        self._settings = settings
        self._directories = GuestDirectories(settings.state_dir, settings.run_dir)
        self._images = ImageCache(world, settings.state_dir / "images", source)
        self._accelerator = Accelerator(world, settings.probe_cache)
        self._changes: asyncio.Queue[str] = asyncio.Queue()
        self._sessions = Sessions(world, self._changes.put_nowait)
        self._sweeper: asyncio.Task[None] | None = None

    async def open(self) -> None:
        with _host_trouble("opening the host's guests"):
            self._directories.open()
            self._images.open()
        self._accelerator.begin()
        self._images.remove_unused(self._directories.images())
        await self.observe()
        self._sweeper = self._world.spawn(self._sweep(), "sweep guests")

    async def close(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        await self._sessions.close()

    async def accelerator(self) -> str:
        return await self._accelerator.chosen()

    async def observe(self) -> Mapping[str, Observed]:
        found = await asyncio.gather(*(self._look(files) for files in self._directories))
        return {observed.id: observed for observed in found if observed is not None}

    async def look(self, guest_id: str) -> Observed | None:
        return await self._look(self._directories.of(guest_id))

    async def _look(self, files: GuestFiles) -> Observed | None:
        record = files.read()
        if record is None:
            return None
        running = process.find(files.id, files.pid)
        if running is not None:
            state = await self._sessions.run_state(files, running)
            record = files.read() or record
            if state == "shutdown":
                why = record.shut_down(running.boot).stopped
                return Observed(id=files.id, boot=running.boot, stop=Stop(why or Stop.ITSELF))
            if state is not None:
                return Observed(id=files.id, boot=running.boot, stop=None)
        stop = Stop.NEVER_STARTED if not record.boot else Stop(record.stopped) if record.stopped else Stop.DIED
        return Observed(id=files.id, boot=record.boot, stop=stop)

    async def ensure_disk(self, guest: Guest) -> None:
        files = self._directories.of(guest.id)
        with _host_trouble("making the guest's disk"):
            record = Record(image=cache_key(guest.image))
            # Written first, so that the image counts as needed from here on.
            await self._world.in_thread(files.create, record)
            inspected = await self._images.ensure(guest.image)
            base = disk.Base(
                path=self._images.path(record.image),
                disk_format=guest.image.disk_format,
                virtual_size_bytes=inspected.virtual_size_bytes,
            )
            if not files.disk.exists():
                await disk.make_overlay(base, files.disk, disk.disk_bytes(base, guest.disk_gib))

    async def start(self, guest: Guest) -> None:
        files = self._directories.of(guest.id)
        running = process.find(guest.id, files.pid)
        if running is not None:
            if running.boot == guest.boot and await self._sessions.run_state(files, running) not in ("shutdown", None):
                return
            await self.stop(guest.id, 0)
        record = files.read()
        if record is None or not files.disk.exists():
            raise GuestFault("The guest has no disk.")
        base = self._images.path(record.image), guest.image.disk_format
        host = argv.HostTraits(
            accelerator=await self._accelerator.chosen(),
            version=await confinement.qemu_version(),
            run_as=confinement.user_of(guest.id) if self._settings.is_confined else None,
        )
        command = argv.build(guest, files, base, host)
        with _host_trouble("starting the guest"):
            await self._end_strays(files)
            files.forget_process()
            await self._update(files, lambda record: record.started(guest.boot))
            files.write_argv(command)
            await self._sessions.start(files, command, guest.boot)

    async def stop(self, guest_id: str, timeout_s: float) -> None:
        files = self._directories.of(guest_id)
        with _host_trouble("stopping the guest"):
            record = files.read()
            if record is None:
                return
            running = process.find(guest_id, files.pid)
            if running is not None:
                if timeout_s > 0 and not record.stopped:
                    await self._update(files, Record.stop_begun)
                    await self._press_power_button(files, running, timeout_s)
                await self._sessions.end(files, running)
            await self._update(files, Record.stop_ended)
            files.forget_process()

    async def _press_power_button(self, files: GuestFiles, running: process.Process, timeout_s: float) -> None:
        """A guest that is still booting does not hear the button, so it is pressed again and again."""
        deadline = self._world.monotonic() + timeout_s
        while (left := deadline - self._world.monotonic()) > 0:
            try:
                await self._sessions.execute(files, running, "system_powerdown")
            except MonitorLost:
                return
            if await self._sessions.has_ended(files, running, min(left, _POWER_BUTTON_AGAIN_S)):
                return

    async def remove(self, guest_id: str) -> None:
        files = self._directories.of(guest_id)
        with _host_trouble("removing the guest"):
            running = process.find(guest_id, files.pid)
            if running is not None:
                await self._sessions.end(files, running)
            await self._end_strays(files)
            await self._world.in_thread(files.remove)
            self._sessions.forget(guest_id)
            self._images.remove_unused(self._directories.images())

    async def console(self, guest_id: str, lines: int | None = None) -> str:
        return await self._world.in_thread(console.tail, self._directories.of(guest_id).console, lines)

    async def changes(self) -> AsyncIterator[str]:
        while True:
            yield await self._changes.get()

    async def _end_strays(self, files: GuestFiles) -> None:
        """Processes that an agent started and did not live to hear of."""
        for stray in await self._world.in_thread(process.scan, files.id):
            log.warning("guest %s: ending a process that nobody knew of", files.id)
            await process.kill(stray, files.id)

    async def _update(self, files: GuestFiles, change: Callable[[Record], Record]) -> None:
        await self._world.in_thread(files.update, change)

    async def _sweep(self) -> None:
        """Keep console logs bounded, and wake guests that wait for disk space."""
        while True:
            await self._world.sleep(_SWEEP_S)
            for files in list(self._directories):
                try:
                    await self._world.in_thread(console.bound, files.console)
                    running = process.find(files.id, files.pid)
                    if running is not None and await self._sessions.run_state(files, running) == "io-error":
                        await self._sessions.execute(files, running, "cont")
                except (OSError, MonitorLost) as error:
                    log.warning("guest %s: %s", files.id, error)


@contextmanager
def _host_trouble(doing: str) -> Iterator[None]:
    """System calls that fail end as a fault for the owner."""
    try:
        yield
    except OSError as error:
        raise faults.from_os(error, doing) from error
