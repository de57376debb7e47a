"""`up` on state that is newer, damaged or half gone: it says what is wrong, keeps what is there, and goes on later."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.http.whole.simulated import COMPUTE, NETWORK, SimulatedCloud
from tests.http.whole.test_kill_anywhere import kill_everything


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedCloud]:
    """A cloud that was there and is down; what the tests have done to it, it survives."""
    made = SimulatedCloud(tmp_path_factory.mktemp("old"), "old")
    made.up()
    made.log_in("demo").make(f"{NETWORK}/networks", {"network": {"name": "from the first day"}})
    made.kilostack("down", "--name", made.name)
    yield made
    made.up()
    assert made.log_in("demo").get(f"{NETWORK}/networks?name=from%20the%20first%20day")["networks"]
    made.down("--wipe")
    assert not made.state_dir.exists()
    assert not (made.home / ".config/openstack").exists()


def _refused(cloud: SimulatedCloud, *texts: str) -> str:
    done = cloud.up(check=False)
    said = done.stdout + done.stderr
    assert done.returncode != 0, said
    assert "Traceback" not in said
    for text in texts:
        assert text in said, said
    cloud.kilostack("down", "--name", cloud.name, check=False)
    return said


def _works(cloud: SimulatedCloud) -> None:
    cloud.up()
    assert cloud.log_in("demo").ask("GET", f"{COMPUTE}/servers").status == 200
    cloud.kilostack("down", "--name", cloud.name)


def test_a_database_of_a_later_release(cloud: SimulatedCloud) -> None:
    file = cloud.state_dir / "db/network.db"
    with closing(sqlite3.connect(file)) as database:
        (number,) = database.execute("PRAGMA user_version").fetchone()
        database.execute("PRAGMA user_version=99")
    _refused(cloud, "The network database has schema 99, written by a newer kilostack")
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (99,)
        database.execute(f"PRAGMA user_version={number}")


def test_settings_of_a_later_release(cloud: SimulatedCloud) -> None:
    file = cloud.state_dir / "settings.json"
    before = file.read_text()
    file.write_text(json.dumps(json.loads(before) | {"kilostack_state": 99}))
    _refused(cloud, "is of a later release (format 99", "start afresh in another directory")
    file.write_text(before)


def test_a_database_that_is_none(cloud: SimulatedCloud) -> None:
    file = cloud.state_dir / "db/compute.db"
    before = file.read_bytes()
    file.write_bytes(b"not a database" * 1000)
    for beside in ("compute.db-wal", "compute.db-shm"):
        (cloud.state_dir / "db" / beside).unlink(missing_ok=True)
    _refused(cloud, "compute.db is damaged (file is not a database)")
    file.write_bytes(before)


def test_a_master_key_that_is_another(cloud: SimulatedCloud) -> None:
    file = cloud.state_dir / "master.key"
    before = file.read_bytes()
    file.write_bytes(os.urandom(32))
    _refused(cloud, "cannot be read with this master key")
    file.write_bytes(b"short")
    _refused(cloud, "is not a master key: a fresh one has 32 bytes, this has 5")
    file.unlink()
    _refused(cloud, "cannot be read with this master key")
    file.write_bytes(before)


def test_passwords_that_are_damaged(cloud: SimulatedCloud) -> None:
    file = cloud.state_dir / "passwords.json"
    before = file.read_text()
    for text in ("", "{", "[]", "{}", '{"admin": 5, "demo": 6}', '{"admin": "x"}'):
        file.write_text(text)
        _refused(cloud, f"{file} is damaged")
        assert file.read_text() == text
    file.write_text(before)


def test_process_ids_of_others(cloud: SimulatedCloud) -> None:
    """A process that merely has a number of ours is left alone."""
    cloud.up()
    run_dir = Path(json.loads((cloud.state_dir / "settings.json").read_text())["run_dir"])
    kill_everything(cloud)
    innocent = os.fork()
    if innocent == 0:
        signal.pause()
        os._exit(0)
    try:
        record = json.loads((run_dir / "processes.json").read_text())
        text = json.dumps(record)
        pids = [pid for pid in _numbers(record) if pid > 1]
        for pid in pids[:1]:
            text = text.replace(str(pid), str(innocent), 1)
        (run_dir / "processes.json").write_text(text)
        (run_dir / "lock").write_text(str(innocent))
        _works(cloud)
        assert os.waitpid(innocent, os.WNOHANG) == (0, 0)
    finally:
        os.kill(innocent, signal.SIGKILL)
        os.waitpid(innocent, 0)


def _numbers(value: object) -> list[int]:
    if isinstance(value, dict):
        return [number for item in value.values() for number in _numbers(item)]
    if isinstance(value, list):
        return [number for item in value for number in _numbers(item)]
    return [value] if isinstance(value, int) else []


def test_a_port_that_is_taken(cloud: SimulatedCloud) -> None:
    with closing(socket.socket()) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", cloud.port))
        holder.listen()
        said = _refused(cloud, str(cloud.port))
        assert str(os.getpid()) in said


def test_many_ups_at_once(cloud: SimulatedCloud) -> None:
    codes: list[int] = []
    crowd = [threading.Thread(target=lambda: codes.append(cloud.up(check=False).returncode)) for _ in range(4)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    assert codes == [0] * 4
    rows = cloud.status()
    assert len({row["pid"] for row in rows if row["role"] == "supervisor"}) <= 1
    before = {row["pid"] for row in rows}
    assert "nothing was changed" in cloud.up().stdout
    assert {row["pid"] for row in cloud.status()} == before


@pytest.mark.parametrize("name", ["../evil", "a/b", "", ".", "-x", "A", "x" * 30, "a\nb", "$(id)", "a;b", "ü"])
def test_names_of_clouds_that_are_none(tmp_path: Path, name: str) -> None:
    made = SimulatedCloud(tmp_path, "fine")
    done = made.kilostack("up", "--simulate", f"--name={name}", "--port", str(made.port), check=False)
    if name == "":
        # an empty name is the usual one, or refused; never a path
        made.kilostack("down", "--wipe", check=False)
    else:
        assert done.returncode != 0
        assert "name" in done.stderr
    assert "Traceback" not in done.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and "kilostack" not in str(path)]
    assert not (tmp_path.parent / "evil").exists()


def test_a_state_directory_that_is_a_trap(tmp_path: Path) -> None:
    """Links in a state directory lead nowhere: what is written is a new file in its place, or refused."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    victim_dir = tmp_path / "victims"
    victim_dir.mkdir()
    (victim_dir / "file").write_text("precious")
    state = tmp_path / "state"
    state.mkdir()
    (state / "log").symlink_to(victim_dir)
    made = SimulatedCloud(tmp_path, "trap", "--state-dir", str(state))
    done = made.up(check=False)
    assert done.returncode != 0
    assert "holds something else" in done.stderr
    (state / "log").unlink()
    made.up()
    made.kilostack("down", "--state-dir", str(state))
    for name in ("log/control-plane.log", "settings.json.new"):
        (state / name).unlink(missing_ok=True)
        (state / name).symlink_to(victim)
    made.up(check=False)
    made.kilostack("down", "--state-dir", str(state), "--wipe", check=False)
    assert victim.read_text() == "precious"
    assert (victim_dir / "file").read_text() == "precious"


def test_more_clients_than_a_shell_lets_a_process_have_files(tmp_path: Path) -> None:
    made = SimulatedCloud(tmp_path, "crowded")
    made.front = ("prlimit", "--nofile=1024:8192", "--")
    made.up()
    crowd: list[socket.socket] = []
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        for _ in range(1200):
            crowd.append(socket.create_connection(("127.0.0.1", made.port), timeout=10))
            if len(crowd) % 100 == 0:
                assert made.ask("GET", "/healthz").status == 200
        assert made.log_in("demo").server("in the crowd")["status"] == "ACTIVE"
    finally:
        for connection in crowd:
            connection.close()
        made.down("--wipe")
