"""Where guests of tests live: a network behind a router, a group, a key; and a neighbour of this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.clouds import UserCloud, eventually


@dataclass(frozen=True, slots=True)
class Place:
    """A tenant's network `name`, router, security group and key pair, all called so."""

    cloud: UserCloud
    name: str
    key: Path

    def create(self, server: str, *options: str, cloud: UserCloud | None = None) -> None:
        """A server on the network, in the group, with the key; returns when it is ACTIVE."""
        what = ("--image", "tiny", "--flavor", "m1.tiny", "--network", self.name)
        how = ("--security-group", self.name, "--key-name", self.name)
        (cloud or self.cloud).openstack("server", "create", *what, *how, *options, "--wait", server)

    def guest(self, server: str) -> Guest:
        """The way into a server, by a floating IP that it is given; returns when the guest answers."""
        guest = Guest(self.cloud, self.cloud.floating_ip(server), self.key)
        eventually(f"{server} lets us in", guest.answers)
        return guest


@dataclass(frozen=True, slots=True)
class Guest:
    """A guest as reached from outside."""

    cloud: UserCloud
    address: str
    key: Path

    def run(self, command: str, user: str = "root") -> str:
        return self.cloud.ssh(self.address, command, key=self.key, user=user).strip()

    def answers(self) -> bool:
        return self.cloud.can_log_in(self.address, self.key)

    def boot(self) -> str:
        """Differs after each boot."""
        return self.run("cat /proc/sys/kernel/random/boot_id")

    def has_booted_since(self, boot: str) -> bool:
        return self.boot() != boot


def make_place(cloud: UserCloud, name: str, *, number: int) -> Place:
    """Network 192.168.`number`.0/24 with all around it."""
    key = cloud.home / f"{name}.key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", key], check=True)
    cloud.openstack("keypair", "create", "--public-key", f"{key}.pub", name)
    cloud.openstack("network", "create", name)
    cloud.openstack("subnet", "create", name, "--network", name, "--subnet-range", f"192.168.{number}.0/24")
    cloud.openstack("router", "create", "--external-gateway", "public", name)
    cloud.openstack("router", "add", "subnet", name, name)
    cloud.openstack("security", "group", "create", name)
    let_in(cloud, name)
    cloud.openstack("security", "group", "rule", "create", "--protocol", "icmp", name)
    return Place(cloud, name, key)


def let_in(cloud: UserCloud, group: str) -> str:
    """The id of a rule that lets ssh in."""
    rule = ("security", "group", "rule", "create", "--protocol", "tcp", "--dst-port", "22", group)
    return str(cloud.ask(*rule)["id"])


def take_away(place: Place) -> None:
    """Nothing of the place is left in the cloud."""
    cloud, name = place.cloud, place.name
    cloud.openstack("router", "remove", "subnet", name, name)
    for kind in ("router", "network", "security group", "keypair"):
        cloud.openstack(*kind.split(), "delete", name)


#: Answers each connection with the address that it came from, as HTTP.
_SAY_WHO = """
import socketserver
class Say(socketserver.StreamRequestHandler):
    def handle(self):
        self.rfile.readline()
        said = self.client_address[0].encode()
        self.wfile.write(b"HTTP/1.0 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(said) + said)
socketserver.ThreadingTCPServer.daemon_threads = True
socketserver.ThreadingTCPServer(("0.0.0.0", 80), Say).serve_forever()
"""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A machine next to this one: it knows the way to this machine and to nothing behind it."""

    address: str
    #: of this machine, as seen from there
    machine: str


@contextmanager
def neighbour() -> Iterator[Neighbour]:
    """A neighbour with a web server that says who asks."""
    name, link = f"next-{os.getpid()}", f"nx{os.getpid() % 10**8}"
    there = Neighbour("198.18.77.2", "198.18.77.1")

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True)

    ip("netns", "add", name)
    server = None
    try:
        ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("address", "add", f"{there.machine}/30", "dev", link)
        ip("link", "set", link, "up")
        ip("-n", name, "address", "add", f"{there.address}/30", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        server = subprocess.Popen(["ip", "netns", "exec", name, sys.executable, "-c", _SAY_WHO])
        yield there
    finally:
        if server is not None:
            server.terminate()
            server.wait()
        ip("netns", "delete", name)
