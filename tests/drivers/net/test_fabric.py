"""The laptop's fabric: planned purely, made and mended on a machine of its own, gone without a trace."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kilostack.drivers.net import command, dnsmasq, fabric
from kilostack.drivers.net.fabric import FabricRefused, Route
from tests.drivers.net.lab import CLOUD, MACHINE, OUTSIDE, OUTSIDE_ADDRESS, end_dnsmasq, footprint, pings, sh, works

names = st.from_regex(r"[a-z][a-z0-9-]{0,22}[a-z0-9]", fullmatch=True)


@given(names, st.integers(1, 200))
def test_a_plan_follows_from_the_name(cloud: str, hosts: int) -> None:
    made = fabric.plan(cloud, hosts, None, ())
    assert made == fabric.plan(cloud, hosts, None, ())
    assert len(made.uplink) <= 15
    assert made.public.subnet_of(IPv4Network("172.24.0.0/13"))
    assert made.gateway in made.public
    for field in ("name", "namespace", "address", "link_address"):
        assert len({getattr(host, field) for host in made.hosts}) == hosts
    assert [host.name for host in made.hosts][:1] == [f"{cloud}-host-1"]


def test_a_range_that_the_machine_routes_is_passed_over() -> None:
    free = fabric.plan("cloud", 1, None, ()).public
    other = fabric.plan("cloud", 1, None, (Route(target=free, device="eth7"),)).public
    assert not free.overlaps(other)
    own = (Route(target=other, device=fabric.plan("cloud", 1, None, ()).uplink),)
    assert fabric.plan("cloud", 1, None, own).public == other, "a running cloud keeps its range"


def test_an_asked_range_that_the_machine_routes_is_refused_by_name() -> None:
    routes = (Route(target=IPv4Network("10.0.0.0/8"), device="eth7"),)
    with pytest.raises(FabricRefused, match=r"10\.0\.0\.0/8.*eth7"):
        fabric.plan("cloud", 1, "10.1.2.0/24", routes)
    assert str(fabric.plan("cloud", 1, "172.30.0.0/24", routes).public) == "172.30.0.0/24"


@pytest.mark.parametrize("cidr", ["10.0.0.1/24", "10.0.0.0/30", "fd00::/64", "words", "10.0.0.0/33"])
def test_an_absurd_range_is_refused(cidr: str) -> None:
    with pytest.raises(FabricRefused):
        fabric.plan("cloud", 1, cidr, ())


def test_the_underlay_keeps_clear_of_an_asked_range() -> None:
    made = fabric.plan("cloud", 1, "100.127.4.0/24", ())
    assert not made.public.overlaps(made.underlay)


# On a machine.


@pytest.fixture
def machine() -> Iterator[str]:
    """A machine in a namespace: one link to the outside, no forwarding."""
    command.batch("ip", [f"netns add {MACHINE}", f"netns add {OUTSIDE}"])
    add = [
        "link set lo up",
        f"link add eth0 type veth peer name eth0 netns {OUTSIDE}",
        "addr add 198.51.100.2/24 dev eth0",
        "link set eth0 up",
    ]
    command.batch("ip", add, namespace=MACHINE)
    command.batch("ip", [f"addr add {OUTSIDE_ADDRESS}/24 dev eth0", "link set eth0 up"], namespace=OUTSIDE)
    command.batch("ip", [f"route add default via {OUTSIDE_ADDRESS}"], namespace=MACHINE)
    sh(MACHINE, "echo 0 > /proc/sys/net/ipv4/ip_forward")
    yield MACHINE
    with command.entered(MACHINE):
        for cloud in (CLOUD, CLOUD + "b"):
            fabric.remove(cloud)
    for name in (OUTSIDE, MACHINE):
        subprocess.run(["ip", "netns", "del", name], check=True)


def ensure(cloud: str = CLOUD, hosts: int = 1) -> fabric.FabricPlan:
    with command.entered(MACHINE):
        made = fabric.plan(cloud, hosts, None, fabric.machine_routes())
        fabric.ensure(made)
    return made


def remove(cloud: str = CLOUD) -> None:
    with command.entered(MACHINE):
        fabric.remove(cloud)
        assert not fabric.is_present(cloud)


def state(namespace: str) -> str:
    return sh(
        namespace,
        "ip -d -o addr | sed 's/ [0-9]*sec//g'; ip route; nft list ruleset; cat /proc/sys/net/ipv4/ip_forward",
    )


def plug(made: fabric.FabricPlan) -> str:
    """Something with an address of the public range behind the first host's external bridge."""
    host, guest = made.hosts[0].namespace, f"{CLOUD}-t"
    command.batch("ip", [f"netns add {guest}"])
    link = f"link add t0 type veth peer name t1 netns {guest}"
    command.batch("ip", [link, "link set t0 master brext", "link set t0 up"], namespace=host)
    address = f"addr add {made.public.network_address + 77}/{made.public.prefixlen} dev t1"
    command.batch("ip", [address, "link set t1 up", f"route add default via {made.gateway}"], namespace=guest)
    return guest


