"""A machine in a namespace of its own, with the world behind it, a fabric, hosts and guests: all real, all apart."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from kilostack.core.world import RealWorld
from kilostack.drivers.net import command, dnsmasq, fabric
from kilostack.drivers.net.linux import HostNetwork, LinuxNetworks
from kilostack.drivers.net.port import FilterInput
from kilostack.wire.network import Port, tap_name
from tests.drivers.net.site import GROUP, NET, PUBLIC, Site

T = TypeVar("T")

CLOUD = f"lab{os.getpid()}"
MACHINE = f"{CLOUD}-machine"
OUTSIDE = f"{CLOUD}-outside"
OUTSIDE_ADDRESS = "198.51.100.1"


class HostWorld(RealWorld):
    """The world of a process that runs in a host's network namespace."""

    def __init__(self, namespace: str) -> None:
        super().__init__(threads=1)
        self.namespace = namespace

    async def in_thread(self, call: Callable[..., T], *args: Any) -> T:
        def there() -> T:
            with command.entered(self.namespace):
                return call(*args)

        return await super().in_thread(there)


def sh(namespace: str, text: str, *, timeout: float = 20) -> str:
    """What the words print when run in a namespace; the test fails when they fail."""
    done = subprocess.run(
        ["ip", "netns", "exec", namespace, "sh", "-c", text], capture_output=True, text=True, timeout=timeout
    )
    assert done.returncode == 0, f"{text}: {done.stdout}{done.stderr}"
    return done.stdout


def works(namespace: str, text: str) -> bool:
    """Whether the words end well in a namespace."""
    done = subprocess.run(["ip", "netns", "exec", namespace, "sh", "-c", text], capture_output=True, timeout=20)
    return done.returncode == 0


def pings(namespace: str, address: str, options: str = "") -> bool:
    return works(namespace, f"ping -n -c 1 -W 1 {options} {address}")


def eventually(condition: Callable[[], object], seconds: float = 10) -> None:
    """Wait until `condition` holds; the test fails when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not come to be"
        time.sleep(0.05)


def footprint() -> dict[str, list[str]]:
    """What our work could leave behind on the machine, among what others do there meanwhile."""
    marks = (CLOUD, fabric.identifier(CLOUD), fabric.identifier(CLOUD + "b"))

    def ours(*argv: str) -> list[str]:
        lines = subprocess.run(argv, capture_output=True, text=True).stdout.splitlines()
        return sorted(line for line in lines if any(mark in line for mark in marks) and "defunct" not in line)

    return {
        "namespaces": ours("ls", "/run/netns"),
        "links": ours("ip", "-br", "link"),
        "rules": ours("nft", "list", "ruleset"),
        "processes": ours("pgrep", "-a", "dnsmasq"),
        "files": ours("ls", "/run/kilostack-net"),
    }


class Lab:
    """Hosts of one fabric, their drivers, and guests on them."""

    def __init__(self, hosts: int) -> None:
        self.guests: list[str] = []
        command.batch("ip", [f"netns add {MACHINE}", f"netns add {OUTSIDE}"])
        command.batch(
            "ip",
            [
                "link set lo up",
                f"link add eth0 type veth peer name eth0 netns {OUTSIDE}",
                "addr add 198.51.100.2/24 dev eth0",
                "link set eth0 up",
            ],
            namespace=MACHINE,
        )
        command.batch(
            "ip",
            ["link set lo up", f"addr add {OUTSIDE_ADDRESS}/24 dev eth0", "link set eth0 up"],
            namespace=OUTSIDE,
        )
        command.batch("ip", [f"route add default via {OUTSIDE_ADDRESS}"], namespace=MACHINE)
        with command.entered(MACHINE):
            self.plan = fabric.plan(CLOUD, hosts, None, fabric.machine_routes())
            fabric.ensure(self.plan)
        self.site = Site(public_cidr=str(self.plan.public))
        self.tunnels = {host.name: host.address for host in self.plan.hosts}
        self.drivers = {host.name: self.driver(host.name) for host in self.plan.hosts}

    def driver(self, name: str) -> LinuxNetworks:
        """A new process's driver on a host."""
        host = next(host for host in self.plan.hosts if host.name == name)
        return LinuxNetworks(
            HostWorld(host.namespace),
            HostNetwork(
                host=host.name,
                prefix=host.prefix,
                address=host.address,
                external_bridge=host.external_bridge,
                resolver=host.resolver,
            ),
        )

    @property
    def hosts(self) -> list[str]:
        return [host.name for host in self.plan.hosts]

    def namespace(self, host: str) -> str:
        return next(plan.namespace for plan in self.plan.hosts if plan.name == host)

    def boot(self, host: str, number: int, port: Port | None = None) -> str:
        """A guest: a namespace whose card is the other end of the port's tap. It has no address yet."""
        port = port or self.site.port(number)
        self.site.homes[number] = host
        guest = f"{CLOUD}-g{number}"
        self.guests.append(guest)
        command.batch("ip", [f"netns add {guest}"])
        command.batch(
            "ip",
            [f"link add {tap_name(port.id)} type veth peer name eth0 address {port.mac} netns {guest}"],
            namespace=self.namespace(host),
        )
        # Like a card that leaves checksums to its driver, not to us.
        command.batch("ip", ["link set lo up", "link set eth0 mtu 1450 up"], namespace=guest)
        return guest

    def configure(self, guest: str, number: int) -> None:
        """What DHCP would do."""
        command.batch(
            "ip",
            [
                f"addr add {self.site.address(number)}/24 dev eth0",
                f"route add default via {self.site.address(1)}",
                f"route add 169.254.169.254 via {self.site.address(2)}",
            ],
            namespace=guest,
        )

    async def converge(self, router_host: str | None = None) -> None:
        """Have all hosts be what the site says."""
        router_host = router_host or self.hosts[0]
        for host in self.hosts:
            await self.apply(host, router_host)

    async def apply(self, host: str, router_host: str) -> None:
        driver, network = self.drivers[host], self.site.network(router_host)
        ports = {port.id: port for port in map(self.site.port, self.site.homes) if self._is_on(port, host)}
        await driver.ensure_host()
        await driver.ensure_network(network, self.tunnels)
        for port in ports.values():
            await driver.ensure_port(port, network)
        await self.filter(host)
        await driver.ensure_dhcp(network)
        if host == router_host and self.site.with_router:
            await driver.ensure_router(self.site.router(), {NET: network, PUBLIC: self.site.public()})

    async def filter(self, host: str) -> None:
        ports = {port.id: port for port in map(self.site.port, self.site.homes) if self._is_on(port, host)}
        await self.drivers[host].ensure_filter(
            FilterInput(ports=ports, networks={NET: self.site.network()}, groups={GROUP: self.site.group()})
        )

    def _is_on(self, port: Port, host: str) -> bool:
        return any(self.site.port(number).id == port.id for number, home in self.site.homes.items() if home == host)

    async def clear_host(self, host: str) -> None:
        """Take everything from a host by the driver's verbs."""
        driver = self.drivers[host]
        seen = await driver.observe()
        for router in seen.routers:
            await driver.remove_router(router)
        for port in seen.ports:
            await driver.remove_port(port)
        for network in seen.dhcp:
            await driver.remove_dhcp(network)
        for network in seen.networks:
            await driver.remove_network(network)
        await driver.remove_host()

    def close(self) -> None:
        with command.entered(MACHINE):
            fabric.remove(CLOUD)
        for name in (*self.guests, OUTSIDE, MACHINE):
            if name in command.namespaces():
                subprocess.run(["ip", "netns", "del", name], check=True)


