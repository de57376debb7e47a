"""README's first server, pasted as it stands, on real guests; then the verbs that need a guest which answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clouds import UserCloud, eventually, machine_traces

pytestmark = pytest.mark.root
README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserCloud]:
    made = UserCloud(tmp_path_factory.mktemp("home"), "journey")
    before = machine_traces()
    made.up()
    yield made
    made.down("--wipe")
    eventually("nothing is left on the machine", lambda: machine_traces() == before, 30)


def first_server_block() -> str:
    """The shell block of README under "First server"."""
    section = README.read_text().split("## First server", 1)[1]
    found = re.search(r"```sh\n(.*?)```", section, re.S)
    assert found is not None
    return found[1]


def test_the_first_server_of_readme(cloud: UserCloud) -> None:
    block = first_server_block()
    assert "OS_CLOUD=kilostack" in block and "ssh" in block
    # the only change: this cloud has another name, so that a user's own is not disturbed
    script = block.replace("OS_CLOUD=kilostack", f"OS_CLOUD={cloud.name}")
    done = cloud.run("bash", "-e", "-c", script, deadline_s=240)
    assert re.search(r"uid=0\(root\)|root@|Linux", done.stdout), done.stdout


def test_a_server_with_everything(cloud: UserCloud) -> None:
    key = cloud.home / "key.pem"
    key.write_text(cloud.openstack("keypair", "create", "everything"))
    key.chmod(0o600)
    network = cloud.ask("network", "create", "net-a")
    cloud.ask("subnet", "create", "sub-a", "--network", "net-a", "--subnet-range", "192.168.77.0/24")
    cloud.ask("router", "create", "router-a", "--external-gateway", "public")
    cloud.openstack("router", "add", "subnet", "router-a", "sub-a")
    cloud.ask("security", "group", "create", "group-a")
    rule = cloud.ask("security", "group", "rule", "create", "group-a", "--protocol", "tcp", "--dst-port", "22")
    data = cloud.home / "data.sh"
    data.write_text("#!/bin/sh\necho it-ran > /root/user-data-ran\n")
    flags = ["--image", "tiny", "--flavor", "m1.tiny", "--network", "net-a", "--security-group", "group-a"]
    flags += ["--key-name", "everything", "--user-data", str(data), "--property", "colour=blue", "--wait"]
    server = cloud.ask("server", "create", *flags, "web-1")
    assert server["status"] == "ACTIVE"
    floating = cloud.ask("floating", "ip", "create", "public")["floating_ip_address"]
    cloud.openstack("server", "add", "floating", "ip", "web-1", floating)

    def command(text: str) -> str:
        return cloud.ssh(floating, text, key=key).strip()

    eventually("ssh answers", lambda: command("true") == "")
    assert command("hostname") == "web-1"
    eventually("user data ran", lambda: command("cat /root/user-data-ran") == "it-ran")
    assert command("cat /sys/class/net/eth0/mtu") == "1450"
    assert command("nslookup web-1 >/dev/null 2>&1; echo asked") == "asked"
    shown = cloud.ask("server", "show", "web-1")
    assert floating in json.dumps(shown["addresses"])
    assert "ready" in cloud.openstack("console", "log", "show", "web-1")
    events = cloud.ask("server", "event", "list", "web-1")
    assert [event["Action"] for event in events][-1] == "create"

    cloud.openstack("security", "group", "rule", "delete", rule["id"])
    eventually("the rule is gone", lambda: not _answers(cloud, floating, key), 30)
    cloud.openstack("security", "group", "rule", "create", "group-a", "--protocol", "tcp", "--dst-port", "22")
    eventually("the rule is back", lambda: _answers(cloud, floating, key), 30)

    cloud.openstack("server", "delete", "--wait", "web-1")
    cloud.openstack("floating", "ip", "delete", floating)
    cloud.openstack("router", "remove", "subnet", "router-a", "sub-a")
    cloud.openstack("router", "delete", "router-a")
    cloud.openstack("network", "delete", "net-a")
    assert network["id"] not in cloud.openstack("port", "list", "-f", "json")


def _answers(cloud: UserCloud, address: str, key: Path) -> bool:
    done = cloud.run(
        "ssh",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "ConnectTimeout=3",
        "-o",
        "BatchMode=yes",
        "-i",
        str(key),
        f"root@{address}",
        "true",
        check=False,
    )
    return done.returncode == 0
