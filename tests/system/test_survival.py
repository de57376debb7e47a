"""Guests, their networks and floating IPs outlive kilostack: kill -9, `down` and `up`, reboots of the machine."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kilostack.drivers.net.fabric import identifier
from tests.clouds import UserCloud, command_line, eventually, lines, user_cloud
from tests.system.inventory import is_again, look
from tests.system.places import Guest, Place, make_place

QEMU = "qemu-system-x86_64"
RANGE = "198.18.64.0/24"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserCloud]:
    """A cloud with a range of its own, one server that runs and one that was stopped."""
    with user_cloud(tmp_path_factory.mktemp("home"), "survival", "--public-cidr", RANGE) as made:
        yield made


@pytest.fixture(scope="module")
def place(cloud: UserCloud) -> Place:
    return make_place(cloud, "kept", number=80)


@pytest.fixture(scope="module")
def guest(cloud: UserCloud, place: Place) -> Guest:
    place.create("resting")
    cloud.openstack("server", "stop", "resting")
    place.create("running")
    eventually("resting is SHUTOFF", lambda: status(cloud, "resting") == "SHUTOFF")
    return place.guest("running")


def status(cloud: UserCloud, server: str) -> str:
    return str(cloud.ask("server", "show", server)["status"])


def pid_of(cloud: UserCloud, role: str) -> int:
    return next(int(row["pid"]) for row in cloud.status() if row["role"] == role)


def is_well(cloud: UserCloud) -> bool:
    rows = cloud.status()
    return {row["role"] for row in rows} >= {"supervisor", "control-plane", "agent"} and all(
        row["healthy"] and row["pid"] for row in rows
    )


@contextmanager
def pinged(address: str) -> Iterator[None]:
    """Five pings a second meanwhile, of which at most one gets no answer."""
    ping = subprocess.Popen(["ping", "-n", "-i", "0.2", address], stdout=subprocess.PIPE, text=True)
    try:
        yield
    finally:
        ping.send_signal(signal.SIGINT)
        said, _ = ping.communicate(timeout=20)
    found = re.search(r"(\d+) packets transmitted, (\d+) received", said)
    assert found is not None, said
    sent, received = map(int, found.groups())
    assert received and sent - received <= 1, said


def kill(*pids: int) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    eventually("they are gone", lambda: not any(command_line(pid) for pid in pids), 20)


@pytest.mark.parametrize("role", ["agent", "control-plane"])
def test_a_killed_child_comes_back_and_nobody_notices(cloud: UserCloud, guest: Guest, role: str) -> None:
    guests, pid = cloud.processes(QEMU), pid_of(cloud, role)
    before = look(cloud)
    with pinged(guest.address):
        kill(pid)
        eventually("another one is well", lambda: is_well(cloud) and pid_of(cloud, role) != pid, 60)
        assert status(cloud, "running") == "ACTIVE"
        eventually("all is as before", lambda: is_again(before, cloud), 60)
    assert cloud.processes(QEMU) == guests
    _obeys(cloud)


def _obeys(cloud: UserCloud) -> None:
    """What is asked for now is done."""
    cloud.openstack("server", "start", "resting")
    eventually("resting is ACTIVE", lambda: status(cloud, "resting") == "ACTIVE")
    cloud.openstack("server", "stop", "resting")
    eventually("resting is SHUTOFF", lambda: status(cloud, "resting") == "SHUTOFF")


@pytest.mark.parametrize("roles", [("supervisor",), ("supervisor", "control-plane", "agent")])
def test_up_adopts_what_a_killed_supervisor_left(cloud: UserCloud, guest: Guest, roles: tuple[str, ...]) -> None:
    guests = cloud.processes(QEMU)
    assert len(guests) == 1
    before = look(cloud)
    with pinged(guest.address):
        kill(*(pid_of(cloud, role) for role in roles))
        cloud.up()
        eventually("all are well", lambda: is_well(cloud), 60)
        eventually("all is as before", lambda: is_again(before, cloud), 60)
    assert cloud.processes(QEMU) == guests
    assert (status(cloud, "running"), status(cloud, "resting")) == ("ACTIVE", "SHUTOFF")
    assert guest.answers()
    _obeys(cloud)


def test_up_twice_changes_nothing(cloud: UserCloud, guest: Guest) -> None:
    before, traces = look(cloud), cloud.traces()
    with pinged(guest.address):
        assert "nothing was changed" in cloud.up()
        assert "nothing was changed" in cloud.kilostack("up", "--name", cloud.name).stdout
        assert guest.answers()
    assert is_again(before, cloud)
    assert cloud.traces() == traces


def test_up_repairs_what_is_missing(cloud: UserCloud, guest: Guest) -> None:
    guests, before = cloud.processes(QEMU), look(cloud)
    inner = sorted(cloud.namespaces())
    router = [name for name in inner if "-router-" in name]
    host = f"{cloud.prefix}-h1"
    kill(*cloud.processes("dnsmasq"))
    for name in router:
        subprocess.run(["ip", "netns", "delete", name], check=True)
    subprocess.run(["ip", "netns", "exec", host, "nft", "flush", "ruleset"], check=True)
    subprocess.run(["nft", "delete", "table", "ip", f"kilostack_up_{identifier(cloud.name)}"], check=True)
    kill(*(pid_of(cloud, role) for role in ("supervisor", "control-plane", "agent")))
    cloud.up()
    eventually("all is as before", lambda: is_again(before, cloud), 60)
    eventually("the guest lets us in", guest.answers, 60)
    assert guest.run("nslookup running > /dev/null && echo told") == "told"
    assert cloud.processes(QEMU) == guests


def test_down_stops_guests_gently_and_up_starts_those_that_ran(cloud: UserCloud, guest: Guest) -> None:
    trap = "trap 'echo asked > /root/asked-to-end; sync; exit' TERM"
    guest.run(f"({trap}; while :; do sleep 1; done) > /dev/null 2>&1 &")
    boot = guest.boot()
    cloud.down()
    left = cloud.traces()
    assert all(line.startswith("file ") for line in left), left
    assert f"file {cloud.state_dir}" in left
    cloud.kilostack("up", "--name", cloud.name)  # its port and range are remembered
    eventually("the guest is back", lambda: guest.has_booted_since(boot))
    assert guest.run("cat /root/asked-to-end; rm /root/asked-to-end") == "asked"
    eventually("running is ACTIVE", lambda: status(cloud, "running") == "ACTIVE", 30)
    assert status(cloud, "resting") == "SHUTOFF"
    assert len(cloud.processes(QEMU)) == 1
    assert cloud.status()[1]["address"] == f"http://127.0.0.1:{cloud.port}"


def test_a_reboot_of_the_machine(cloud: UserCloud, guest: Guest) -> None:
    boot = guest.boot()
    _lose_power(cloud)
    cloud.kilostack("up", "--name", cloud.name)
    eventually("the guest is back", lambda: guest.has_booted_since(boot))
    eventually("running is ACTIVE", lambda: status(cloud, "running") == "ACTIVE", 30)
    assert status(cloud, "resting") == "SHUTOFF"
    assert len(cloud.processes(QEMU)) == 1
    _obeys(cloud)


def _lose_power(cloud: UserCloud) -> None:
    """All that a machine forgets when it is switched off is gone: processes, networks and /run."""
    short, run_dir = identifier(cloud.name), cloud.run_dir
    kill(*(pid_of(cloud, role) for role in ("supervisor", "control-plane", "agent")))
    kill(*cloud.processes(QEMU), *cloud.processes("dnsmasq"))
    subprocess.run(["ip", "link", "delete", f"ks{short}"], check=True)
    for name in cloud.namespaces():
        subprocess.run(["ip", "netns", "delete", name], check=True)
    subprocess.run(["nft", "delete", "table", "ip", f"kilostack_up_{short}"], check=True)
    for path in (run_dir, *Path("/run/kilostack-net").glob(f"ks-{short}*")):
        shutil.rmtree(path)
    (run_dir.parent / f"{cloud.name}.lock").unlink()
    left = {line for line in cloud.traces() if not line.startswith("file ")}
    assert left == set(), left


def test_public_addresses_are_of_the_range_that_was_asked_for(cloud: UserCloud, guest: Guest) -> None:
    assert guest.address.startswith("198.18.64.")
    assert any(line.startswith(RANGE) for line in lines("ip", "route"))


def test_a_range_that_the_machine_routes_is_refused(cloud: UserCloud, guest: Guest, tmp_path: Path) -> None:
    other = UserCloud(tmp_path, "survival-refused")
    said = other.kilostack("up", "--name", other.name, "--public-cidr", "198.18.64.128/25", check=False)
    assert said.returncode != 0
    assert RANGE in said.stderr and "overlaps" in said.stderr
    assert other.traces() == set()


def test_two_clouds_side_by_side(cloud: UserCloud, guest: Guest, tmp_path: Path) -> None:
    guests = cloud.processes(QEMU)
    with pinged(guest.address), user_cloud(tmp_path, "survival-too") as other:
        # the same names and the same addresses inside, and yet nobody meets the other
        place = make_place(other, "kept", number=80)
        place.create("running")
        guest_too = place.guest("running")
        assert guest_too.address != guest.address
        guest_too.run("echo other > /root/whose")
        assert guest.run("cat /root/whose 2>/dev/null; hostname") == "running"
        assert guest.answers() and guest_too.answers()
        assert cloud.processes(QEMU) == guests and len(other.processes(QEMU)) == 1
    assert guest.answers()
    assert cloud.processes(QEMU) == guests
