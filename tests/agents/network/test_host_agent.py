"""The whole network part as a process on a real host: metadata, and being killed without anyone noticing."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from kilostack.wire.compute import Guest
from kilostack.wire.network import Fabric
from tests.agents.network.test_metadata_tree import guest as make_guest
from tests.drivers.net.lab import OUTSIDE_ADDRESS, Lab, Pinging, eventually, footprint, pings, sh, works
from tests.drivers.net.site import GROUP, NET, PUBLIC, ROUTER

pytestmark = pytest.mark.root

CURL = "busybox wget -q -O - http://169.254.169.254"


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab(1)
    yield made
    made.close()


@contextlib.contextmanager
def agent(lab: Lab, guests: list[Guest]) -> Iterator[subprocess.Popen[str]]:
    """A running agent for the lab's one host, with all its ports up."""
    (plan,) = lab.plan.hosts
    site = lab.site
    objects = {
        f"network/{NET}": site.network(plan.name),
        f"network/{PUBLIC}": site.public(),
        f"group/{GROUP}": site.group(),
        f"router/{ROUTER}": site.router(),
        "fabric": Fabric(revision=1, tunnels=lab.tunnels),
        **{f"port/{port.id}": port for port in map(site.port, site.homes)},
    }
    told = {
        "settings": {
            "host": plan.name,
            "prefix": plan.prefix,
            "address": plan.address,
            "external_bridge": plan.external_bridge,
            "resolver": plan.resolver,
            "run_dir": "/run/kilostack-net",
        },
        "objects": {key: msgspec.to_builtins(item) for key, item in objects.items()},
        "guests": [msgspec.to_builtins(item) for item in guests],
    }
    running = subprocess.Popen(
        ["nsenter", f"--net=/run/netns/{plan.namespace}", sys.executable, "-m", "tests.agents.network.host_agent"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert running.stdin and running.stdout
    try:
        running.stdin.write(json.dumps(told) + "\n")
        running.stdin.flush()
        up = {running.stdout.readline().strip() for _ in range(len(site.homes) + 1)}
        assert all(line.endswith("active") for line in up), up
        yield running
    finally:
        running.kill()
        running.wait()
        running.stdin.close()
        running.stdout.close()


def test_metadata_is_found_by_address(lab: Lab) -> None:
    host = lab.hosts[0]
    inside = {number: lab.boot(host, number) for number in (10, 11)}
    for number, name in inside.items():
        lab.configure(name, number)
    with agent(lab, [make_guest(10), make_guest(11)]):
        for number, name in inside.items():
            eventually(lambda name=name: works(name, f"{CURL}/openstack"))
            found = json.loads(sh(name, f"{CURL}/openstack/latest/meta_data.json"))
            assert found["uuid"] == make_guest(number).id
            assert sh(name, f"{CURL}/latest/meta-data/local-ipv4") == lab.site.address(number)
        sh(inside[10], "ip route del 169.254.169.254")  # by the router instead
        found = json.loads(sh(inside[10], f"{CURL}/openstack/latest/meta_data.json"))
        assert found["uuid"] == make_guest(10).id
    assert not works(inside[10], f"timeout 2 {CURL}/openstack")


def test_an_agent_that_is_killed_and_started_disturbs_nobody(lab: Lab) -> None:
    host = lab.hosts[0]
    name = lab.boot(host, 10)
    lab.configure(name, 10)
    lab.site.floating = {10: lab.site.public_address(60)}
    with agent(lab, [make_guest(10)]):
        assert pings(name, OUTSIDE_ADDRESS)
        before = footprint()
        pinging = Pinging(name, OUTSIDE_ADDRESS, 200)
    for _ in range(2):
        with agent(lab, [make_guest(10)]):
            eventually(lambda: works(name, f"{CURL}/openstack"))
    pinging.check_none_lost()
    assert footprint() == before
