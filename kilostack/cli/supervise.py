"""`kilostack supervise`: prepares the run directory, clears away what a dead supervisor left, and detaches.

The one part that runs as root in a real cloud; `up` starts it, through sudo where it must. Everything that can go wrong
at the start goes wrong here, in the foreground, where it can be told.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import os
import socket
import stat
import traceback
from collections.abc import Callable
from pathlib import Path

from kilostack.cli import machine
from kilostack.cli.build import build
from kilostack.cli.failure import Failure
from kilostack.cli.owner import Owner, who_typed
from kilostack.cli.program import Fabric, Program
from kilostack.cli.state import load
from kilostack.cli.supervisor import record, spawn
from kilostack.cli.supervisor.child import Child
from kilostack.cli.supervisor.control import Listener
from kilostack.cli.supervisor.daemon import detach
from kilostack.cli.supervisor.logs import ChildLog, LogFile
from kilostack.cli.supervisor.loop import Supervisor, remove_run_dir
from kilostack.core.settings import Settings


def run(args: argparse.Namespace, program: Program) -> int:
    """Start the supervisor in the background and return once its children are started."""
    owner = who_typed(os.environ)
    settings = load(Path(args.state_dir))
    _check_owner(settings, owner)
    fabric = None if settings.simulate else program.fabric(settings)
    if fabric is not None and os.geteuid() != 0:
        raise Failure("a real cloud needs root for networks and QEMU", "Run it by sudo, or use --simulate.")
    is_new = not settings.run_dir.exists()
    _make_run_dir(settings, owner)
    try:
        locks = _locks(settings)
        record.bury(settings.run.record)
        if args.only_down:
            return _only_down(settings, owner, program, args.wipe)
        _start(settings, owner, program, fabric, locks)
    except Failure:
        if is_new:
            remove_run_dir(settings)
        raise
    return 0


def _start(settings: Settings, owner: Owner, program: Program, fabric: Fabric | None, locks: tuple[int, ...]) -> None:
    _check_port(settings.port)
    if fabric is not None:
        fabric.public_cidr()
    specs = spawn.children(settings, owner, program, fabric)

    def work(report: Callable[[str], None]) -> None:
        log = _log(settings, owner, "supervisor")
        try:
            _supervisor(settings, owner, specs, fabric, log).run(build(), report)
        except BaseException:
            log.note(traceback.format_exc(), "error")
            raise

    problem = detach(work, locks)
    if problem:
        raise Failure(f"the cloud could not be started: {problem}")


def _supervisor(
    settings: Settings, owner: Owner, specs: tuple[spawn.ChildSpec, ...], fabric: Fabric | None, log: ChildLog
) -> Supervisor:
    environment = spawn.environment(owner)
    children = [Child(spec, _log(settings, owner, spec.name), environment) for spec in specs]
    path = settings.run.supervisor_socket
    listener = Listener(path, owner.uid)
    path.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(path, owner.uid, owner.gid)
    return Supervisor(settings, children, fabric, log, listener)


def _only_down(settings: Settings, owner: Owner, program: Program, wipe: bool) -> int:
    fabric = None if settings.simulate else program.fabric(settings)
    specs = spawn.children(settings, owner, program, fabric)
    problems = _supervisor(settings, owner, specs, fabric, _log(settings, owner, "supervisor")).run_down(wipe)
    if problems:
        raise Failure("\n".join(problems))
    return 0


def _log(settings: Settings, owner: Owner, process: str) -> ChildLog:
    return ChildLog(LogFile(settings.state.logs / f"{process}.log", owner.uid, owner.gid), process)


def _check_owner(settings: Settings, owner: Owner) -> None:
    """Root must not be led to work in a directory that belongs to somebody else than who asks."""
    found = os.lstat(settings.state_dir)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner.uid:
        raise Failure(f"{settings.state_dir} does not belong to {owner.login or owner.uid}")


def _make_run_dir(settings: Settings, owner: Owner) -> None:
    run = settings.run
    as_root = os.geteuid() == 0
    if as_root:
        run.root.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    _make_dir(run.root, 0o710 if as_root else 0o700, 0 if as_root else owner.uid, owner.gid)
    _make_dir(run.control, 0o700, owner.uid, owner.gid)
    if not settings.simulate:
        _make_dir(run.root / "h", 0o700, 0, 0)
        _make_dir(settings.state.hosts, 0o711, 0, 0)


def _make_dir(path: Path, mode: int, uid: int, gid: int) -> None:
    """Make it, or check that it is what we would have made: in /tmp somebody else may have been first."""
    try:
        path.mkdir(mode=mode)
    except FileExistsError:
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (uid, os.geteuid()):
            raise Failure(f"{path} is not a directory of ours", "Find out who made it, and remove it.") from None
    if os.geteuid() == 0:
        os.chown(path, uid, gid, follow_symlinks=False)
    path.chmod(mode)


def _locks(settings: Settings) -> tuple[int, ...]:
    """Held until the supervisor ends: one supervisor per cloud, and one real cloud of a name, which its links bear."""
    own = _lock(settings.run.supervisor_lock, settings)
    return (own,) if settings.simulate else (own, _lock(settings.run.name_lock(settings.name), settings))


def _lock(path: Path, settings: Settings) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 4096).decode(errors="replace")
        raise Failure(
            f"a cloud called {settings.name} is running already, from {holder}",
            f"See `kilostack status --state-dir {holder}`, or choose another name: kilostack up --name NAME",
        ) from None
    os.truncate(descriptor, 0)
    os.write(descriptor, os.fsencode(settings.state_dir))
    return descriptor


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            return
        except PermissionError:
            raise Failure(f"port {port} is for root only", "Choose one above 1023: kilostack up --port P") from None
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    holder = machine.holder_of_port(port)
    who = f"process {holder} ({machine.command_line(holder)})" if holder else "another process"
    raise Failure(f"port {port} is taken by {who}", "Stop it, or choose another port: kilostack up --port P")
