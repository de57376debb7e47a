"""The whole life of a server with all named options, once with each client at both ends of its microversions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clouds import UserCloud, command_line, eventually
from tests.system.conftest import CLIENTS
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
    name = f"web-{list(CLIENTS.values()).index(client.client)}"
    data = tmp_path / "user-data"
    data.write_text(USER_DATA)
    more = ("--user-data", str(data), "--property", "colour=blue", "--property", "size=very small")
    place.create(name, *more, cloud=client)
    _is_shown(client, name)
    guest = place.guest(name)
    shown = client.ask("server", "show", name)
    assert guest.address in json.dumps(shown["addresses"])
    assert guest.run("hostname") == name
    eventually("user data ran", lambda: guest.run("cat /root/user-data-ran") == name)
    log = client.openstack("console", "log", "show", name)
    assert "linux" in log and "eth0 192.168.50." in log and "tiny: ready" in log
    assert len(client.openstack("console", "log", "show", "--lines", "3", name).splitlines()) <= 4
    _stops_and_starts(client, name, guest)
    _reboots(client, name, guest)
    _is_deleted(client, name, guest)


def _is_shown(client: UserCloud, name: str) -> None:
    shown = client.ask("server", "show", name)
    assert (shown["status"], shown["name"], shown["key_name"]) == ("ACTIVE", name, "n")
    assert "192.168.50." in json.dumps(shown["addresses"])
    assert "m1.tiny" in json.dumps(shown["flavor"]) and "tiny" in json.dumps(shown["image"])
    assert "blue" in json.dumps(shown["properties"]) and "very small" in json.dumps(shown["properties"])
    assert "n" in json.dumps(shown["security_groups"])
    assert not shown.get("fault")
    (row,) = client.ask("server", "list", "--name", name)
    assert (row["Status"], row["Image"], row["Flavor"]) == ("ACTIVE", "tiny", "m1.tiny")


def _stops_and_starts(client: UserCloud, name: str, guest: Guest) -> None:
    boot = guest.boot()
    client.openstack("server", "stop", name)
    eventually("SHUTOFF", lambda: client.ask("server", "show", name)["status"] == "SHUTOFF")
    assert not _runs(client, client.ask("server", "show", name)["id"])
    assert not guest.answers()
    assert "409" in client.refused("server", "stop", name)
    client.openstack("server", "start", name)
    eventually("the guest is back", lambda: guest.has_booted_since(boot))
    eventually("ACTIVE", lambda: client.ask("server", "show", name)["status"] == "ACTIVE", 30)
    assert guest.run("cat /root/asked-to-end; rm /root/asked-to-end; sync") == "asked"


def _reboots(client: UserCloud, name: str, guest: Guest) -> None:
    # user data runs once per server, so what it left running ended with the first boot
    guest.run("(trap 'echo asked > /root/asked-to-end; sync; exit' TERM; while :; do sleep 1; done) >/dev/null 2>&1 &")
    boot = guest.boot()
    client.openstack("server", "reboot", "--wait", name)
    eventually("the guest is back", lambda: guest.has_booted_since(boot))
    assert guest.run("cat /root/asked-to-end; rm /root/asked-to-end; sync") == "asked"
    guest.run("(trap 'echo asked > /root/asked-to-end; sync; exit' TERM; while :; do sleep 1; done) >/dev/null 2>&1 &")
    boot = guest.boot()
    client.openstack("server", "reboot", "--hard", "--wait", name)
    eventually("the guest is back", lambda: guest.has_booted_since(boot))
    assert guest.run("test -e /root/asked-to-end && echo asked || echo not asked") == "not asked"
    assert float(guest.run("cut -d' ' -f1 /proc/uptime")) < 120
    actions = [event["Action"] for event in client.ask("server", "event", "list", name)]
    assert actions == ["reboot", "reboot", "start", "stop", "create"]
    if "2.1" in client.client:
        return  # before 2.51 users see no events of an action, at any cloud, which the newest client does not expect
    request = client.ask("server", "event", "list", name)[-1]["Request ID"]
    event = client.ask("server", "event", "show", name, request)
    assert event["action"] == "create" and "Success" in json.dumps(event)


def _runs(client: UserCloud, server_id: str) -> bool:
    return any(server_id in " ".join(command_line(pid)) for pid in client.processes("qemu-system-x86_64"))


def _is_deleted(client: UserCloud, name: str, guest: Guest) -> None:
    server_id = client.ask("server", "show", name)["id"]
    assert _runs(client, server_id)
    client.openstack("server", "delete", "--wait", name)
    assert not _runs(client, server_id)
    assert name in client.refused("server", "show", name)
    shown = client.ask("floating", "ip", "show", guest.address)
    assert (shown["port_id"], shown["status"]) == (None, "DOWN")
    client.openstack("floating", "ip", "delete", guest.address)
