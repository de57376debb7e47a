"""The real driver with real frames: what guests of two hosts can and cannot do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from kilostack.drivers.net import command, dnsmasq, names
from kilostack.wire.network import Rule, tap_name
from tests.drivers.net import lab as laboratory
from tests.drivers.net.lab import (
    OUTSIDE,
    OUTSIDE_ADDRESS,
    Lab,
    Pinging,
    connects,
    end_dnsmasq,
    eventually,
    footprint,
    name_server,
    pings,
    process,
    serving,
    serving_six,
    sh,
    works,
)
from tests.drivers.net.site import GROUP, NET, PING, allow

pytestmark = pytest.mark.root

NEXT_PORT = 17321


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab(2)
    yield made
    made.close()


@pytest.fixture
def host(lab: Lab) -> str:
    return lab.hosts[0]


LEASE = """#!/bin/sh
[ "$1" = bound ] && env > "$OUT"
exit 0
"""


def lease(guest: str, tmp_path: Path) -> dict[str, str]:
    """What DHCP tells the guest."""
    script, out = tmp_path / "lease.sh", tmp_path / f"{guest}.lease"
    script.write_text(LEASE)
    script.chmod(0o755)
    sh(guest, f"OUT={out} busybox udhcpc -i eth0 -n -q -f -t 5 -T 1 -s {script} -O mtu -O staticroutes -O domain")
    return dict(line.split("=", 1) for line in out.read_text().splitlines() if "=" in line)


async def test_a_guest_learns_all_from_its_own_hosts_dhcp(lab: Lab, tmp_path: Path) -> None:
    guests = {number: lab.boot(host, number) for host, number in zip(lab.hosts, (10, 11), strict=True)}
    await lab.converge()
    for number, guest in guests.items():
        told = lease(guest, tmp_path)
        assert told["ip"] == lab.site.address(number)
        assert told["mtu"] == "1450"
        assert told["router"] == lab.site.address(1)
        assert told["dns"] == lab.site.address(2)
        assert told["hostname"] == f"vm-{number}"
        assert told["domain"] == "example.org"
        assert told["staticroutes"].split() == [
            "169.254.169.254/32",
            lab.site.address(2),
            "192.168.77.0/24",
            lab.site.address(99),
            "0.0.0.0/0",
            lab.site.address(1),
        ]


async def test_an_address_that_changes_hands_is_leased_to_its_new_owner(lab: Lab, host: str, tmp_path: Path) -> None:
    guest = lab.boot(host, 10)
    await lab.converge()
    assert lease(guest, tmp_path)["ip"] == lab.site.address(10)
    lab.site.homes.clear()
    await lab.converge()
    lab.site.addresses = {11: 10}
    heir = lab.boot(host, 11)
    await lab.converge()
    told = lease(heir, tmp_path)
    assert told["ip"] == lab.site.address(10)
    assert told["hostname"] == "vm-11"


async def test_two_hosts_are_one_network_up_to_its_mtu(lab: Lab) -> None:
    first, second = (lab.boot(host, number) for host, number in zip(lab.hosts, (10, 11), strict=True))
    await lab.converge()
    lab.configure(first, 10)
    lab.configure(second, 11)
    assert pings(first, lab.site.address(11))
    assert pings(first, lab.site.address(11), "-M do -s 1422")
    assert not pings(first, lab.site.address(11), "-M do -s 1423")
    with process(lab.plan.namespace, COUNT_TUNNELLED_BROADCASTS) as counting:
        sh(first, "ip neigh flush dev eth0")
        assert pings(first, lab.site.address(11))
        assert not pings(first, lab.site.address(77))
        counting.terminate()
        assert counting.stdout is not None
        assert counting.stdout.read() == "", "a broadcast crossed the tunnel"


COUNT_TUNNELLED_BROADCASTS = """
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind(("under", 0))
print("up", flush=True)
while True:
    frame = s.recv(2000)
    if frame[12:14] == b"\\x08\\x00" and frame[23] == 17 and frame[50:56] == b"\\xff" * 6:
        print(frame.hex(), flush=True)
