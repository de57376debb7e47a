"""The rights and owners of a real cloud's processes and files: as root, behind sudo, and as an ordinary user.

The agents and the fabric are stand-ins: no network of this machine is touched.
"""

from __future__ import annotations

import compileall
import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import kilostack
from tests.cli.conftest import STAND_IN, Shell, is_alive, run_dir_of, sweep, wait_until

pytestmark = pytest.mark.root

SUDOERS = Path("/etc/sudoers.d")


@pytest.fixture
def image(tmp_path: Path) -> str:
    file = tmp_path / "tiny.qcow2"
    file.write_bytes(b"QFI\xfb")
    return str(file)


@pytest.fixture
def person() -> Iterator[pwd.struct_passwd]:
    """A throwaway user of this machine."""
    name = f"ks{uuid.uuid4().hex[:8]}"
    subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", name], check=True)
    yield pwd.getpwnam(name)
    (SUDOERS / name).unlink(missing_ok=True)
    sweep(Path(pwd.getpwnam(name).pw_dir))
    subprocess.run(["userdel", "--remove", name], check=True, capture_output=True)


class PersonsShell(Shell):
    """A throwaway user who types `kilostack`, with an interpreter that they may run."""

    def __init__(self, person: pwd.struct_passwd, *front: str) -> None:
        home = Path(person.pw_dir)
        python = home / "venv/bin/python"
        if not python.exists():
            _make_interpreter(home / "venv", person)
        self.name = person.pw_name
        super().__init__(home, (*front, str(python), "-I", str(home / "venv/stand_in.py")))
        self.front = front


def _make_interpreter(venv: Path, person: pwd.struct_passwd) -> None:
    """A small environment that everybody may use; the one that runs the tests may belong to root alone."""
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", str(venv)], check=True)
    [site] = venv.glob("lib/python*/site-packages")
    shutil.copytree(Path(kilostack.__file__).parent, site / "kilostack")
    shutil.copytree(Path(yaml.__file__).parent, site / "yaml")
    shutil.copy(STAND_IN, venv / "stand_in.py")
    compileall.compile_dir(site, quiet=1)
    for compiled in site.rglob("*.pyc"):
        if not compiled.name.startswith("__init__"):
            compiled.unlink()  # an upgrade has just changed all modules but the packages themselves
    for path in (venv, *venv.rglob("*")):
        os.chown(path, person.pw_uid, person.pw_gid, follow_symlinks=False)


def as_person(person: pwd.struct_passwd) -> PersonsShell:
    return PersonsShell(person, "sudo", "-u", person.pw_name, "-H", "--")


def by_sudo(person: pwd.struct_passwd) -> PersonsShell:
    """Typed as `sudo kilostack` by that person."""
    return PersonsShell(person, "sudo", "-u", person.pw_name, "-H", "--", "sudo", "-n", "--")


def allow_sudo(person: pwd.struct_passwd) -> None:
    file = SUDOERS / person.pw_name
    file.write_text(f"{person.pw_name} ALL=(ALL) NOPASSWD: ALL\n")
    file.chmod(0o440)


def owners(root: Path) -> set[int]:
    return {path.lstat().st_uid for path in [root, *root.rglob("*")]}


def capabilities(pid: int) -> set[str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line.split()[1] for line in lines if line.startswith("Cap")}


def privileges_locked(pid: int) -> bool:
    return "NoNewPrivs:\t1" in Path(f"/proc/{pid}/status").read_text()


def test_plain_root_keeps_its_id_and_gives_up_everything_else(shell: Shell, port: int, image: str) -> None:
    shell.type("up", "--port", str(port), "--image", image, "--hosts", "2")
    rows = shell.status()
    assert [row["role"] for row in rows] == ["supervisor", "control-plane", "agent", "agent"]
    assert [row["host"] for row in rows[2:]] == ["kilostack-host-1", "kilostack-host-2"]
    assert [row["address"] for row in rows[2:]] == ["192.0.2.1", "192.0.2.2"]
    assert capabilities(rows[1]["pid"]) == {"0000000000000000"}
    assert privileges_locked(rows[1]["pid"])
    assert Path(f"/proc/{rows[1]['pid']}").stat().st_uid == 0
    assert capabilities(rows[2]["pid"]) != {"0000000000000000"}
    shell.type("down")


