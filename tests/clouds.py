"""A cloud as a user has it: made by `kilostack up`, spoken to with the official client and ssh."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent
SSH = (
    "ssh",
    "-o",
    "StrictHostKeyChecking=no",
    "-o",
    "UserKnownHostsFile=/dev/null",
    "-o",
    "LogLevel=ERROR",
    "-o",
    "ConnectTimeout=10",
    "-o",
    "BatchMode=yes",
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class UserCloud:
    """One cloud in a HOME of its own."""

    def __init__(self, home: Path, name: str, *options: str) -> None:
        self.home, self.name, self.options = home, name, options
        self.port = free_port()
        self.client = str(BIN / "openstack")
        cache = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "OS_"))}
        self.environment = {**kept, "HOME": str(home), "XDG_CACHE_HOME": cache}
        self.environment["PATH"] = f"{BIN}:{self.environment['PATH']}"

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

    def up(self) -> None:
        self.kilostack("up", "--name", self.name, "--port", str(self.port), *self.options)

    def down(self, *options: str) -> None:
        self.kilostack("down", "--name", self.name, *options)

    def openstack(self, *arguments: str, admin: bool = False, check: bool = True) -> str:
        """The official client's output."""
        cloud = self.name + ("-admin" if admin else "")
        return self.run(self.client, "--os-cloud", cloud, *arguments, check=check).stdout

    def ask(self, *arguments: str, admin: bool = False) -> Any:
        """The official client's output as JSON."""
        return json.loads(self.openstack(*arguments, "-f", "json", admin=admin))

    def refused(self, *arguments: str, admin: bool = False) -> str:
        """What the client prints when the cloud says no; fails when it says yes."""
        cloud = self.name + ("-admin" if admin else "")
        done = self.run(self.client, "--os-cloud", cloud, *arguments, check=False)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def ssh(self, address: str, command: str, *, key: Path, user: str = "root", check: bool = True) -> str:
        """Run a command in a guest."""
        return self.run(*SSH, "-i", str(key), f"{user}@{address}", command, check=check).stdout

    def status(self) -> list[dict[str, Any]]:
        text = self.kilostack("status", "--name", self.name, "-f", "json").stdout
        return list(json.loads(text))


def eventually(what: str, holds: Callable[[], Any], deadline_s: float = 120.0) -> Any:
    """What `holds` returned once it was true. Fails after the deadline; commands that fail count as not yet."""
    end = time.monotonic() + deadline_s
    last: object = None
    while time.monotonic() < end:
        try:
            if found := holds():
                return found
        except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
            last = error
        time.sleep(0.25)
    raise AssertionError(f"not within {deadline_s:g} s: {what}; last: {last}")


def machine_traces() -> dict[str, set[str]]:
    """What a cloud may leave on the machine: namespaces, links, nft tables, QEMU and dnsmasq processes."""

    def lines(*command: str) -> set[str]:
        return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines())

    processes = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                argv = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if Path(argv[0].decode(errors="replace")).name in ("qemu-system-x86_64", "dnsmasq"):
                processes.add(entry.name)
    return {
        "namespaces": {line.split()[0] for line in lines("ip", "netns", "list") if line},
        "links": {line.split(":")[1].strip() for line in lines("ip", "-o", "link")},
        "tables": lines("nft", "list", "tables"),
        "processes": processes,
    }