"""


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


async def test_the_way_out_and_the_way_in(lab: Lab) -> None:
    first, second = (lab.boot(host, number) for host, number in zip(lab.hosts, (10, 11), strict=True))
    floating = {10: lab.site.public_address(60), 11: lab.site.public_address(61)}
    lab.site.rules = (PING, allow("tcp", NEXT_PORT))
    await lab.converge()
    lab.configure(first, 10)
    lab.configure(second, 11)
    machine = laboratory.MACHINE
    assert pings(second, OUTSIDE_ADDRESS), "no way out by SNAT"
    assert not pings(machine, floating[11])
    lab.site.floating = floating
    await lab.converge()
    for address in floating.values():
        assert pings(machine, address)
    with serving(second, lab.site.address(11), NEXT_PORT):
        assert connects(machine, floating[11], NEXT_PORT) == "hello"
        assert connects(first, floating[11], NEXT_PORT) == "hello", "hairpin"
        assert connects(first, lab.site.address(11), NEXT_PORT) == "hello"
    assert pings(first, OUTSIDE_ADDRESS)
    assert not pings(OUTSIDE, floating[10]), "the public range is reached from beyond the machine"
    with process(machine, PEER) as peer:
        assert peer.stdout
        assert connects(second, str(lab.plan.gateway), NEXT_PORT + 3) == "x"
        assert peer.stdout.readline().strip() == floating[11], "a guest leaves under its floating IP"
    lab.site.floating = {10: floating[10]}
    await lab.converge()
    assert not pings(machine, floating[11])
    assert pings(machine, floating[10])


PEER = f"""
import socket
s = socket.create_server(("0.0.0.0", {NEXT_PORT + 3}))
print("up", flush=True)
while True:
    c, who = s.accept()
    print(who[0], flush=True)
    c.sendall(b"x")
    c.close()
"""


async def test_names_of_the_network_and_of_the_world(lab: Lab, host: str) -> None:
    guest = lab.boot(host, 10)
    lab.site.homes[11] = lab.hosts[1]
    lab.site.with_router = False  # nothing but DHCP: names resolve in a network without any way out
    await lab.converge()
    lab.configure(guest, 10)
    with name_server():
        server = lab.site.address(2)
        code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from ask import ask; "
        for name, answer in (
            ("vm-11.example.org", lab.site.address(11)),
            ("vm-10", lab.site.address(10)),
            ("world.test", "198.51.100.7"),
        ):
            asked = f"{code}assert ask('{server}', '{name}') == '{answer}'"
            eventually(lambda asked=asked: works(guest, f'python3 -c "{asked}"'))


async def test_a_new_driver_takes_over_without_a_lost_frame(lab: Lab, host: str) -> None:
    guest = lab.boot(host, 10)
    await lab.converge()
    lab.configure(guest, 10)
    assert pings(guest, OUTSIDE_ADDRESS)
    before = footprint()
    pinging = Pinging(guest, OUTSIDE_ADDRESS, 150)
    for _ in range(3):
        lab.drivers = {name: lab.driver(name) for name in lab.hosts}
        await lab.converge()
    pinging.check_none_lost()
    assert footprint() == before


async def test_what_was_broken_is_mended(lab: Lab, host: str) -> None:
    guest = lab.boot(host, 10)
    await lab.converge()
    lab.configure(guest, 10)
    space = lab.namespace(host)
    bridge = sh(space, "ls /sys/class/net").split()
    assert any(name.startswith("brq") for name in bridge)
    sh(space, "nft flush ruleset")
    end_dnsmasq(dnsmasq.RUN_DIR / lab.plan.hosts[0].prefix / f"dhcp-{names.short(NET)}")
    sh(space, f"ip link set {tap_name(lab.site.port(10).id)} nomaster")
    router = next(name for name in command.namespaces() if name.startswith(lab.plan.hosts[0].prefix + "-router"))
    sh(router, "nft flush ruleset; ip route del default")
    assert not pings(guest, OUTSIDE_ADDRESS)
    lab.drivers = {name: lab.driver(name) for name in lab.hosts}
    await lab.converge()
    eventually(lambda: pings(guest, OUTSIDE_ADDRESS))
    sh(guest, "ip addr flush dev eth0; busybox udhcpc -i eth0 -n -q -f -t 5 -T 1 -s /bin/true")


async def test_removal_leaves_nothing() -> None:
    before = footprint()
    made = Lab(2)
    try:
        for number, name in enumerate(made.hosts, 10):
            made.boot(name, number)
        made.site.floating = {10: made.site.public_address(60)}
        await made.converge()
        for name in made.hosts:
            await made.clear_host(name)
            left = sh(made.namespace(name), "ls /sys/class/net; nft list ruleset").split()
            assert sorted(left) == ["brext", "ext0", "lo", "under0"]
    finally:
        made.close()
    eventually(lambda: footprint() == before)
