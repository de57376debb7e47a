"""Starting the supervisor with the rights that it needs, asking for sudo once where it must."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from kilostack.cli.failure import Failure
from kilostack.cli.owner import Owner, as_root, can_be_root
from kilostack.cli.program import Program
from kilostack.cli.supervisor.spawn import PATH
from kilostack.core.settings import Settings

_OFFER = "Without root, `make up UP=--simulate` starts a cloud with simulated guests and networks."


def supervise(settings: Settings, owner: Owner, program: Program, *options: str) -> None:
    """Run `supervise` to the end of its start; it has told what went wrong when this raises."""
    argv = (*program.argv, "supervise", "--state-dir", str(settings.state_dir), *options)
    environment = {"PATH": PATH, "LANG": "C.UTF-8", "HOME": str(owner.home)}
    for name in ("TZ", "XDG_RUNTIME_DIR", "SUDO_UID", "SUDO_GID"):
        if name in os.environ:
            environment[name] = os.environ[name]
    sys.stdout.flush()
    if settings.simulate:
        _run(argv, environment, user=owner.uid, group=owner.gid)
    elif can_be_root():
        with as_root():
            _run(argv, environment)
    else:
        _run((*_sudo(), *argv), environment)


def _run(argv: tuple[str, ...], environment: dict[str, str], user: int = -1, group: int = -1) -> None:
    drop = user >= 0 and (os.getuid(), os.geteuid()) != (user, user)
    done = subprocess.run(
        argv, env=environment, user=user if drop else None, group=group if drop else None, check=False
    )
    if done.returncode != 0:
        raise Failure("the cloud is not up")


def _sudo() -> tuple[str, ...]:
    sudo = shutil.which("sudo", path=PATH)
    if sudo is None:
        raise Failure("a real cloud needs root for networks and QEMU, and there is no sudo here", _OFFER)
    prompt = "kilostack needs root for networks and QEMU; password of %u: "
    ask = (sudo, "-p", prompt) if sys.stdin is not None and sys.stdin.isatty() else (sudo, "-n")
    if subprocess.run((*ask, "--", "true"), stderr=None if len(ask) == 3 else subprocess.DEVNULL).returncode != 0:
        raise Failure("a real cloud needs root for networks and QEMU, and sudo does not give it", _OFFER)
    return (*ask, "--")
