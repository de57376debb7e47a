"""Connections to the QEMU processes of a host: made when they are needed, lost with a process, never the truth."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from kilostack.core.world import World
from kilostack.drivers.guests import faults, process
from kilostack.drivers.guests.monitor import Monitor, MonitorLost
from kilostack.drivers.guests.port import GuestFault
from kilostack.drivers.guests.process import Process, Watch
from kilostack.drivers.guests.record import GuestFiles

log = logging.getLogger(__name__)

START_TIMEOUT_S: Final = 60.0
_QUIT_TIMEOUT_S: Final = 3.0


class _Session:
    """One process, watched, with its monitor."""

    def __init__(self, watch: Watch, monitor: Monitor, boot: int) -> None:
        self.watch = watch
        self.monitor = monitor
        self.boot = boot


class Sessions:
    """All sessions of a host. `notify` is called with the id of a guest whose process has ended."""

    def __init__(self, world: World, notify: Callable[[str], None]) -> None:
        self._world = world
        self._notify = notify
        self._sessions: dict[str, _Session] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._followers: dict[str, asyncio.Task[None]] = {}

    async def close(self) -> None:
        """Hang up on all; the processes go on."""
        followers = list(self._followers.values())
        for follower in followers:
            follower.cancel()
        await asyncio.gather(*followers, return_exceptions=True)
        sessions = list(self._sessions.values())
        self._sessions.clear()
        for session in sessions:
            session.watch.close()
        await asyncio.gather(*(session.monitor.close() for session in sessions))

    async def start(self, files: GuestFiles, command: Sequence[str], boot: int) -> None:
        """Run a new process until its monitor answers. A process that does not come so far is gone afterwards."""
        watch = Watch(process.spawn(command, files.errors))
        try:
            async with self._world.timeout(START_TIMEOUT_S):
                monitor = await self._first_connection(files, watch)
        except BaseException as error:
            watch.kill()
            await watch.wait()
            if isinstance(error, TimeoutError):
                raise GuestFault("The host's hypervisor did not answer in time.") from error
            raise
        self._keep(files, _Session(watch, monitor, boot))

    async def _first_connection(self, files: GuestFiles, watch: Watch) -> Monitor:
        while not watch.has_ended:
            if files.monitor.exists():
                try:
                    return await Monitor.connect(self._world, files.monitor, lambda: self._poke(files))
                except MonitorLost:
                    pass  # the socket is there before somebody listens
            await self._world.sleep(0.01)
        raise faults.from_output(_content(files.errors), "starting the guest")

    async def run_state(self, files: GuestFiles, running: Process) -> str | None:
        """QEMU's run state; "unknown" while it does not answer, None when it has ended meanwhile."""
        try:
            return str((await self.execute(files, running, "query-status"))["status"])
        except MonitorLost:
            return "unknown" if process.find(files.id, files.pid) == running else None

    async def execute(self, files: GuestFiles, running: Process, command: str) -> Any:
        session = await self._attach(files, running)
        try:
            return await session.monitor.execute(command)
        except MonitorLost:
            await self._drop(files.id, session)
            raise

    async def has_ended(self, files: GuestFiles, running: Process, within_s: float) -> bool:
        """Wait up to `within_s` for the process to end."""
        try:
            session = await self._attach(files, running)
            async with self._world.timeout(within_s):
                await session.watch.wait()
        except TimeoutError:
            return False
        except MonitorLost:
            return process.find(files.id, files.pid) != running
        return True

    async def end(self, files: GuestFiles, running: Process) -> None:
        """End the process, by QMP so that its disk is closed well, else by a signal."""
        try:
            async with self._world.timeout(_QUIT_TIMEOUT_S):
                session = await self._attach(files, running)
                await session.monitor.execute("quit")
                await session.watch.wait()
        except (MonitorLost, TimeoutError):
            # It is ending already, or does not listen.
            await process.kill(running, files.id)

    async def _attach(self, files: GuestFiles, running: Process) -> _Session:
        """The session of this process, made when there is none. Raises `MonitorLost`."""
        async with self._locks.setdefault(files.id, asyncio.Lock()):
            session = self._sessions.get(files.id)
            if session is not None and session.watch.pid == running.pid:
                return session
            try:
                watch = Watch(running.pid)
            except ProcessLookupError as error:
                raise MonitorLost("it has ended") from error
            try:
                monitor = await Monitor.connect(self._world, files.monitor, lambda: self._poke(files))
            except BaseException:
                watch.close()
                raise
            session = _Session(watch, monitor, running.boot)
            self._keep(files, session)
            # What happened while nobody listened is seen now.
            self._poke(files)
            return session

    def forget(self, guest_id: str) -> None:
        """The guest is gone for good."""
        self._locks.pop(guest_id, None)

    def _keep(self, files: GuestFiles, session: _Session) -> None:
        self._sessions[files.id] = session
        follower = self._world.spawn(self._follow(files, session), f"follow guest {files.id}")
        self._followers[files.id] = follower

    async def _drop(self, guest_id: str, session: _Session) -> None:
        if self._sessions.get(guest_id) is session:
            del self._sessions[guest_id]
            self._followers.pop(guest_id).cancel()
            session.watch.close()
            await session.monitor.close()

    async def _follow(self, files: GuestFiles, session: _Session) -> None:
        """Wait for the end of the process; whether it was asked for is in the record."""
        await session.watch.wait()
        if self._sessions.get(files.id) is session:
            del self._sessions[files.id]
            del self._followers[files.id]
        await session.monitor.close()
        self._notify(files.id)

    def _poke(self, files: GuestFiles) -> None:
        self._world.spawn(self._settle(files), f"settle guest {files.id}")

    async def _settle(self, files: GuestFiles) -> None:
        """A guest that was shut down from inside waits as a paused process: write down why, then end the process."""
        session = self._sessions.get(files.id)
        if session is None:
            return
        try:
            if await session.monitor.run_state() != "shutdown":
                return
            await self._world.in_thread(files.update, lambda record: record.shut_down(session.boot))
            await session.monitor.execute("quit")
        except (MonitorLost, OSError) as error:
            log.info("guest %s: %s", files.id, error)


def _content(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
