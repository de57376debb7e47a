"""Security groups and anti-spoofing with real frames between guests of two hosts."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from kilostack.wire.network import Rule
from tests.drivers.net.lab import (
    Lab,
    connects,
    eventually,
    pings,
    process,
    serving,
    serving_six,
    sh,
    works,
)
from tests.drivers.net.site import GROUP, PING, allow

pytestmark = pytest.mark.root

NEXT_PORT = 17321


async def test_security_groups(lab: Lab) -> None:
    first, second = (lab.boot(host, number) for host, number in zip(lab.hosts, (10, 11), strict=True))
    third = lab.boot(lab.hosts[1], 12)
    lab.site.rules = (PING, allow("tcp", NEXT_PORT))
    await lab.converge()
    for number, guest in ((10, first), (11, second), (12, third)):
        lab.configure(guest, number)
    address = lab.site.address(11)
    with serving(second, address, NEXT_PORT), serving(second, address, NEXT_PORT + 1):
        for source in (first, third):
            assert connects(source, address, NEXT_PORT) == "hello"
            assert connects(source, address, NEXT_PORT + 1) is None
        lab.site.rules = (allow("tcp", NEXT_PORT + 1, remote_group_id=GROUP),)
        await lab.converge()
        for source in (first, third):
            assert connects(source, address, NEXT_PORT) is None
            assert connects(source, address, NEXT_PORT + 1) == "hello"
            assert not pings(source, address)
        lab.site.rules = (allow("tcp", NEXT_PORT, NEXT_PORT + 1, remote_ip_prefix=f"{lab.site.address(10)}/32"),)
        await lab.converge()
        assert connects(first, address, NEXT_PORT) == "hello"
        assert connects(third, address, NEXT_PORT) is None


async def test_rules_over_ipv6(lab: Lab) -> None:
    lab.site.with_six = True
    first, second = (lab.boot(host, number) for host, number in zip(lab.hosts, (10, 11), strict=True))
    lab.site.rules = (PING,)
    await lab.converge()
    for number, guest in ((10, first), (11, second)):
        sh(guest, f"ip addr add {lab.site.address_six(number)}/64 dev eth0 nodad")
    target = lab.site.address_six(11)
    with serving_six(second, target, NEXT_PORT):
        assert not pings(first, target), "a rule for IPv4 opened IPv6"
        assert connects(first, target, NEXT_PORT) is None
        allowed = allow("tcp", NEXT_PORT, remote_group_id=GROUP)
        lab.site.rules = (six(PING), six(allowed))
        await lab.converge()
        eventually(lambda: pings(first, target))
        assert connects(first, target, NEXT_PORT) == "hello"
        sh(first, "ip -6 neigh flush dev eth0")
        assert pings(first, target), "neighbours across the tunnel"
        sh(second, "ip neigh replace fd00:10::77 lladdr 52:54:00:00:00:77 dev eth0 nud stale")
        announce = "from announce import announce; announce({!r}, {!r}, {!r})"
        here = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); "
        for address in ("fd00:10::77", lab.site.address_six(10)):
            told = announce.format(lab.site.address_six(10), target, address)
            sh(first, f'python3 -c "{here}{told}"')
        known = sh(second, "ip -6 neigh show fd00:10::77")
        assert "52:54:00:00:00:77" in known, "a guest announced another's address"
        sh(first, "ip addr add fd00:10::66/64 dev eth0 nodad")
        assert not pings(first, target, "-I fd00:10::66")


def six(rule: Rule) -> Rule:
    """The same rule for IPv6."""
    return msgspec.structs.replace(rule, ethertype="IPv6")


async def test_a_guest_cannot_pretend_to_be_another(lab: Lab, host: str) -> None:
    first, second = lab.boot(host, 10), lab.boot(host, 11)
    lab.site.rules = (allow("udp", 17400),)
    await lab.converge()
    lab.configure(first, 10)
    lab.configure(second, 11)
    target, stranger = lab.site.address(11), lab.site.address(66)
    known = f"ip neigh replace {target} lladdr {lab.site.port(11).mac} dev eth0 nud permanent"
    sh(first, f"ip addr add {stranger}/24 dev eth0; {known}")
    with process(second, HEARD) as heard:
        send(first, "under a strange address", target, source=stranger)
        sh(first, f"ip link set eth0 address 52:54:00:00:00:66; {known}")
        send(first, "under a strange MAC", target)
        sh(first, f"ip link set eth0 address {lab.site.port(10).mac}; {known}")
        send(first, "in its own name", target)
        assert heard.stdout
        assert heard.stdout.readline() == "in its own name\n"
    sh(second, f"ip neigh replace {stranger} lladdr 52:54:00:00:00:77 dev eth0 nud stale")
    works(first, f"arping -q -U -c 2 -I eth0 -s {stranger} {stranger}")
    assert "52:54:00:00:00:77" in sh(second, f"ip neigh show {stranger}"), "a guest announced another's address"


def send(namespace: str, text: str, target: str, source: str = "") -> None:
    """One datagram to where `HEARD` listens."""
    code = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
        f"s.bind(('{source}', 0)); s.sendto(b'{text}', ('{target}', 17400))"
    )
    sh(namespace, f'python3 -c "{code}"')


HEARD = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 17400))
print("up", flush=True)
while True:
    print(s.recv(99).decode(), flush=True)
"""


