"""The supervisor's one loop: children that die are started again, and who asks is answered.

One thread and no asyncio: it must be small, and it forks. Phases follow one another and never go back:

    RUNNING    everything that should run is running, or will be after its pause
    DRAINING   `down`: the agents stop their guests, remove their networks and leave; the control plane listens to them
    LEAVING    the children are told to end, whatever they look after is left as it is
    ENDED
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import StrEnum
from typing import Any

from kilostack.cli.machine import process
from kilostack.cli.program import Fabric
from kilostack.cli.supervisor import record
from kilostack.cli.supervisor.child import Child
from kilostack.cli.supervisor.control import Caller, Listener
from kilostack.cli.supervisor.logs import ChildLog
from kilostack.core.paths import ROOT_RUN_DIR
from kilostack.core.settings import Settings, render

#: How long the agents may take to stop their guests; a guest is given a minute of it.
DRAIN_S = 180.0
DRAIN_TRIES = 3
LEAVE_S = 10.0


class Phase(StrEnum):
    RUNNING = "running"
    DRAINING = "draining"
    LEAVING = "leaving"
    ENDED = "ended"


class Supervisor:
    """Runs the children of one cloud until it is told to stop."""

    def __init__(
        self, settings: Settings, children: Iterable[Child], fabric: Fabric | None, log: ChildLog, listener: Listener
    ) -> None:
        self._settings = settings
        self._children = list(children)
        self._fabric = fabric
        self._log = log
        self._listener = listener
        self._selector = selectors.DefaultSelector()
        self._phase = Phase.RUNNING
        self._deadline = 0.0
        self._wipe = False
        self._cleared = False
        self._watchers: list[Caller] = []
        self._problems: list[str] = []
        self._build = ""

    def run(self, build: str, ready: Callable[[str], None]) -> None:
        """Start everything, call `ready` with an empty text or with what went wrong, and stay until the end.

        Ends on SIGTERM (guests are left running) and on `down` (nothing is left running).
        """
        self._build = build
        self._open()
        control, *agents = self._children
        self._start(control)
        problem = self._ensure_fabric()
        if problem:
            self._leave()
        for child in agents if not problem else ():
            self._start(child)
        ready(problem)
        self._stay()

    def run_down(self, wipe: bool) -> list[str]:
        """Stop what is left of a cloud without a supervisor: agents are started only to drain. Returns problems."""
        self._open()
        self._children = [child for child in self._children if child.spec.role == "agent"]
        if self._fabric is None or not self._fabric.is_present() or self._ensure_fabric():
            self._children = []
        for child in self._children:
            self._start(child)
        self._drain(wipe)
        self._stay()
        return self._problems

    def _open(self) -> None:
        wake, waker = socket.socketpair()
        wake.setblocking(False)
        waker.setblocking(False)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        self._waker = waker
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)
        # A drain may be asked of an agent that has not come to listen yet: blocked here, the signal waits for it there.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        self._selector.register(wake, selectors.EVENT_READ, lambda: wake.recv(4096))
        self._selector.register(self._listener.socket, selectors.EVENT_READ, self._accept)

    def _signalled(self, number: int, _: object) -> None:
        if number != signal.SIGCHLD and self._phase in (Phase.RUNNING, Phase.DRAINING):
            self._leave()

    def _stay(self) -> None:
        while True:
            self._reap()
            self._advance()
            if self._phase is Phase.ENDED:
                break
            for key, _ in self._selector.select(self._patience()):
                key.data()
        self._listener.close()
        if self._cleared and not self._problems:
            remove_run_dir(self._settings)
        for caller in self._watchers:
            caller.finish({"problems": self._problems})

    def _patience(self) -> float | None:
        times = [child.due_at for child in self._children if self._should_start(child)]
        if self._phase is not Phase.RUNNING:
            times.append(self._deadline)
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _should_start(self, child: Child) -> bool:
        if child.is_running or child.drained:
            return False
        return self._phase is Phase.RUNNING or (self._phase is Phase.DRAINING and child.draining)

    # Children.

    def _start(self, child: Child) -> None:
        child.start()
        if child.is_running:
            self._selector.register(child.output, selectors.EVENT_READ, lambda: self._read(child))
        living = [one.process for one in self._children if one.process is not None]
        record.write(self._settings.run.record, [process(os.getpid()), *living])

    def _read(self, child: Child) -> None:
        if child.is_running and not child.read():
            self._selector.unregister(child.output)

    def _reap(self) -> None:
        for child in self._children:
            if not child.has_ended():
                continue
            if child.output in self._selector.get_map():
                self._selector.unregister(child.output)
            child.bury()
            if child.draining:
                self._drain_ended(child)

    def _ensure_fabric(self) -> str:
        if self._fabric is None:
            return ""
        try:
            self._fabric.ensure()
        except Exception as error:
            # Whatever it is, the supervisor lives on: it is tried again with the next start of an agent.
            self._log.note(f"the network of the hosts: {error}", "error")
            return str(error)
        return ""

    def _advance(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if self._should_start(child) and child.due_at <= now:
                if child.spec.role == "agent":
                    self._ensure_fabric()
                self._start(child)
                if child.draining:
                    child.signal(signal.SIGUSR1)
        if self._phase is Phase.DRAINING:
            self._advance_drain(now)
        if self._phase is Phase.LEAVING:
            if now > self._deadline:
                for child in self._children:
                    child.signal(signal.SIGKILL)
                self._deadline = now + LEAVE_S
            if not any(child.is_running for child in self._children):
                self._phase = Phase.ENDED

    # The way down.

    def _drain(self, wipe: bool) -> None:
        self._phase, self._deadline, self._wipe = Phase.DRAINING, time.monotonic() + DRAIN_S, wipe
        for child in self._agents():
            child.draining = True
            child.due_at = 0.0
            child.signal(signal.SIGUSR1)

    def _agents(self) -> list[Child]:
        return [child for child in self._children if child.spec.role == "agent"]

    def _drain_ended(self, child: Child) -> None:
        if child.last_exit == 0:
            child.drained = True
            self._say(f"{child.spec.host} is empty")
            return
        child.failed_drains += 1
        if child.failed_drains >= DRAIN_TRIES or self._phase is not Phase.DRAINING:
            child.drained = True
            self._problems.append(f"{child.spec.host} could not be emptied; see log/{child.spec.name}.log")

    def _advance_drain(self, now: float) -> None:
        if now > self._deadline:
            for child in self._agents():
                child.failed_drains = DRAIN_TRIES
                child.signal(signal.SIGKILL)
            self._deadline = now + DRAIN_S
        if all(child.drained for child in self._agents()):
            self._clear()
            self._leave()

    def _clear(self) -> None:
        """Remove what root made, once no agent needs it."""
        self._cleared = True
        if self._fabric is not None:
            try:
                self._fabric.remove()
            except Exception as error:
                # `down` goes on: it is better to end with one thing left, and to say which.
                self._log.note(f"the network of the hosts: {error}", "error")
                self._problems.append(f"the network of the hosts could not be removed: {error}")
        if self._wipe and os.geteuid() == 0:
            shutil.rmtree(self._settings.state.hosts, ignore_errors=True)

    def _leave(self) -> None:
        self._phase, self._deadline = Phase.LEAVING, time.monotonic() + LEAVE_S
        for child in self._children:
            child.signal(signal.SIGTERM)

    # Who asks.

    def _accept(self) -> None:
        caller = self._listener.accept()
        if caller is not None:
            self._selector.register(caller.socket, selectors.EVENT_READ, lambda: self._hear(caller))

    def _hear(self, caller: Caller) -> None:
        request = caller.read()
        if request is None:
            return
        self._selector.unregister(caller.socket)
        match request.get("do"):
            case "status":
                caller.finish(self._status())
            case "repair":
                for child in self._children:
                    child.due_at = 0.0
                caller.finish({"problem": self._ensure_fabric()})
            case "down" if self._phase is Phase.RUNNING:
                self._watchers.append(caller)
                self._drain(bool(request.get("wipe")))
            case "stop" if self._phase is Phase.RUNNING:
                self._watchers.append(caller)
                self._leave()
            case "down" | "stop":
                self._wipe = self._wipe or bool(request.get("wipe"))
                self._watchers.append(caller)
            case _:
                caller.finish({"error": "unknown request"})

    def _status(self) -> dict[str, Any]:
        return {
            "phase": self._phase,
            "pid": os.getpid(),
            "build": self._build,
            "settings": render(self._settings),
            "children": [child.row() for child in self._children],
        }

    def _say(self, text: str) -> None:
        for caller in self._watchers:
            caller.say(text)


def remove_run_dir(settings: Settings) -> None:
    """Leave nothing of the run directory; only for who holds its locks."""
    if not settings.simulate:
        _remove_name_lock(settings)
    shutil.rmtree(settings.run_dir, ignore_errors=True)
    if settings.run_dir.parent == ROOT_RUN_DIR:
        with suppress(OSError):
            ROOT_RUN_DIR.rmdir()


def _remove_name_lock(settings: Settings) -> None:
    """Unless it is another cloud's of the same name."""
    path = settings.run.name_lock(settings.name)
    with suppress(OSError):
        if path.read_bytes() == os.fsencode(settings.state_dir):
            path.unlink()
