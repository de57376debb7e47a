"""A disk that is full: whoever asks is told so, nothing is half-done, and all goes on once there is room again."""

from __future__ import annotations

import errno
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.http.whole.simulated import (
    COMPUTE,
    IDENTITY,
    IMAGE,
    NETWORK,
    TOKENS,
    Login,
    SimulatedCloud,
    password_body,
    wait_until,
)
from tests.http.whole.test_kill_anywhere import check_counts, kill_everything, unsettled
from tests.http.whole.things import OCTETS, new_image, new_network

pytestmark = pytest.mark.root
SIZE_MIB = 320


class Disk:
    """A small disk of its own, and something that fills it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m,mode=700", "tmpfs", str(path)], check=True)

    def fill(self, leave: int = 0) -> None:
        """Leave so many bytes."""
        with (self.path / "filler").open("ab", buffering=0) as file:
            size = 1 << 20
            while size >= 4096:
                try:
                    file.write(bytes(size))
                except OSError as error:
                    assert error.errno == errno.ENOSPC
                    size //= 2
            if leave:
                file.truncate(file.tell() - leave)

    def empty(self) -> None:
        (self.path / "filler").unlink(missing_ok=True)

    def remove(self) -> None:
        subprocess.run(["umount", "-l", str(self.path)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path / "home/.local/state/kilostack/full")
    yield made
    made.remove()


@pytest.fixture
def cloud(tmp_path: Path, disk: Disk) -> Iterator[SimulatedCloud]:
    made = SimulatedCloud(tmp_path / "home", "full")
    made.up()
    yield made
    disk.empty()
    made.down()


def _writes(owner: Login, wanted: Any) -> list[tuple[str, str, Any]]:
    credentials = f"{IDENTITY}/users/{owner.user_id}/application_credentials"
    return [
        ("POST", f"{COMPUTE}/servers", {"server": wanted | {"name": "never"}}),
        ("POST", f"{NETWORK}/networks", {"network": {"name": "never"}}),
        ("POST", f"{NETWORK}/security-groups", {"security_group": {"name": "never"}}),
        ("POST", f"{IMAGE}/images", {"name": "never"}),
        ("POST", credentials, {"application_credential": {"name": "never"}}),
    ]


def test_requests_while_it_is_full(cloud: SimulatedCloud, disk: Disk) -> None:
    owner = cloud.log_in("demo")
    network, _ = new_network(owner)
    wanted = {"flavorRef": owner.flavor("m1.tiny"), "imageRef": owner.image(), "networks": [{"uuid": network}]}
    kept = owner.server("kept", **wanted)["id"]
    wait_until(lambda: not unsettled(cloud), "all is quiet")
    disk.fill()
    long = {"description": "d" * 250}
    for method, path, body in _writes(owner, wanted | long):
        answer = owner.ask(method, path, body)
        assert answer.status == 503, (path, answer)
        assert answer.message.startswith("The database cannot be written now:"), answer
        assert "full" in answer.message
        assert int(answer.headers["retry-after"]) >= 1
    # who only looks is served, and who is in may come in again
    assert owner.get(f"{COMPUTE}/servers/{kept}")["server"]["status"] == "ACTIVE"
    assert cloud.ask("POST", TOKENS, password_body("demo", cloud.passwords()["demo"], "demo")).status in (201, 503)
    assert cloud.ask("GET", "/healthz").status == 200
    disk.empty()
    wait_until(lambda: owner.ask("POST", f"{NETWORK}/networks", {"network": {"name": "after"}}).status == 201, "room")
    for path in (f"{COMPUTE}/servers", f"{NETWORK}/networks", f"{NETWORK}/security-groups", f"{IMAGE}/images"):
        assert "never" not in json.dumps(owner.get(path))
    later = owner.server("later", **wanted)["id"]
    for server in (kept, later):
        owner.remove(f"{COMPUTE}/servers/{server}")
        owner.server_gone(server)
    wait_until(lambda: not unsettled(cloud), lambda: str(unsettled(cloud)))
    check_counts(cloud)
    assert cloud.log().count('"traceback"') == 0


@pytest.mark.parametrize("then", ["room is made", "everything is killed, then room is made"])
def test_it_gets_full_while_servers_come_and_go(
    cloud: SimulatedCloud, disk: Disk, then: str, request: pytest.FixtureRequest
) -> None:
    owner = cloud.log_in("demo")
    network, _ = new_network(owner)
    wanted = {"flavorRef": owner.flavor("m1.tiny"), "imageRef": owner.image(), "networks": [{"uuid": network}]}
    going = [owner.server(f"going-{n}", **wanted)["id"] for n in range(3)]
    disk.fill(leave=300_000)
    made: set[str] = set()
    deleted: set[str] = set()
    statuses: set[int] = set()
    for number in range(200):
        answer = owner.ask("POST", f"{COMPUTE}/servers", {"server": wanted | {"name": f"coming-{number}"}})
        statuses.add(answer.status)
        if answer.status == 202:
            made.add(answer.json()["server"]["id"])
        if number % 4 == 0 and going:
            answer = owner.ask("DELETE", f"{COMPUTE}/servers/{going[-1]}")
            statuses.add(answer.status)
            if answer.status == 204:
                deleted.add(going.pop())
        if 503 in statuses or 403 in statuses:
            disk.fill()
        if 503 in statuses:
            break
    assert 503 in statuses
    assert statuses <= {202, 204, 403, 503}, statuses
    if then.startswith("everything"):
        kill_everything(cloud)
        disk.empty()
        cloud.up()
    disk.empty()
    wait_until(
        lambda: owner.ask("PUT", f"{NETWORK}/networks/{network}", {"network": {"name": "n"}}).status == 200, "room"
    )
    wait_until(lambda: not unsettled(cloud), lambda: str(unsettled(cloud)))
    check_counts(cloud)
    there = {server["id"] for server in owner.get(f"{COMPUTE}/servers")["servers"]}
    assert made <= there and not deleted & there


def test_uploads(cloud: SimulatedCloud, disk: Disk) -> None:
    owner = cloud.log_in("demo")
    wanted = {"name": "i", "disk_format": "raw", "container_format": "bare"}
    image = owner.ask("POST", f"{IMAGE}/images", wanted).json()["id"]
    path = f"{IMAGE}/images/{image}"
    disk.fill(leave=4 << 20)
    answer = owner.ask("PUT", f"{path}/file", bytes(8 << 20), headers=OCTETS)
    assert answer.status == 413
    assert answer.message.startswith("Image storage media is full")
    assert owner.get(path)["status"] == "queued"
    assert [file for file in (cloud.state_dir / "images").iterdir() if image in file.name] == []
    disk.empty()
    assert owner.ask("PUT", f"{path}/file", bytes(8 << 20), headers=OCTETS).status == 204
    assert owner.get(path)["status"] == "active"


def test_up_on_a_full_disk(tmp_path: Path, disk: Disk) -> None:
    disk.fill()
    made = SimulatedCloud(tmp_path / "home", "full", "--state-dir", str(disk.path / "state"))
    done = made.up(check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr + done.stdout
    assert "No space left on device" in done.stderr, done.stderr
    disk.empty()
    made.up()
    made.kilostack("down", "--state-dir", str(disk.path / "state"), "--wipe")
    assert list(disk.path.iterdir()) == []


def test_a_full_disk_and_a_new_start(cloud: SimulatedCloud, disk: Disk) -> None:
    """Killed while full, started while full: says so, or comes up; with room it is as it was."""
    owner = cloud.log_in("demo")
    image = new_image(owner)
    disk.fill()
    kill_everything(cloud)
    done = cloud.up(check=False)
    assert "Traceback" not in done.stderr + done.stdout
    disk.empty()
    cloud.up()
    assert owner.get(f"{IMAGE}/images/{image}")["status"] == "active"