def serving_six(namespace: str, address: str, port: int) -> contextlib.AbstractContextManager[None]:
    """As `serving`, over IPv6."""
    return serving(namespace, address, port, family="AF_INET6")


@contextlib.contextmanager
def serving(namespace: str, address: str, port: int, answer: str = "hello", family: str = "AF_INET") -> Iterator[None]:
    """A server there that answers each connection with one line."""
    code = (
        "import socket\n"
        f"s=socket.create_server(('{address}',{port}),family=socket.{family})\nprint('up',flush=True)\n"
        f"while True:\n c,_=s.accept(); c.sendall(b'{answer}'); c.close()\n"
    )
    with process(namespace, code):
        yield


@contextlib.contextmanager
def process(namespace: str, code: str) -> Iterator[subprocess.Popen[str]]:
    """A Python program there that has printed its first line."""
    running = subprocess.Popen(
        ["ip", "netns", "exec", namespace, "python3", "-c", code], stdout=subprocess.PIPE, text=True
    )
    try:
        assert running.stdout is not None
        assert running.stdout.readline()
        yield running
    finally:
        running.kill()
        running.wait()
        if running.stdout:
            running.stdout.close()


def connects(namespace: str, address: str, port: int) -> str | None:
    """What a server answers; None when it cannot be reached."""
    code = f"import socket;s=socket.create_connection(('{address}',{port}),timeout=1);print(s.recv(99).decode())"
    done = subprocess.run(
        ["ip", "netns", "exec", namespace, "python3", "-c", code], capture_output=True, text=True, timeout=20
    )
    return done.stdout.strip() if done.returncode == 0 else None


class Pinging:
    """A ping that goes on beside the test."""

    def __init__(self, namespace: str, address: str, count: int) -> None:
        self._count = count
        self._running = subprocess.Popen(
            ["ip", "netns", "exec", namespace, "ping", "-n", "-i", "0.02", "-c", str(count), "-W", "1", address],
            stdout=subprocess.PIPE,
            text=True,
        )

    def check_none_lost(self) -> None:
        out, _ = self._running.communicate(timeout=60)
        assert f"{self._count} packets transmitted, {self._count} received" in out, out


@contextlib.contextmanager
def name_server() -> Iterator[None]:
    """The name server that this machine's /etc/resolv.conf names, standing in the lab; it knows world.test."""
    text = Path("/etc/resolv.conf").read_text(encoding="utf-8")
    address = re.findall(r"^nameserver\s+(\S+)", text, re.MULTILINE)[0]
    where = MACHINE if address.startswith("127.") else OUTSIDE
    works(where, f"ip addr add {address}/32 dev lo")
    options = ("--conf-file=/dev/null", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--user=root")
    running = subprocess.Popen(
        ["ip", "netns", "exec", where, "dnsmasq", *options, f"--listen-address={address}", "--bind-interfaces",
         "--pid-file=", "--address=/world.test/198.51.100.7"],
    )  # fmt: skip
    try:
        yield
    finally:
        running.kill()
        running.wait()


def end_dnsmasq(directory: Path) -> None:
    """As a crash would."""
    found = dnsmasq.running(directory)
    assert found is not None
    os.kill(found[0], signal.SIGKILL)
    eventually(lambda: dnsmasq.running(directory) is None)
