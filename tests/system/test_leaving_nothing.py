"""Servers in all shapes, creates that fail, and what is left when all is deleted: nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clouds import UserCloud, eventually
from tests.system.conftest import CLIENTS
from tests.system.inventory import is_again, look
from tests.system.places import Place, make_place, take_away

TINY = ("--image", "tiny", "--flavor", "m1.tiny")


@pytest.fixture(scope="module")
def place(cloud: UserCloud) -> Iterator[Place]:
    """What the tests of this file make is deleted when they are through, and then nothing must be left."""
    cloud.openstack("security", "group", "list")  # a project's default group is made when first looked at
    before = look(cloud)
    made = make_place(cloud, "busy", number=70)
    yield made
    assert cloud.ask("server", "list") == []
    take_away(made)
    eventually("all is as before", lambda: is_again(before, cloud), 30)


def status(cloud: UserCloud, server: str) -> Any:
    return cloud.ask("server", "show", server)["status"]


def test_three_at_once(cloud: UserCloud, place: Place) -> None:
    place.create("many", "--min", "3", "--max", "3")
    names = [row["Name"] for row in cloud.ask("server", "list", "--name", "many")]
    assert sorted(names) == ["many-1", "many-2", "many-3"]
    for name in names:
        eventually(f"{name} is ACTIVE", lambda name=name: status(cloud, name) == "ACTIVE")
    assert len(cloud.processes("qemu-system-x86_64")) == 3
    place.guest("many-2")
    used = {row["Name"]: row["Value"] for row in cloud.ask("limits", "show", "--absolute")}
    assert (used["total_instances_used"], used["total_cores_used"], used["total_ram_used"]) == (3, 3, 384)
    cloud.openstack("server", "delete", "--wait", *names)
    (address,) = (row["Floating IP Address"] for row in cloud.ask("floating", "ip", "list"))
    cloud.openstack("floating", "ip", "delete", address)


@pytest.mark.parametrize("client", ["newest-highest", "debian-lowest"])
def test_several_networks_and_a_port_of_ones_own(cloud: UserCloud, place: Place, client: str) -> None:
    by = cloud.by(*CLIENTS[client])
    port = by.ask("port", "create", "--network", "busy", "--fixed-ip", "ip-address=192.168.70.99", "own")
    by.openstack("port", "set", "--security-group", "busy", "own")
    nics = ("--nic", f"port-id={port['id']}", "--network", "private")
    by.openstack("server", "create", *TINY, *nics, "--key-name", "busy", "--wait", "two-legs")
    shown = by.ask("server", "show", "two-legs")
    assert "192.168.70.99" in json.dumps(shown["addresses"]) and "10.0.0." in json.dumps(shown["addresses"])
    bound = by.ask("port", "show", "own")
    assert (bound["status"], bound["device_id"]) == ("ACTIVE", shown["id"])
    by.openstack("floating", "ip", "create", "--port", port["id"], "public")
    (address,) = (row["Floating IP Address"] for row in by.ask("floating", "ip", "list"))
    eventually("two-legs lets us in", lambda: by.can_log_in(address, place.key))
    links = by.ssh(address, "ip -4 -o addr", key=place.key)
    assert "eth0    inet 192.168.70.99" in links and "eth1    inet 10.0.0." in links
    assert "409" in by.refused("network", "delete", "busy")
    by.openstack("server", "delete", "--wait", "two-legs")
    kept = by.ask("port", "show", "own")
    assert (kept["status"], kept["device_id"]) == ("DOWN", "")
    by.openstack("floating", "ip", "delete", address)
    by.openstack("port", "delete", "own")


def test_a_flavor_that_fits_no_host(cloud: UserCloud, place: Place) -> None:
    cloud.openstack("flavor", "create", "--ram", "48000", "--disk", "1", "--vcpus", "2", "giant", admin=True)
    cloud.openstack("server", "create", "--image", "tiny", "--flavor", "giant", "--network", "busy", "misfit")
    eventually("ERROR", lambda: status(cloud, "misfit") == "ERROR")
    fault = cloud.ask("server", "show", "misfit")["fault"]
    assert fault["code"] == 500 and "No valid host" in fault["message"], fault
    why = cloud.kilostack("why", "--name", cloud.name, "misfit").stdout
    assert "needs 48000 MiB memory, has" in why, why
    cloud.openstack("server", "delete", "--wait", "misfit")
    cloud.openstack("flavor", "delete", "giant", admin=True)


def test_no_address_is_left(cloud: UserCloud, place: Place) -> None:
    cloud.openstack("network", "create", "narrow")
    only = ("--allocation-pool", "start=192.168.71.2,end=192.168.71.2", "--no-dhcp")
    cloud.openstack("subnet", "create", "narrow", "--network", "narrow", "--subnet-range", "192.168.71.0/30", *only)
    cloud.openstack("port", "create", "--network", "narrow", "taken")
    said = cloud.run(
        *cloud.client, "--os-cloud", cloud.name, "server", "create", *TINY, "--network", "narrow", "late", check=False
    )
    if said.returncode == 0:
        eventually("ERROR", lambda: status(cloud, "late") == "ERROR")
        assert "addresses" in cloud.ask("server", "show", "late")["fault"]["message"]
        cloud.openstack("server", "delete", "--wait", "late")
    else:
        assert "addresses" in said.stderr
    cloud.openstack("port", "delete", "taken")
    cloud.openstack("network", "delete", "narrow")


def test_what_cannot_be_is_refused_at_once(cloud: UserCloud, place: Place) -> None:
    nobody = "00000000-0000-4000-8000-000000000000"
    for nic in (f"port-id={nobody}", f"net-id={nobody}"):
        said = cloud.refused("server", "create", *TINY, "--nic", nic, "never")
        assert nobody in said or "No Port found" in said or "No Network found" in said, said
    said = cloud.refused("server", "create", *TINY, "--network", "busy", "--min", "11", "--max", "11", "never")
    assert "403" in said and "Quota exceeded" in said, said
    assert cloud.ask("server", "list") == []


def test_deleted_while_it_is_made(cloud: UserCloud, place: Place) -> None:
    for _ in range(3):
        cloud.openstack("server", "create", *TINY, "--network", "busy", "short-lived")
        cloud.openstack("server", "delete", "--wait", "short-lived")
    assert not cloud.processes("qemu-system-x86_64")
