"""The guest image: metadata, keys, user data, growth and power button, seen over SSH and on its console."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kilostack.drivers.guests.port import Observed, Stop
from tests.drivers.guests.contract import guest_of, run, until
from tests.drivers.guests.hosts import QemuHost

pytestmark = pytest.mark.root

TOOL = Path(__file__).parents[3] / "tools" / "guest-image"
DEADLINE_S = 120.0
USER_DATA = "#!/bin/sh\necho ran >> /var/lib/ran\nhostname > /var/lib/host\n"

#: answers one HTTP request on its standard input and output, out of a directory
SERVER = """
import pathlib, sys
path = sys.stdin.readline().split()[1].strip("/")
while sys.stdin.readline().strip(): pass
file = pathlib.Path(sys.argv[1]) / path.replace("/", "~")
body = file.read_bytes() if file.is_file() else None
sys.stdout.write("HTTP/1.0 404 Not Found\\r\\n\\r\\n" if body is None else "HTTP/1.0 200 OK\\r\\n\\r\\n")
sys.stdout.flush()
sys.stdout.buffer.write(body or b"")
"""


@pytest.fixture(scope="session")
def image() -> Path:
    done = subprocess.run([TOOL, "--cached"], stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.strip())


@dataclass
class Tiny:
    """A guest of the image on QEMU's own user network, where 169.254.169.254 is a directory of files."""

    directory: Path
    image: Path
    tree: dict[str, str] = field(default_factory=dict)
    boots: int = 0

    def __post_init__(self) -> None:
        overlay = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", self.image, self.disk, "1G"]
        subprocess.run(overlay, check=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.directory / "key"], check=True)
        self.public_key = (self.directory / "key.pub").read_text().strip()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        (self.directory / "server.py").write_text(SERVER)
        (self.directory / "tree").mkdir()

    @property
    def disk(self) -> Path:
        return self.directory / "disk"

    @property
    def console(self) -> str:
        try:
            return (self.directory / "console").read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def serve(self, path: str, content: str) -> None:
        (self.directory / "tree" / path.replace("/", "~")).write_text(content)

    def serve_openstack(self, uuid: str, hostname: str) -> None:
        document = {
            "uuid": uuid,
            "meta": {"hostname": "no", "uuid": "no", 'odd "name"': "x\ny"},
            "public_keys": {"my key": self.public_key + "\n"},
            "keys": [{"name": "my key", "type": "ssh", "data": self.public_key}],
            "hostname": hostname,
            "launch_index": 0,
        }
        self.serve("openstack/latest/meta_data.json", json.dumps(document))
        self.serve("openstack/latest/user_data", USER_DATA)

    async def boot(self) -> None:
        self.boots += 1
        (self.directory / "console").unlink(missing_ok=True)
        server = f"{sys.executable} {self.directory}/server.py {self.directory}/tree"
        network = "user,id=net,net=169.254.169.0/24,host=169.254.169.1,dns=169.254.169.3,restrict=on"
        network += f",hostfwd=tcp:127.0.0.1:{self.port}-:22,guestfwd=tcp:169.254.169.254:80-cmd:{server}"
        self.process = await asyncio.create_subprocess_exec(
            *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35"),
            *("-accel", "tcg,tb-size=32", "-cpu", "max,la57=off", "-m", "128", "-boot", "strict=on"),
            *("-serial", f"file:{self.directory}/console", "-device", "virtio-rng-pci"),
            *("-drive", f"if=none,id=root,file={self.disk},format=qcow2"),
            *("-device", "virtio-blk-pci,drive=root,bootindex=0"),
            *("-netdev", network, "-device", "virtio-net-pci,netdev=net,romfile="),
            *("-qmp", f"unix:{self.directory}/qmp,server=on,wait=off"),
            stdin=asyncio.subprocess.DEVNULL,
        )
        await self.says("tiny: ready")

    async def says(self, text: str) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while text not in self.console:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def ssh(self, user: str, *command: str) -> str:
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "BatchMode=yes"]
        arguments = [word for option in options for word in ("-o", option)]
        process = await asyncio.create_subprocess_exec(
            *("ssh", *arguments, "-i", self.directory / "key", "-p", str(self.port), f"{user}@127.0.0.1", *command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
        )
        answer, _ = await process.communicate()
        assert process.returncode == 0, command
        return answer.decode().strip()

    async def press_power_button(self) -> None:
        reader, writer = await asyncio.open_unix_connection(self.directory / "qmp")
        await reader.readline()
        for command in ("qmp_capabilities", "system_powerdown"):
            writer.write(json.dumps({"execute": command}).encode())
        await writer.drain()
        async with asyncio.timeout(DEADLINE_S):
            assert await self.process.wait() == 0
        writer.close()

    async def end(self) -> None:
        if self.boots and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


@pytest.fixture
async def tiny(tmp_path: Path, image: Path) -> AsyncIterator[Tiny]:
    made = Tiny(tmp_path, image)
    yield made
    await made.end()


async def test_a_life_on_the_openstack_tree(tiny: Tiny) -> None:
    tiny.serve_openstack("11111111-2222-4333-8444-555555555555", "web-1.cloud.test")
    await tiny.boot()
    facts = await tiny.ssh("root", "hostname; cat /var/lib/ran /var/lib/host; df -m / | awk 'END { print $2 }'")
    hostname, ran, seen, size = facts.split()
    assert (hostname, ran, seen) == ("web-1", "ran", "web-1")
    assert int(size) > 900
    assert await tiny.ssh("tiny", "sudo id -u") == "0"
    host_key = await tiny.ssh("root", "md5sum < /etc/dropbear/dropbear_ed25519_host_key; echo kept > /root/kept; sync")
    await tiny.press_power_button()

    await tiny.boot()  # the same guest: user data does not run again
    again = await tiny.ssh("root", "md5sum < /etc/dropbear/dropbear_ed25519_host_key; cat /root/kept /var/lib/ran")
    assert again.split() == [*host_key.split(), "kept", "ran"]
    await tiny.press_power_button()

    tiny.serve_openstack("99999999-2222-4333-8444-555555555555", "copy")  # its disk under another guest
    await tiny.boot()
    other = await tiny.ssh("root", "md5sum < /etc/dropbear/dropbear_ed25519_host_key; hostname; cat /var/lib/ran")
    assert other.split()[0] != host_key.split()[0]
    assert other.split()[2:] == ["copy", "ran", "ran"]


async def test_the_ec2_tree_where_there_is_no_other(tiny: Tiny) -> None:
    tiny.serve("latest/meta-data/instance-id", "i-00000001")
    tiny.serve("latest/meta-data/local-hostname", "old.cloud.test")
    tiny.serve("latest/meta-data/public-keys", "0=my key")
    tiny.serve("latest/meta-data/public-keys/0/openssh-key", tiny.public_key)
    tiny.serve("latest/user-data", USER_DATA)
    await tiny.boot()
    assert await tiny.ssh("tiny", "hostname; cat /var/lib/ran") == "old\nran"


async def test_a_guest_without_metadata_boots_and_takes_it_later(tiny: Tiny) -> None:
    await tiny.boot()
    assert "metadata: none yet" in tiny.console
    tiny.serve_openstack("11111111-2222-4333-8444-555555555555", "late")
    await tiny.says("hostname late, 1 keys")
    await tiny.says("user data ended with 0")
    assert await tiny.ssh("root", "cat /var/lib/ran") == "ran"


@pytest.fixture
def content(image: Path) -> bytes:
    return image.read_bytes()


async def test_the_driver_boots_and_stops_it(content: bytes, qemu_host: QemuHost) -> None:
    driver = await qemu_host.open()
    wanted = qemu_host.source.add("tiny", content, "qcow2")
    guest = msgspec.structs.replace(guest_of(qemu_host), image=wanted, memory_mib=128)
    await run(driver, guest)

    async def is_ready() -> bool:
        return "tiny: ready" in await driver.console(guest.id)

    await until(qemu_host, is_ready)
    await driver.stop(guest.id, DEADLINE_S)
    assert "power button" in await driver.console(guest.id)
    assert await driver.look(guest.id) == Observed(id=guest.id, boot=1, stop=Stop.ASKED)


async def test_nobody_gets_in_by_a_password(tiny: Tiny) -> None:
    await tiny.boot()
    options: list[Any] = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    options += ["-o", "PreferredAuthentications=none", "-p", str(tiny.port)]
    process = await asyncio.create_subprocess_exec(
        "ssh", *options, "tiny@127.0.0.1", stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    offered = re.search(rb"denied \(([a-z,-]+)\)", said)
    assert offered is not None, said
    assert offered[1] == b"publickey"