def test_down_drains_every_agent_even_one_that_has_only_just_started(shell: Shell, port: int, image: str) -> None:
    shell.type("up", "--port", str(port), "--image", image, "--hosts", "2")
    said = shell.type("down").stdout
    assert "kilostack-host-1 is empty" in said
    assert "kilostack-host-2 is empty" in said
    drained = [row["what"] for row in shell.ran() if "drained" in row["what"]]
    assert sorted(drained) == ["kilostack-host-1 drained", "kilostack-host-2 drained"]
    assert not (shell.state_dir / "fabric").exists()


def test_an_agent_that_fails_to_drain_is_asked_again(shell: Shell, port: int, image: str) -> None:
    shell.type("up", "--port", str(port), "--image", image)
    (shell.state_dir / "stubborn").touch()
    shell.type("down")
    assert [row["what"] for row in shell.ran()][-1] == "kilostack-host-1 drained"


def test_sigterm_drains_nobody(shell: Shell, port: int, image: str) -> None:
    shell.type("up", "--port", str(port), "--image", image)
    pids = [row["pid"] for row in shell.status()]
    os.kill(pids[0], signal.SIGTERM)
    wait_until(lambda: not any(is_alive(pid) for pid in pids), "the end of all")
    assert not [row for row in shell.ran() if "drained" in row["what"]]
    assert (shell.state_dir / "fabric").exists()
    shell.type("down")


def test_down_after_a_killed_supervisor_drains_what_it_left(shell: Shell, port: int, image: str) -> None:
    shell.type("up", "--port", str(port), "--image", image)
    pids = [row["pid"] for row in shell.status()]
    os.kill(pids[0], signal.SIGKILL)
    wait_until(lambda: not any(is_alive(pid) for pid in pids), "the end of all")
    shell.type("down")
    assert [row["what"] for row in shell.ran()][-1] == "kilostack-host-1 drained"
    assert not (shell.state_dir / "fabric").exists()


def test_a_killed_agent_comes_back_and_the_fabric_is_looked_at_first(shell: Shell, port: int, image: str) -> None:
    shell.type("up", "--port", str(port), "--image", image)
    before = (shell.state_dir / "fabric").read_text()
    first = shell.pid("agent")
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: shell.pid("agent") not in (first, None), "another agent")
    assert (shell.state_dir / "fabric").read_text() == before + "ensure\n"
    shell.type("down")


def test_a_public_range_that_cannot_be_had_leaves_nothing_behind(shell: Shell, port: int, image: str) -> None:
    args = ("up", "--port", str(port), "--image", image, "--public-cidr", "10.0.0.0/8")
    assert "overlaps a route" in shell.type(*args, code=1).stderr
    assert not shell.state_dir.exists()
    assert not shell.clouds_yaml.exists()


def test_a_second_real_cloud_of_the_same_name_is_refused(shell: Shell, port: int, image: str, tmp_path: Path) -> None:
    """Namespaces and links bear the name, so two would take each other's."""
    shell.type("up", "--port", str(port), "--image", image)
    other = ("--state-dir", str(tmp_path / "other"))
    said = shell.type("up", "--port", "1", "--image", image, *other, code=1).stderr
    assert f"running already, from {shell.state_dir}" in said
    assert not (tmp_path / "other").exists()
    assert not run_dir_of(tmp_path / "other").exists()
    shell.type("down")


def test_without_an_image_it_says_how_to_get_one(shell: Shell) -> None:
    assert "make image" in shell.type("up", code=1).stderr
    assert not shell.state_dir.exists()