@pytest.fixture
def guest(machine: str) -> Iterator[str]:
    yield plug(ensure())
    subprocess.run(["ip", "netns", "del", f"{CLOUD}-t"], check=True)


@pytest.mark.root
def test_ensure_twice_changes_nothing_and_remove_leaves_nothing(machine: str) -> None:
    before, machine_before = footprint(), state(machine)
    made = ensure(hosts=3)
    after = state(machine)
    pid = dnsmasq.running(made.directory)
    assert ensure(hosts=3) == made
    assert state(machine) == after
    assert dnsmasq.running(made.directory) == pid
    assert pings(made.hosts[0].namespace, made.hosts[2].address)
    remove()
    remove()
    assert state(machine) == machine_before
    assert footprint() == before


@pytest.mark.root
def test_an_agent_learns_its_place_from_inside(machine: str) -> None:
    for host in ensure(hosts=2).hosts:
        with command.entered(host.namespace):
            assert fabric.host_from_inside(CLOUD, int(host.name[-1])) == host
    with command.entered(machine), pytest.raises(command.CommandFailed):
        fabric.host_from_inside(CLOUD, 1)


@pytest.mark.root
def test_what_is_missing_is_mended(machine: str) -> None:
    made = ensure(hosts=2)
    first, second = (host.namespace for host in made.hosts)
    sh(made.namespace, "ip link set u1 nomaster; ip link del x2")
    sh(first, "ip addr flush dev under0")
    sh(machine, "nft flush ruleset; echo 0 > /proc/sys/net/ipv4/ip_forward")
    sh(machine, f"ip link del {made.uplink}")
    end_dnsmasq(made.directory)
    assert not pings(first, made.hosts[1].address)
    assert ensure(hosts=2) == made
    assert pings(first, made.hosts[1].address)
    assert pings(second, str(made.gateway))
    assert dnsmasq.running(made.directory)


@pytest.mark.root
def test_the_way_out_is_for_the_uplink_alone(machine: str) -> None:
    lan = f"{CLOUD}-lan"
    command.batch("ip", [f"netns add {lan}"])
    try:
        link = f"link add lan0 type veth peer name lan1 netns {lan}"
        command.batch("ip", [link, "addr add 203.0.113.1/24 dev lan0", "link set lan0 up"], namespace=machine)
        route = "route add default via 203.0.113.1"
        command.batch("ip", ["addr add 203.0.113.2/24 dev lan1", "link set lan1 up", route], namespace=lan)
        command.batch("ip", ["route add 203.0.113.0/24 via 198.51.100.2"], namespace=OUTSIDE)
        made = ensure()
        guest = plug(made)
        assert pings(guest, OUTSIDE_ADDRESS)
        assert pings(guest, "203.0.113.2"), "guests reach what the machine reaches"
        assert not pings(lan, OUTSIDE_ADDRESS), "the machine became a router between links that it had before"
        assert not pings(lan, str(made.public.network_address + 77)), "the public range is reached from beyond"
    finally:
        for name in (lan, f"{CLOUD}-t"):
            subprocess.run(["ip", "netns", "del", name], check=True)


@pytest.mark.root
@pytest.mark.parametrize("chain", ["DOCKER-USER", "FORWARD"])
def test_beside_rules_that_drop_what_they_do_not_know(machine: str, chain: str) -> None:
    sh(machine, "iptables -P FORWARD DROP; iptables -P INPUT DROP; iptables -A INPUT -i lo -j ACCEPT")
    if chain == "DOCKER-USER":
        sh(machine, "iptables -N DOCKER-USER; iptables -A FORWARD -j DOCKER-USER; iptables -A DOCKER-USER -j RETURN")
    before = sh(machine, "iptables -S")
    made = ensure()
    name = plug(made)
    try:
        assert pings(name, OUTSIDE_ADDRESS)
        rules = sh(machine, "iptables -S")
        assert f"-A {chain} -i {made.uplink}" in rules
        ensure()
        assert sh(machine, "iptables -S") == rules
        assert works(name, f"python3 -c \"import socket; socket.create_connection(('{made.gateway}', 53), 2)\"")
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)
    remove()
    assert sh(machine, "iptables -S") == before


@pytest.mark.root
def test_two_clouds_side_by_side(machine: str, guest: str) -> None:
    ensure()
    other = ensure(CLOUD + "b")
    assert not other.public.overlaps(ensure().public)
    remove(CLOUD + "b")
    assert pings(guest, OUTSIDE_ADDRESS), "removing one took the other's way out"
    ensure(CLOUD + "b")
    remove()
    assert sh(machine, "cat /proc/sys/net/ipv4/ip_forward").strip() == "1"
    remove(CLOUD + "b")
    assert sh(machine, "cat /proc/sys/net/ipv4/ip_forward").strip() == "0"


@pytest.mark.root
def test_forwarding_that_was_on_stays_on(machine: str) -> None:
    sh(machine, "echo 1 > /proc/sys/net/ipv4/ip_forward")
    ensure()
    remove()
    assert sh(machine, "cat /proc/sys/net/ipv4/ip_forward").strip() == "1"