async def test_a_guest_cannot_reach_its_host_through_the_bridge(lab: Lab, host: str) -> None:
    guest = lab.boot(host, 10)
    await lab.converge()
    lab.configure(guest, 10)
    space = lab.namespace(host)
    address = next(plan.address for plan in lab.plan.hosts if plan.name == host)
    links = json.loads(sh(space, "ip -j link show type bridge"))
    bridge = next(item["address"] for item in links if item["ifname"].startswith("brq"))
    sh(space, "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done")
    sh(guest, f"ip neigh replace {lab.site.address(1)} lladdr {bridge} dev eth0 nud permanent")
    with process(space, HEARD) as heard:
        send(guest, "guest", address)
        send(space, "host", address)
        assert heard.stdout
        assert heard.stdout.readline() == "host\n"


STREAM = """
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2)
print("up", flush=True)
try:
    while s.recv(100):
        print("more", flush=True)
except OSError:
    pass
"""

TICK = """
import socket, time
s = socket.create_server(("0.0.0.0", %d))
print("up", flush=True)
while True:
    c, _ = s.accept()
    try:
        while True:
            c.sendall(b"tick")
            time.sleep(0.05)
    except OSError:
        c.close()
"""


async def test_a_removed_rule_cuts_what_runs_and_only_that(lab: Lab) -> None:
    first, second = (lab.boot(host, number) for host, number in zip(lab.hosts, (10, 11), strict=True))
    kept, cut = allow("tcp", NEXT_PORT), allow("tcp", NEXT_PORT + 1)
    lab.site.rules = (kept, cut)
    await lab.converge()
    lab.configure(first, 10)
    lab.configure(second, 11)
    address = lab.site.address(11)

    def stream(port: int) -> str:
        return f"import sys; sys.argv=['', '{address}', '{port}']\n" + STREAM

    with (
        process(second, TICK % NEXT_PORT),
        process(second, TICK % (NEXT_PORT + 1)),
        process(first, stream(NEXT_PORT)) as lives,
        process(first, stream(NEXT_PORT + 1)) as dies,
    ):
        assert lives.stdout and dies.stdout
        assert dies.stdout.readline() == "more\n"
        lab.site.rules = (kept,)
        await lab.converge()
        dies.wait(timeout=10)  # no data for two seconds although the server goes on sending
        for _ in range(20):
            assert lives.stdout.readline() == "more\n"
        lab.site.rules = (kept, cut)
        await lab.converge()
        with process(first, stream(NEXT_PORT + 1)) as again:
            assert again.stdout
            assert again.stdout.readline() == "more\n"


async def test_a_port_without_security_is_open(lab: Lab, host: str) -> None:
    first, second = lab.boot(host, 10), lab.boot(host, 11)
    lab.site.rules = ()
    original = lab.site.port
    lab.site.port = lambda number, **more: original(
        number, **({"port_security": False, "security_groups": ()} if number == 11 else {}), **more
    )
    await lab.converge()
    lab.configure(first, 10)
    lab.configure(second, 11)
    assert pings(first, lab.site.address(11))
    assert pings(second, lab.site.address(10)) is False
    sh(second, f"ip addr add {lab.site.address(66)}/24 dev eth0")
    assert pings(first, lab.site.address(66))