def test_behind_sudo_everything_belongs_to_who_typed_it(person: pwd.struct_passwd, port: int, image: str) -> None:
    allow_sudo(person)
    shell = by_sudo(person)
    shell.type("up", "--port", str(port), "--image", image)
    rows = shell.status()
    users = {row["role"]: Path(f"/proc/{row['pid']}").stat().st_uid for row in rows}
    assert users == {"supervisor": 0, "control-plane": person.pw_uid, "agent": 0}
    assert capabilities(rows[1]["pid"]) == {"0000000000000000"}
    assert owners(shell.home / ".config") == {person.pw_uid}
    assert owners(shell.home / "venv") == {person.pw_uid}
    assert {path.name for path in shell.state_dir.iterdir() if path.lstat().st_uid == 0} <= {"hosts", "fabric", "ran"}
    assert [row["address"] for row in as_person(person).status()] == [row["address"] for row in rows]
    as_person(person).type("down")
    by_sudo(person).type("down", "--wipe")
    assert not shell.state_dir.exists()


def test_an_ordinary_user_is_given_root_by_sudo(person: pwd.struct_passwd, port: int, image: str) -> None:
    allow_sudo(person)
    shell = as_person(person)
    shell.type("up", "--port", str(port), "--image", image)
    rows = shell.status()
    users = {row["role"]: Path(f"/proc/{row['pid']}").stat().st_uid for row in rows}
    assert users == {"supervisor": 0, "control-plane": person.pw_uid, "agent": 0}
    run_dir = Path(rows[0]["address"]).parent
    assert stat.S_IMODE(run_dir.stat().st_mode) == 0o710
    shell.type("down", "--wipe")
    assert not shell.state_dir.exists()
    assert not run_dir.exists()


def test_without_sudo_the_simulation_is_offered(person: pwd.struct_passwd, port: int, image: str) -> None:
    shell = as_person(person)
    said = shell.type("up", "--port", str(port), "--image", image, code=1).stderr
    assert "needs root" in said
    assert "make up UP=--simulate" in said
    assert not shell.state_dir.exists()


def test_the_simulation_needs_no_root(person: pwd.struct_passwd, port: int) -> None:
    shell = as_person(person)
    shell.type("up", "--simulate", "--port", str(port))
    for row in shell.status():
        assert Path(f"/proc/{row['pid']}").stat().st_uid == person.pw_uid
        assert row["healthy"]
    run_dir = Path(shell.status()[0]["address"]).parent
    assert run_dir.parent == Path("/tmp")
    shell.type("down", "--wipe")
    assert not run_dir.exists()


def test_the_simulation_behind_sudo_has_no_root_process(person: pwd.struct_passwd, port: int) -> None:
    allow_sudo(person)
    shell = by_sudo(person)
    shell.type("up", "--simulate", "--port", str(port))
    for row in shell.status():
        assert set(Path(f"/proc/{row['pid']}/status").read_text().split("Uid:\t")[1].split("\n")[0].split()) == {
            str(person.pw_uid)
        }
    assert owners(shell.home / ".local") == {person.pw_uid}
    shell.type("down", "--wipe")


def test_a_directory_in_tmp_that_somebody_else_made_is_not_used(person: pwd.struct_passwd, port: int) -> None:
    shell = as_person(person)
    shell.type("up", "--simulate", "--port", str(port))
    shell.type("down")
    run_dir = Path(json.loads((shell.state_dir / "settings.json").read_text())["run_dir"])
    run_dir.mkdir()
    try:
        assert "not a directory of ours" in shell.type("up", code=1).stderr
    finally:
        run_dir.rmdir()


def test_another_users_cloud_is_not_to_be_asked(person: pwd.struct_passwd, shell: Shell, port: int, image: str) -> None:
    shell.type("up", "--port", str(port), "--image", image)
    shell.home.chmod(0o755)
    shell.home.parent.chmod(0o755)
    for parent in shell.home.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)
    said = as_person(person).type("status", "--state-dir", str(shell.state_dir), code=1).stderr
    assert "belongs to somebody else" in said
    shell.type("down")
