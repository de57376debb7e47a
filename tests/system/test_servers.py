"""The whole life of a server with all named options, once with each client at both ends of its microversions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clouds import UserCloud, eventually
from tests.system.places import Guest, Place, make_place

#: Writes down that it was asked to end, which a hard reboot does not do.
USER_DATA = """#!/bin/sh
echo "$(hostname)" > /root/user-data-ran
(trap 'echo asked > /root/asked-to-end; sync; exit' TERM; while :; do sleep 1; done) &
"""


@pytest.fixture(scope="module")
def place(cloud: UserCloud) -> Place:
    return make_place(cloud, "n", number=50)


def test_a_life(client: UserCloud, place: Place, tmp_path: Path) -> None:
    data = tmp_path / "user-data"
    data.write_text(USER_DATA)
    more = ("--user-data", str(data), "--property", "colour=blue", "--property", "size=very small")
    place.create("web-1", *more, cloud=client)
    _is_shown(client)
    guest = place.guest("web-1")
    shown = client.ask("server", "show", "web-1")
    assert guest.address in json.dumps(shown["addresses"])
    assert guest.run("hostname") == "web-1"
    eventually("user data ran", lambda: guest.run("cat /root/user-data-ran") == "web-1")
    log = client.openstack("console", "log", "show", "web-1")
    assert "linux" in log and "eth0 192.168.50." in log and "tiny: ready" in log
    assert len(client.openstack("console", "log", "show", "--lines", "3", "web-1").splitlines()) <= 4
    _stops_and_starts(client, guest)
    _reboots(client, guest)
    _is_deleted(client, guest)


def _is_shown(client: UserCloud) -> None:
    shown = client.ask("server", "show", "web-1")
    assert (shown["status"], shown["name"], shown["key_name"]) == ("ACTIVE", "web-1", "n")
    assert "192.168.50." in json.dumps(shown["addresses"])
    assert "m1.tiny" in json.dumps(shown["flavor"]) and "tiny" in json.dumps(shown["image"])
    assert "blue" in json.dumps(shown["properties"]) and "very small" in json.dumps(shown["properties"])
    assert "n" in json.dumps(shown["security_groups"])
    assert not shown.get("fault")
    (row,) = client.ask("server", "list", "--name", "web-1")
    assert (row["Status"], row["Image"], row["Flavor"]) == ("ACTIVE", "tiny", "m1.tiny")


def _stops_and_starts(client: UserCloud, guest: Guest) -> None:
    boot = guest.boot()
    client.openstack("server", "stop", "web-1")
    eventually("SHUTOFF", lambda: client.ask("server", "show", "web-1")["status"] == "SHUTOFF")
    assert not client.processes("qemu-system-x86_64")
    assert not guest.answers()
    assert "409" in client.refused("server", "stop", "web-1")
    client.openstack("server", "start", "web-1")
    eventually("the guest is back", lambda: guest.has_booted_since(boot))
    assert client.ask("server", "show", "web-1")["status"] == "ACTIVE"
    assert guest.run("cat /root/asked-to-end; rm /root/asked-to-end") == "asked"


def _reboots(client: UserCloud, guest: Guest) -> None:
    # user data runs once per server, so what it left running ended with the first boot
    guest.run("(trap 'echo asked > /root/asked-to-end; sync; exit' TERM; while :; do sleep 1; done) >/dev/null 2>&1 &")
    boot = guest.boot()
    client.openstack("server", "reboot", "--wait", "web-1")
    eventually("the guest is back", lambda: guest.has_booted_since(boot))
    assert guest.run("cat /root/asked-to-end; rm /root/asked-to-end") == "asked"
    guest.run("(trap 'echo asked > /root/asked-to-end; sync; exit' TERM; while :; do sleep 1; done) >/dev/null 2>&1 &")
    boot = guest.boot()
    client.openstack("server", "reboot", "--hard", "--wait", "web-1")
    eventually("the guest is back", lambda: guest.has_booted_since(boot))
    assert guest.run("test -e /root/asked-to-end && echo asked || echo not asked") == "not asked"
    assert float(guest.run("cut -d' ' -f1 /proc/uptime")) < 120
    actions = [event["Action"] for event in client.ask("server", "event", "list", "web-1")]
    assert actions == ["reboot", "reboot", "start", "stop", "create"]
    request = client.ask("server", "event", "list", "web-1")[-1]["Request ID"]
    event = client.ask("server", "event", "show", "web-1", request)
    assert event["action"] == "create" and "Success" in json.dumps(event)


def _is_deleted(client: UserCloud, guest: Guest) -> None:
    client.openstack("server", "delete", "--wait", "web-1")
    assert not client.processes("qemu-system-x86_64")
    assert "web-1" in client.refused("server", "show", "web-1")
    shown = client.ask("floating", "ip", "show", guest.address)
    assert (shown["port_id"], shown["status"]) == (None, "DOWN")
    client.openstack("floating", "ip", "delete", guest.address)
