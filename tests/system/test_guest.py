"""What is true inside a guest, and between it and the world."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.clouds import SSH, UserCloud, eventually
from tests.system.places import Guest, Neighbour, Place, let_in, make_place, neighbour


@pytest.fixture(scope="module")
def place(cloud: UserCloud) -> Place:
    return make_place(cloud, "inside", number=60)


@pytest.fixture(scope="module")
def guest(cloud: UserCloud, place: Place) -> Guest:
    cloud.openstack("subnet", "set", "--host-route", "destination=198.51.100.0/24,gateway=192.168.60.77", "inside")
    place.create("Web One", "--property", "colour=blue")
    return place.guest("Web One")


@pytest.fixture(scope="module")
def next_door() -> Iterator[Neighbour]:
    with neighbour() as there:
        yield there


def test_both_users_have_the_key_of_the_key_pair(guest: Guest) -> None:
    public = guest.key.with_name(guest.key.name + ".pub").read_text().strip()
    assert guest.run("whoami && hostname") == "root\nweb-one"
    assert guest.run("id -un", user="tiny") in ("tiny", "root")
    assert guest.run("cat /root/.ssh/authorized_keys") == public
    assert guest.run("cat ~/.ssh/authorized_keys", user="tiny") == public


def test_its_link_and_routes(guest: Guest) -> None:
    assert guest.run("cat /sys/class/net/eth0/mtu") == "1450"
    routes = guest.run("ip route")
    assert "default via 192.168.60.1 dev eth0" in routes
    assert "198.51.100.0/24 via 192.168.60.77" in routes
    assert guest.run("ping -c 1 -w 5 192.168.60.1 > /dev/null && echo yes") == "yes"


def test_metadata_in_both_trees(guest: Guest) -> None:
    said = json.loads(guest.run("timeout 10 wget -qO- http://169.254.169.254/openstack/latest/meta_data.json"))
    assert (said["name"], said["hostname"].split(".")[0]) == ("Web One", "web-one")
    assert said["meta"] == {"colour": "blue"}
    assert "inside" in said["public_keys"]
    ec2 = "timeout 10 wget -qO- http://169.254.169.254/latest/meta-data/"
    assert guest.run(f"{ec2}local-ipv4").startswith("192.168.60.")
    assert guest.run(f"{ec2}public-ipv4") == guest.address
    assert guest.run(f"{ec2}public-keys/0/openssh-key").startswith("ssh-ed25519 ")


def test_names(guest: Guest) -> None:
    own = guest.run("ip -4 -o addr show eth0").split()[3].partition("/")[0]
    assert own in guest.run("nslookup web-one")
    # what the machine's own name service knows, the guest is told, too
    known = subprocess.run(["getent", "ahostsv4", "deb.debian.org"], capture_output=True, text=True, check=False)
    if known.returncode == 0:
        assert known.stdout.split()[0] in eventually(
            "a name of the world", lambda: guest.run("nslookup deb.debian.org")
        )


def test_the_way_out_leads_to_what_the_machine_reaches(guest: Guest, place: Place, next_door: Neighbour) -> None:
    asked = f"timeout 10 wget -qO- http://{next_door.address}/"
    assert guest.run(asked) == next_door.machine
    place.create("no-floating-ip")
    own = place.cloud.ask("server", "show", "no-floating-ip")["addresses"]["inside"][0]
    # no address of its own outside: in by way of the first guest, out by that of the router
    hop = " ".join((*SSH, "-i", str(guest.key), "-W", f"{own}:22", f"root@{guest.address}"))
    way = (*SSH, "-o", f"ProxyCommand={hop}", "-i", str(guest.key), f"root@{own}")

    def asks() -> str:
        return place.cloud.run(*way, asked, deadline_s=60).stdout

    try:
        assert eventually("out by the router's address", asks) == next_door.machine
    finally:
        place.cloud.openstack("server", "delete", "--wait", "no-floating-ip")


def test_nobody_comes_in_but_by_a_rule(cloud: UserCloud, guest: Guest, place: Place) -> None:
    def pings() -> bool:
        return cloud.run("ping", "-c", "1", "-W", "1", guest.address, check=False).returncode == 0

    assert pings()
    rules = cloud.ask("security", "group", "rule", "list", place.name)
    by_protocol = {row["IP Protocol"]: row["ID"] for row in rules}
    cloud.openstack("security", "group", "rule", "delete", by_protocol["icmp"], by_protocol["tcp"])
    eventually("ping is refused", lambda: not pings(), 20)
    eventually("ssh is refused", lambda: not guest.answers(), 20)
    let_in(cloud, place.name)
    eventually("ssh is let in", guest.answers, 20)
    assert not pings()
    cloud.openstack("security", "group", "rule", "create", "--protocol", "icmp", place.name)
    eventually("ping is let in", pings, 20)


def test_a_rule_that_goes_cuts_the_connection_that_it_let_in(cloud: UserCloud, guest: Guest, place: Place) -> None:
    way = ("-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=3", "-i", str(guest.key), f"root@{guest.address}")
    talk = subprocess.Popen([*SSH, *way, "while :; do echo on; sleep 1; done"], stdout=subprocess.PIPE)
    try:
        assert talk.stdout is not None and talk.stdout.readline() == b"on\n"
        rules = cloud.ask("security", "group", "rule", "list", place.name)
        cloud.openstack(
            "security", "group", "rule", "delete", *(row["ID"] for row in rules if row["IP Protocol"] == "tcp")
        )
        eventually("the connection is cut", lambda: talk.poll() is not None, 30)
    finally:
        talk.kill()
        talk.wait()
        assert talk.stdout is not None
        talk.stdout.close()
        let_in(cloud, place.name)
    eventually("ssh is let in", guest.answers, 20)


def test_groups_are_put_on_and_taken_off(cloud: UserCloud, guest: Guest, place: Place) -> None:
    cloud.openstack("security", "group", "create", "second")
    let_in(cloud, "second")
    cloud.openstack("server", "add", "security", "group", "Web One", "second")
    assert "second" in json.dumps(cloud.ask("server", "show", "Web One")["security_groups"])
    cloud.openstack("server", "remove", "security", "group", "Web One", place.name)
    assert guest.answers()
    cloud.openstack("server", "remove", "security", "group", "Web One", "second")
    eventually("no group lets ssh in", lambda: not guest.answers(), 20)
    cloud.openstack("server", "add", "security", "group", "Web One", place.name)
    eventually("ssh is let in", guest.answers, 20)
    cloud.openstack("security", "group", "delete", "second")


def test_a_floating_ip_moves(cloud: UserCloud, guest: Guest, place: Place) -> None:
    cloud.openstack("server", "remove", "floating", "ip", "Web One", guest.address)
    eventually("the address leads nowhere", lambda: not guest.answers(), 20)
    cloud.openstack("server", "add", "floating", "ip", "Web One", guest.address)
    eventually("the address leads to the guest", guest.answers, 20)
    assert guest.run("hostname") == "web-one"
