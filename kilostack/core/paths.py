"""Where a cloud keeps its files: a directory for what lasts, and a short one for sockets and process ids.

A path of a unix socket must stay under 107 bytes, so sockets never live in the state directory, which the user may put
anywhere. Both trees have parts of two owners: what the control plane writes belongs to the user who typed `up`, what
the agents write (`hosts/`, `h/`) belongs to root.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

#: The longest path that every kernel takes for a unix socket, in bytes.
SOCKET_PATH_LIMIT = 107

#: Where the run directories of clouds with a supervisor that is root are.
ROOT_RUN_DIR = Path("/run/kilostack")

#: What a run directory may take, so that `h/<host>/<id of a guest>/<name>` still fits behind it.
RUN_DIR_LIMIT = 40


@dataclass(frozen=True, slots=True)
class StateDir:
    """The lasting files of one cloud."""

    root: Path

    @property
    def settings(self) -> Path:
        """The options of `up`; its presence marks the directory as ours."""
        return self.root / "settings.json"

    @property
    def passwords(self) -> Path:
        """JSON object: user name -> password, made at the first `up`; mode 0600."""
        return self.root / "passwords.json"

    @property
    def master_key(self) -> Path:
        """The key under which secret columns are encrypted; mode 0600."""
        return self.root / "master.key"

    @property
    def databases(self) -> Path:
        """One SQLite file per service."""
        return self.root / "db"

    @property
    def images(self) -> Path:
        """The image service's files."""
        return self.root / "images"

    @property
    def logs(self) -> Path:
        """JSON lines, one file per process."""
        return self.root / "log"

    @property
    def hosts(self) -> Path:
        """What the agents keep; belongs to root where the agents run as root."""
        return self.root / "hosts"

    def host(self, name: str) -> Path:
        """Guests, disks and cached images of one host."""
        return self.hosts / name


@dataclass(frozen=True, slots=True)
class RunDir:
    """Sockets and process ids of one running cloud; may vanish with a reboot."""

    root: Path

    @property
    def supervisor_socket(self) -> Path:
        return self.root / "supervisor"

    @property
    def supervisor_lock(self) -> Path:
        """Locked by the supervisor for as long as it lives."""
        return self.root / "lock"

    def name_lock(self, name: str) -> Path:
        """Locked by the supervisor of the one real cloud of this name."""
        return self.root.parent / f"{name}.lock"

    @property
    def record(self) -> Path:
        """Process ids with their start times, for whoever finds the supervisor dead."""
        return self.root / "processes.json"

    @property
    def control(self) -> Path:
        """Where the control plane may make sockets."""
        return self.root / "c"

    @property
    def agents_socket(self) -> Path:
        """Where the gateway waits for the agents of this machine."""
        return self.control / "agents"

    def host(self, name: str) -> Path:
        """Where the agent of one host may make sockets."""
        return self.root / "h" / name


def default_state_dir(name: str, environ: Mapping[str, str], home: Path) -> Path:
    """Where the cloud `name` of a user lives unless they say otherwise (XDG base directories)."""
    base = environ.get("XDG_STATE_HOME", "")
    return (Path(base) if os.path.isabs(base) else home / ".local" / "state") / "kilostack" / name


def default_run_dir(state_dir: Path, *, uid: int, as_root: bool, environ: Mapping[str, str]) -> Path:
    """A short directory that follows from the state directory alone, wherever that is.

    `as_root` says whether the supervisor runs as root; then it is under /run, which only root may write.
    """
    digest = hashlib.sha256(os.fsencode(state_dir.resolve())).hexdigest()[:8]
    if as_root:
        return ROOT_RUN_DIR / digest
    base = environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(base) and os.path.isdir(base):
        path = Path(base) / f"ks-{digest}"
        if len(os.fsencode(path)) <= RUN_DIR_LIMIT:
            return path
    return Path("/tmp") / f"ks-{uid}-{digest}"
