"""A Debian image with cloud-init, as users bring it along."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from tests.clouds import UserCloud, eventually
from tests.system.places import Guest, make_place

TOOL = Path(__file__).parents[2] / "tools/guest-debian"
USER_DATA = """#cloud-config
write_files:
  - path: /root/written
    content: by cloud-init
runcmd:
  - [sh, -c, "echo it-ran > /root/ran"]
"""
#: Minutes under TCG: the first boot makes host keys and grows the disk.
BOOT_S = 420


@pytest.fixture(scope="module")
def image() -> Path:
    """The built image; it takes minutes, so it is kept beside image tiny, under a name that follows from the tool."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))) / "kilostack"
    kept = cache / f"debian-{hashlib.sha256(TOOL.read_bytes()).hexdigest()[:12]}.qcow2"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        new = kept.with_suffix(".new")
        subprocess.run([TOOL, new], check=True, timeout=1800)
        new.replace(kept)
    return kept


def test_a_debian_guest(cloud: UserCloud, image: Path, tmp_path: Path) -> None:
    place = make_place(cloud, "debian", number=90)
    cloud.openstack("image", "create", "--disk-format", "qcow2", "--file", str(image), "bookworm")
    assert cloud.ask("image", "show", "bookworm")["status"] == "active"
    data = tmp_path / "user-data"
    data.write_text(USER_DATA)
    how = ("--image", "bookworm", "--flavor", "m1.medium", "--network", "debian", "--security-group", "debian")
    more = ("--key-name", "debian", "--user-data", str(data), "--wait")
    cloud.openstack("server", "create", *how, *more, "deb-1")
    guest = Guest(cloud, cloud.floating_ip("deb-1"), place.key)
    eventually("Debian lets its user in", lambda: "debian" in guest.run("id -un", user="debian"), BOOT_S)

    def run(command: str) -> str:
        return guest.run(command, user="debian")

    eventually("cloud-init is through", lambda: run("cloud-init status") == "status: done", BOOT_S)
    assert run("hostname") == "deb-1"
    assert run("cat .ssh/authorized_keys").split()[:2] == Path(f"{place.key}.pub").read_text().split()[:2]
    assert run("sudo cat /root/written /root/ran").split() == ["by", "cloud-initit-ran"]
    size_mib = int(run("df --output=size -m / | tail -n 1"))
    assert size_mib > 9000, "m1.medium has 10 GiB"
    assert run("cat /sys/class/net/eth0/mtu") == "1450"
    assert "192.168.90." in run("getent hosts deb-1.openstacklocal || getent hosts deb-1")
    assert run("getent ahostsv4 deb.debian.org")
    cloud.openstack("server", "delete", "--wait", "deb-1")
    cloud.openstack("image", "delete", "bookworm")
