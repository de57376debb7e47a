"""A cloud as a user has it: made by `kilostack up`, spoken to with the official client and ssh."""

from __future__ import annotations

import copy
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kilostack.drivers.net.fabric import identifier

BIN = Path(sys.executable).parent
#: Debian's own client, beside the newest one in `BIN`.
DEBIAN_CLIENT = "/usr/bin/openstack"
QUIET = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "BatchMode=yes")
SSH = ("ssh", *(word for option in QUIET for word in ("-o", option)))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class UserCloud:
    """One cloud in a HOME of its own."""

    def __init__(self, home: Path, name: str, *options: str) -> None:
        self.home, self.name, self.options = home, name, options
        self.port = free_port()
        self.client: tuple[str, ...] = (str(BIN / "openstack"),)
        cache = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "OS_"))}
        self.environment = {**kept, "HOME": str(home), "XDG_CACHE_HOME": cache}
        self.environment["PATH"] = f"{BIN}:{self.environment['PATH']}"

    def by(self, *client: str) -> UserCloud:
        """The same cloud, spoken to with another client or other options of it."""
        other = copy.copy(self)
        other.client = client
        return other

    @property
    def state_dir(self) -> Path:
        return self.home / ".local/state/kilostack" / self.name

    @property
    def run_dir(self) -> Path:
        return Path(json.loads((self.state_dir / "settings.json").read_text())["run_dir"])

    @property
    def prefix(self) -> str:
        """Begins the names of all namespaces of this cloud."""
        return f"ks-{identifier(self.name)}"

    def run(self, *command: str, check: bool = True, deadline_s: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a command as the user would; its output is in the failure."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=deadline_s, stdin=subprocess.DEVNULL
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def kilostack(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run(str(BIN / "kilostack"), *arguments, check=check)

    def up(self, *options: str) -> str:
        """Start it, with the options of its first start; what was said."""
        return self.kilostack("up", "--name", self.name, "--port", str(self.port), *self.options, *options).stdout

    def down(self, *options: str) -> None:
        self.kilostack("down", "--name", self.name, *options)

    def openstack(self, *arguments: str, admin: bool = False, check: bool = True) -> str:
        """The official client's output."""
        return self._client(*arguments, admin=admin, check=check).stdout

    def ask(self, *arguments: str, admin: bool = False) -> Any:
        """The official client's output as JSON."""
        return json.loads(self.openstack(*arguments, "-f", "json", admin=admin))

    def refused(self, *arguments: str, admin: bool = False) -> str:
        """What the client prints when the cloud says no; fails when it says yes."""
        done = self._client(*arguments, admin=admin, check=False)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def _client(self, *arguments: str, admin: bool, check: bool) -> subprocess.CompletedProcess[str]:
        cloud = self.name + ("-admin" if admin else "")
        return self.run(*self.client, "--os-cloud", cloud, *arguments, check=check)

    def keypair(self, name: str) -> Path:
        """A generated key pair of that name; the file with its private half."""
        path = self.home / f"{name}.pem"
        path.write_text(self.openstack("keypair", "create", name))
        path.chmod(0o600)
        return path

    def floating_ip(self, server: str) -> str:
        """A new floating IP, given to a server."""
        address = str(self.ask("floating", "ip", "create", "public")["floating_ip_address"])
        self.openstack("server", "add", "floating", "ip", server, address)
        return address

    def ssh(self, address: str, command: str, *, key: Path, user: str = "root", check: bool = True) -> str:
        """Run a command in a guest."""
        way = ("-o", "ConnectTimeout=10", "-i", str(key), f"{user}@{address}")
        return self.run(*SSH, *way, command, check=check, deadline_s=60).stdout

    def can_log_in(self, address: str, key: Path) -> bool:
        """Whether a guest lets us in now."""
        way = ("-o", "ConnectTimeout=3", "-i", str(key), f"root@{address}")
        return self.run(*SSH, *way, "true", check=False, deadline_s=60).returncode == 0

    def status(self) -> list[dict[str, Any]]:
        text = self.kilostack("status", "--name", self.name, "-f", "json").stdout
        return list(json.loads(text))

    def processes(self, program: str) -> set[int]:
        """Process ids of a program, such as qemu-system-x86_64, that runs for this cloud."""
        return {pid for pid, argv in self._processes().items() if Path(argv[0]).name == program}

    def _processes(self) -> dict[int, list[str]]:
        marks = (str(self.state_dir), f"/{self.prefix}", *self._run_marks())
        found = {}
        for entry in Path("/proc").iterdir():
            argv = command_line(int(entry.name)) if entry.name.isdigit() else []
            if argv and any(mark in word for word in argv for mark in marks):
                found[int(entry.name)] = argv
        return found

    def _run_marks(self) -> tuple[str, ...]:
        return (str(self.run_dir),) if (self.state_dir / "settings.json").exists() else ()

    def traces(self) -> set[str]:
        """All that this cloud has on the machine, whatever its state: empty once it was wiped."""
        short = identifier(self.name)
        found = {f"process {pid}: {' '.join(argv)}" for pid, argv in self._processes().items()}
        found |= {f"namespace {name}" for name in self.namespaces()}
        found |= {f"link {line}" for line in lines("ip", "-br", "link") if line.startswith(f"ks{short}")}
        found |= {f"route {line}" for line in lines("ip", "route", "show", "table", "all") if f"ks{short}" in line}
        found |= {f"rules {line}" for line in lines("nft", "list", "tables") if short in line}
        run = Path("/run/kilostack")
        places = (self.state_dir, run / f"{self.name}.lock", *Path("/run").glob(f"kilostack*/*{short}*"))
        found |= {f"file {path}" for path in places if path.exists()}
        entries = self.home / ".config/openstack"
        if entries.exists():
            found |= {f"file {path}" for path in entries.iterdir() if self.name in path.read_text()}
        return found

    def namespaces(self) -> set[str]:
        return {line.split()[0] for line in lines("ip", "netns", "list") if line.startswith(f"{self.prefix}-")}


@contextmanager
def user_cloud(home: Path, name: str, *options: str) -> Iterator[UserCloud]:
    """A cloud that runs for the time of a test, and leaves nothing on the machine."""
    made = UserCloud(home, name, *options)
    assert made.traces() == set(), "left by an earlier run"
    try:
        made.up()
        run_dir = made.run_dir
        yield made
    finally:
        made.down("--wipe")
    eventually("nothing is left on the machine", lambda: not made.traces() and not run_dir.exists(), 30)


def command_line(pid: int) -> list[str]:
    """The words with which a process was started; none when it is gone."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
    except OSError:
        return []
    return [word.decode(errors="replace") for word in words]


def lines(*command: str) -> list[str]:
    """What a command prints, line by line."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def eventually(what: str, holds: Callable[[], Any], deadline_s: float = 120.0) -> Any:
    """What `holds` returned once it was true. Fails after the deadline; commands that fail count as not yet."""
    end = time.monotonic() + deadline_s
    last: object = None
    while time.monotonic() < end:
        try:
            if found := holds():
                return found
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            last = error
        time.sleep(0.25)
    raise AssertionError(f"not within {deadline_s:g} s: {what}; last: {last}")
