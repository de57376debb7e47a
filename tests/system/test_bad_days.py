"""Real guests on bad days: QEMU that is missing or dies, processes that are killed, disks that are full."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clouds import command_line
from tests.http.whole.simulated import COMPUTE, NETWORK, Login, SimulatedCloud, wait_until
from tests.http.whole.test_kill_anywhere import Promises, Worker, check_counts, kill_everything, unsettled
from tests.http.whole.things import new_network, public_network

QEMU = Path("/usr/bin/qemu-system-x86_64")


class MountNamespace:
    """A view of this machine's files of its own: what is put over a program there, nobody else sees."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "slave", "sleep", "infinity"], start_new_session=True
        )
        self.front = ("nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", "--wd=/", "--")
        own = os.readlink("/proc/self/ns/mnt")
        wait_until(lambda: os.readlink(f"/proc/{self._holder.pid}/ns/mnt") != own, "a mount namespace")

    def put_over(self, program: Path, other: Path) -> None:
        subprocess.run([*self.front, "mount", "--bind", str(other), str(program)], check=True)

    def take_away(self, program: Path) -> None:
        subprocess.run([*self.front, "umount", str(program)], check=True)

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()


class RealCloud(SimulatedCloud):
    """A cloud with real guests."""

    kind = ()

    def __init__(self, home: Path, name: str, *options: str) -> None:
        super().__init__(home, name, *options)
        cache = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
        self.environment["XDG_CACHE_HOME"] = cache

    def qemus(self) -> dict[str, int]:
        """Server -> process."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                words = command_line(int(entry.name))
                if any(word.startswith(str(self.state_dir)) or str(self.state_dir) in word for word in words):
                    named = [word for word in words if word.startswith("guest=")]
                    if named and Path(words[0]).name == QEMU.name:
                        found[named[0].removeprefix("guest=").split("/")[0]] = int(entry.name)
        return found


@pytest.fixture(scope="module")
def view() -> Iterator[MountNamespace]:
    made = MountNamespace()
    yield made
    made.close()


@pytest.fixture(scope="module")
def cloud(view: MountNamespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCloud]:
    made = RealCloud(tmp_path_factory.mktemp("bad-days"), "bad-days")
    made.front = view.front
    made.up()
    yield made
    made.down("--wipe")
    assert not made.qemus()
    assert not made.state_dir.exists()


@pytest.fixture(scope="module")
def owner(cloud: RealCloud) -> Login:
    return cloud.new_project("unlucky", "member")


@pytest.fixture(scope="module")
def network(owner: Login) -> str:
    """A network behind a router; its servers may be pinged."""
    network, subnet = new_network(owner, "10.31.0.0/24")
    gateway = {"external_gateway_info": {"network_id": public_network(owner)}}
    router = owner.make(f"{NETWORK}/routers", {"router": gateway})["id"]
    assert owner.ask("PUT", f"{NETWORK}/routers/{router}/add_router_interface", {"subnet_id": subnet}).status == 200
    group = owner.get(f"{NETWORK}/security-groups?name=default")["security_groups"][0]["id"]
    rule = {"security_group_id": group, "direction": "ingress", "protocol": "icmp"}
    owner.make(f"{NETWORK}/security-group-rules", {"security_group_rule": rule})
    return network


def _remove(owner: Login, server: str) -> None:
    owner.remove(f"{COMPUTE}/servers/{server}")
    owner.server_gone(server)


def _processes_are(cloud: RealCloud, servers: set[str]) -> None:
    wait_until(lambda: cloud.qemus().keys() == servers, lambda: f"{cloud.qemus()} are for {servers}")


def _floating(owner: Login, server: str) -> str:
    port = owner.get(f"{NETWORK}/ports?device_id={server}")["ports"][0]["id"]
    wanted = {"floating_network_id": public_network(owner), "port_id": port}
    return str(owner.make(f"{NETWORK}/floatingips", {"floatingip": wanted})["floating_ip_address"])


def _pings(address: str) -> bool:
    return subprocess.run(["ping", "-c", "1", "-W", "1", address], capture_output=True).returncode == 0


def _script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def real_qemu(tmp_path: Path) -> str:
    """The words with which scripts go on to a copy, which does not find what belongs to it by itself."""
    copy = shutil.copy(QEMU, tmp_path / QEMU.name)
    return f"env QEMU_MODULE_DIR=/usr/lib/x86_64-linux-gnu/qemu {copy} -L /usr/share/qemu -L /usr/share/seabios"


def test_qemu_is_missing(cloud: RealCloud, view: MountNamespace, owner: Login, network: str) -> None:
    view.put_over(QEMU, Path("/dev/null"))
    try:
        found = owner.server("without", wait="ERROR", networks=[{"uuid": network}])
        assert found["fault"]["message"] == "The host cannot run guests: its hypervisor is not installed."
        assert found["fault"]["code"] == 500
        assert str(QEMU) not in str(found)
    finally:
        view.take_away(QEMU)
    # nobody has to be told that it is there again
    _remove(owner, owner.server("with", networks=[{"uuid": network}])["id"])
    _remove(owner, found["id"])
    wait_until(lambda: not unsettled(cloud), lambda: str(unsettled(cloud)))
    check_counts(cloud)


def test_qemu_dies_at_its_start(
    cloud: RealCloud, view: MountNamespace, owner: Login, network: str, tmp_path: Path, real_qemu: str
) -> None:
    dying = f'case "$*" in *guest=*) echo "{tmp_path}: secret of the host" >&2; exit 1;; esac\nexec {real_qemu} "$@"'
    view.put_over(QEMU, _script(tmp_path / "dying", dying))
    try:
        found = owner.server("stillborn", wait="ERROR", networks=[{"uuid": network}])
        assert found["fault"]["message"] == "The host's hypervisor failed while starting the guest."
        assert "secret of the host" not in str(found)
        assert "secret of the host" in cloud.log()
        why = owner.ask("GET", f"/kilostack/v1/servers/{found['id']}/why").body.decode()
        assert "secret of the host" not in why
    finally:
        view.take_away(QEMU)
    assert cloud.qemus() == {}
    _remove(owner, found["id"])
    wait_until(lambda: not unsettled(cloud), lambda: str(unsettled(cloud)))


def test_qemu_dies_soon_after_every_start(
    cloud: RealCloud, view: MountNamespace, owner: Login, network: str, tmp_path: Path, real_qemu: str
) -> None:
    brief = f'case "$*" in *guest=*) exec timeout -s KILL 4 {real_qemu} "$@";; esac\nexec {real_qemu} "$@"'
    view.put_over(QEMU, _script(tmp_path / "brief", brief))
    try:
        server = owner.server("brief", wait="", networks=[{"uuid": network}])["id"]
        found = owner.server_is(server, "ERROR", "ERROR")
        assert "ended right after its start" in found["fault"]["message"]
    finally:
        view.take_away(QEMU)
    assert owner.ask("POST", f"{COMPUTE}/servers/{server}/action", {"reboot": {"type": "HARD"}}).status in (202, 409)
    _remove(owner, server)


def test_qemu_dies_later(cloud: RealCloud, owner: Login, network: str) -> None:
    server = owner.server("mortal", networks=[{"uuid": network}])["id"]
    address = _floating(owner, server)
    wait_until(lambda: _pings(address), "the guest answers", 120)
    before = cloud.qemus()[server]
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: cloud.qemus().get(server, before) != before, "another process runs it")
    wait_until(lambda: _pings(address), "the guest answers again", 120)
    assert owner.server_is(server, "ACTIVE")["id"] == server
    _remove(owner, server)
    assert server not in cloud.qemus()


@pytest.mark.parametrize("role", ["agent", "control-plane", "supervisor"])
def test_a_process_is_killed_while_servers_come_and_go(cloud: RealCloud, owner: Login, network: str, role: str) -> None:
    wanted = {"flavorRef": owner.flavor("m1.tiny"), "imageRef": owner.image(), "networks": [{"uuid": network}]}
    going = owner.server("going", networks=[{"uuid": network}])["id"]
    coming = owner.make(f"{COMPUTE}/servers", {"server": wanted | {"name": "coming"}})["id"]
    owner.remove(f"{COMPUTE}/servers/{going}")
    pid = next(row["pid"] for row in cloud.status() if row["role"] == role)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not command_line(pid), "it is gone")
    if role == "supervisor":
        cloud.up()
    wait_until(lambda: cloud.status() != [] and all(row["healthy"] for row in cloud.status()), "all is well")
    owner.server_is(coming, "ACTIVE")
    owner.server_gone(going)
    wait_until(lambda: not unsettled(cloud), lambda: str(unsettled(cloud)))
    _processes_are(cloud, {coming})
    _remove(owner, coming)
    check_counts(cloud)


def test_everything_is_killed_at_any_moment(cloud: RealCloud, owner: Login, network: str) -> None:
    seed = random.SystemRandom().randrange(1 << 30)
    chance = random.Random(seed)
    wanted = {"flavorRef": owner.flavor("m1.tiny"), "imageRef": owner.image(), "networks": [{"uuid": network}]}
    promised = Promises()
    for turn in range(3):
        worker = Slow(owner, wanted, f"t{turn}", random.Random(f"{seed}/{turn}"))
        worker.start()
        time.sleep(chance.uniform(0.3, 2.5))
        kill_everything(cloud)
        worker.join()
        assert not worker.wrong, (seed, turn, worker.wrong)
        promised.add(worker.promised)
        cloud.up()
        wait_until(lambda: not unsettled(cloud), lambda: f"{seed}: {unsettled(cloud)}", 180)
        servers = {server["name"]: server["id"] for server in owner.get(f"{COMPUTE}/servers")["servers"]}
        assert promised.made <= servers.keys() <= promised.made | promised.unsure, seed
        assert not promised.gone & servers.keys()
        _processes_are(cloud, set(servers.values()))
        check_counts(cloud)
    for server in owner.get(f"{COMPUTE}/servers")["servers"]:
        owner.remove(f"{COMPUTE}/servers/{server['id']}")
    wait_until(lambda: not owner.get(f"{COMPUTE}/servers")["servers"], "all are gone")
    wait_until(lambda: not cloud.qemus(), "no process is left")


class Slow(Worker):
    """Holds few servers at a time: these are real."""

    most = 3


def test_the_disk_of_a_host_is_full(cloud: RealCloud, view: MountNamespace, owner: Login, network: str) -> None:
    hosts = cloud.state_dir / "hosts"

    def mount(*words: str) -> None:
        subprocess.run([*view.front, *words, str(hosts)], check=True)

    cloud.kilostack("down", "--name", cloud.name)
    mount("mount", "-t", "tmpfs", "-o", "size=12g,mode=700", "tmpfs")
    try:
        cloud.up()
        # what the host has said of its size is true no more
        mount("mount", "-o", "remount,size=2m")
        found = owner.server("cramped", wait="ERROR", networks=[{"uuid": network}])
        assert found["fault"]["message"] == "The host has no disk space left for the guest."
        mount("mount", "-o", "remount,size=1g")
        _remove(owner, owner.server("roomy", networks=[{"uuid": network}])["id"])
        _remove(owner, found["id"])
    finally:
        cloud.kilostack("down", "--name", cloud.name)
        mount("umount", "-l")
        cloud.up()


def test_a_guest_that_powers_off_is_not_started_again(cloud: RealCloud, owner: Login, network: str) -> None:
    data: dict[str, Any] = {"user_data": "IyEvYmluL3NoCnBvd2Vyb2ZmIC1mCg=="}
    server = owner.server("tired", wait="", networks=[{"uuid": network}], **data)["id"]
    owner.server_is(server, "ACTIVE")
    wait_until(lambda: owner.get(f"{COMPUTE}/servers/{server}")["server"]["status"] == "SHUTOFF", "it is off", 120)
    assert owner.ask("POST", f"{COMPUTE}/servers/{server}/action", {"os-start": None}).status == 202
    owner.server_is(server, "ACTIVE")
    _remove(owner, server)
