"""What can be found out about a machine by looking: its system, its tools, its room."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kilostack.cli import machine
from kilostack.cli.supervisor.spawn import PATH

#: Systems on which all that is needed is a package of theirs: id -> versions.
SUPPORTED = {"debian": ("12", "13"), "ubuntu": ("24.04",)}

#: Program -> the Debian package that has it.
TOOLS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "ip": "iproute2",
    "nft": "nftables",
    "dnsmasq": "dnsmasq-base",
    "conntrack": "conntrack",
    "arping": "iputils-arping",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "ssh": "openssh-client",
}

MIN_MEMORY_MIB = 1024
MIN_DISK_GIB = 4

State = Literal["ok", "note", "missing"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. A `note` does not stop a real cloud; what is `missing` does."""

    check: str
    state: State
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class System:
    """What runs this machine."""

    kind: str
    distribution: str = ""
    version: str = ""
    is_wsl: bool = False

    @property
    def is_linux(self) -> bool:
        return self.kind == "Linux"

    @property
    def has_apt(self) -> bool:
        return self.distribution in SUPPORTED

    def get(self, packages: str) -> str:
        """How to get packages, by their names in Debian."""
        return f"sudo apt-get install {packages}" if self.has_apt else f"install what Debian calls {packages}"


def system(root: Path, kind: str | None = None) -> System:
    """The system whose files are under `root`."""
    kind = kind or platform.system()
    values = {}
    release = root / "etc/os-release"
    if release.exists():
        pairs = (line.partition("=") for line in release.read_text().splitlines())
        values = {key: value.strip("\"'") for key, _, value in pairs}
    version = root / "proc/version"
    is_wsl = version.exists() and "microsoft" in version.read_text().lower()
    return System(kind, values.get("ID", ""), values.get("VERSION_ID", ""), is_wsl)


def about_system(found: System) -> list[Finding]:
    """Whether this is a system that we know our way around on."""
    python = ".".join(map(str, sys.version_info[:3]))
    old = sys.version_info < (3, 11)
    about_python = Finding(
        "python", "missing" if old else "ok", python, "Python 3.11 or later is needed." if old else ""
    )
    if not found.is_linux:
        return [
            Finding(
                "system",
                "missing",
                "macOS" if found.kind == "Darwin" else found.kind,
                "Guests and their networks need Linux: use a Linux virtual machine (Lima, UTM, Multipass) for a real "
                "cloud. `kilostack up --simulate` runs here.",
            ),
            about_python,
        ]
    name = f"{found.distribution} {found.version}".strip() or "Linux"
    if found.is_wsl:
        remedy = "WSL2 runs guests when [wsl2] nestedVirtualization=true is set in .wslconfig, more slowly without."
        return [Finding("system", "note", f"{name} in WSL2", remedy), about_python]
    if found.version in SUPPORTED.get(found.distribution, ()):
        return [Finding("system", "ok", name), about_python]
    return [Finding("system", "note", name, "Tried on Debian 12 and 13 and Ubuntu 24.04 only."), about_python]


def about_tools(found: System) -> list[Finding]:
    """The programs that a real cloud calls."""
    missing = [tool for tool in TOOLS if shutil.which(tool, path=PATH) is None]
    if not missing:
        return [Finding("tools", "ok", f"all {len(TOOLS)} programs")]
    packages = " ".join(sorted({TOOLS[tool] for tool in missing}))
    return [Finding("tools", "missing", "no " + ", ".join(missing), found.get(packages))]


def about_root(is_root: bool) -> list[Finding]:
    """Whether the one process that needs it can be given root."""
    if is_root:
        return [Finding("root", "ok", "this is root")]
    sudo = shutil.which("sudo", path=PATH)
    if sudo is None:
        return [Finding("root", "missing", "not root, and no sudo", "Become root, or have sudo installed.")]
    silent = subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0
    return [Finding("root", "ok", "by sudo" if silent else "by sudo, which will ask for a password")]


def about_room(state_dir: Path) -> list[Finding]:
    """Memory and disk."""
    return [*_about_memory(Path("/proc/meminfo")), _about_disk(state_dir)]


def _about_memory(meminfo: Path) -> list[Finding]:
    if not meminfo.exists():
        return []
    values = dict(line.split(":") for line in meminfo.read_text().splitlines())
    mib = int(values["MemAvailable"].split()[0]) // 1024
    if mib >= MIN_MEMORY_MIB:
        return [Finding("memory", "ok", f"{mib} MiB free")]
    return [Finding("memory", "note", f"{mib} MiB free", f"A guest of m1.tiny takes 250 MiB; have {MIN_MEMORY_MIB}.")]


def _about_disk(state_dir: Path) -> Finding:
    there = next(path for path in (state_dir, *state_dir.parents) if path.exists())
    gib = shutil.disk_usage(there).free // 2**30
    if gib >= MIN_DISK_GIB:
        return Finding("disk", "ok", f"{gib} GiB free at {there}")
    remedy = f"Guests need room: have {MIN_DISK_GIB} GiB, or put the state elsewhere with --state-dir."
    return Finding("disk", "note", f"{gib} GiB free at {there}", remedy)


def about_port(port: int, running: bool) -> Finding:
    """The port of the APIs."""
    holder = machine.holder_of_port(port)
    if holder is None:
        return Finding("port", "ok", f"{port} is free")
    if running:
        return Finding("port", "ok", f"{port} is the cloud's")
    found = f"{port} is taken by process {holder} ({machine.command_line(holder)})"
    return Finding("port", "missing", found, "Choose another: kilostack up --port P")
