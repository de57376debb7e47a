"""The real driver with real frames: what guests of two hosts can and cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest

from kilostack.drivers.net import command, dnsmasq, names
from kilostack.wire.network import tap_name
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
    sh,
    works,
)
from tests.drivers.net.site import NET, PING, allow

pytestmark = pytest.mark.root

NEXT_PORT = 17321


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


async def test_whoever_routes_to_a_router_gets_no_further(lab: Lab) -> None:
    """As a router of another project on the same external network can, by a route with this one as next hop."""
    guest = lab.boot(lab.hosts[0], 10)
    await lab.converge()
    lab.configure(guest, 10)
    machine = laboratory.MACHINE
    sh(machine, f"ip route add {lab.site.cidr} via {lab.site.public_address(50)}")
    assert pings(machine, lab.site.public_address(50))
    assert not pings(machine, lab.site.address(10))
    assert pings(guest, str(lab.plan.gateway))
    lab.site.enable_snat = False
    await lab.converge()
    assert pings(machine, lab.site.address(10)), "without NAT it is there to be routed to"


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
