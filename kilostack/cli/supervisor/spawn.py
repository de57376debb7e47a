"""With which command, and with which rights, each child is started.

Rights are given up by `setpriv` (util-linux) between fork and exec, so that the supervisor needs no code of its own
that runs there; each child dies with the supervisor (`--pdeathsig`). See docs/decisions/0002.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

from kilostack.cli.failure import Failure
from kilostack.cli.owner import Owner
from kilostack.cli.program import Fabric, Program
from kilostack.core.settings import Settings

#: What the children find on their path, whatever the person who typed `up` has on theirs.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

CONTROL_PLANE_ROLES = (
    "identity-api",
    "compute-api",
    "placement-api",
    "network-api",
    "image-api",
    "scheduler",
    "conductor",
    "gateway",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """One process that should run."""

    name: str
    role: str
    argv: tuple[str, ...]
    address: str
    host: str | None = None
    #: the services that it serves, under the names of the design
    serves: tuple[str, ...] = ()


def children(settings: Settings, owner: Owner, program: Program, fabric: Fabric | None) -> tuple[ChildSpec, ...]:
    """What should run for a cloud with these settings; the control plane is the first."""
    as_root = os.geteuid() == 0
    where = ("--state-dir", str(settings.state_dir))
    control = ChildSpec(
        name="control-plane",
        role="control-plane",
        argv=(*rights(owner, as_root=as_root), *program.argv, "serve", *where),
        address=f"http://127.0.0.1:{settings.port}",
        serves=(*CONTROL_PLANE_ROLES, "agent") if settings.simulate else CONTROL_PLANE_ROLES,
    )
    if fabric is None:
        return (control,)
    # Root leaves no compiled files in a checkout that belongs to somebody else.
    python, *rest = program.argv
    argv = program.argv if owner.uid == 0 else (python, "-B", *rest)
    return (control, *(_agent(host, argv, where, fabric) for host in settings.host_names()))


def _agent(host: str, program: tuple[str, ...], where: tuple[str, ...], fabric: Fabric) -> ChildSpec:
    enter = (_tool("nsenter"), f"--net={fabric.namespace(host)}", "--", _tool("setpriv"), "--pdeathsig", "KILL", "--")
    return ChildSpec(
        name=f"agent-{host}",
        role="agent",
        argv=(*enter, *program, "agent", host, *where),
        address=fabric.address(host),
        host=host,
    )


def rights(owner: Owner, *, as_root: bool) -> tuple[str, ...]:
    """The command in front of the control plane's that takes away all that it does not need."""
    setpriv = shutil.which("setpriv", path=PATH)
    if setpriv is None:
        if as_root:
            raise Failure("setpriv is not installed", "It is part of util-linux: apt-get install util-linux")
        return ()
    die_with_us = ("--no-new-privs", "--pdeathsig", "KILL", "--")
    if not as_root:
        return (setpriv, *die_with_us)
    give_up = ("--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all")
    if owner.uid == 0:
        return (setpriv, *give_up, *die_with_us)
    groups = "--init-groups" if owner.login else "--clear-groups"
    return (setpriv, "--reuid", str(owner.uid), "--regid", str(owner.gid), groups, *give_up, *die_with_us)


def environment(owner: Owner) -> dict[str, str]:
    """What the children see of the environment: nothing that the person's shell happens to hold."""
    kept = {name: os.environ[name] for name in ("TZ",) if name in os.environ}
    return {"PATH": PATH, "LANG": "C.UTF-8", "HOME": str(owner.home), **kept}


def _tool(name: str) -> str:
    path = shutil.which(name, path=PATH)
    if path is None:
        raise Failure(f"{name} is not installed", "It is part of util-linux: apt-get install util-linux")
    return path
