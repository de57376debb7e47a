"""`kilostack up` with simulated hosts, by whoever runs the tests."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Shell, run_dir_of, wait_until


def up(shell: Shell, port: int, *args: str) -> str:
    return shell.type("up", "--simulate", "--port", str(port), *args).stdout


def test_a_fresh_home_gets_a_cloud_and_is_told_what_to_type(shell: Shell, port: int) -> None:
    said = up(shell, port)
    assert f"http://127.0.0.1:{port}" in said
    assert "export OS_CLOUD=kilostack" in said
    clouds = yaml.safe_load(shell.clouds_yaml.read_text())["clouds"]
    assert {name: cloud["auth"]["username"] for name, cloud in clouds.items()} == {
        "kilostack": "demo",
        "kilostack-admin": "admin",
    }
    assert clouds["kilostack"]["auth"]["auth_url"] == f"http://127.0.0.1:{port}/identity/v3"
    assert clouds["kilostack"]["auth"]["password"] != clouds["kilostack-admin"]["auth"]["password"]
    for private in (shell.clouds_yaml, shell.clouds_yaml.with_name("kilostack-openrc"), shell.state_dir):
        assert stat.S_IMODE(private.stat().st_mode) & 0o077 == 0, private


def test_the_shell_file_says_the_same_as_clouds_yaml(shell: Shell, port: int) -> None:
    up(shell, port)
    auth = yaml.safe_load(shell.clouds_yaml.read_text())["clouds"]["kilostack-admin"]["auth"]
    openrc = shell.clouds_yaml.with_name("kilostack-admin-openrc")
    script = f'OS_CLOUD=other; . "{openrc}"; echo "$OS_AUTH_URL $OS_USERNAME $OS_PASSWORD $OS_PROJECT_NAME $OS_CLOUD"'
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.split() == [auth["auth_url"], "admin", auth["password"], "admin"]


def test_a_second_up_changes_nothing_and_says_so(shell: Shell, port: int) -> None:
    up(shell, port)
    before = {path: path.read_bytes() for path in shell.home.rglob("*") if path.is_file() and "log" not in path.parts}
    processes = [row["pid"] for row in shell.status()]
    assert "nothing was changed" in shell.type("up").stdout
    assert [row["pid"] for row in shell.status()] == processes
    after = {path: path.read_bytes() for path in shell.home.rglob("*") if path.is_file() and "log" not in path.parts}
    assert after == before


def test_options_are_remembered(shell: Shell, port: int) -> None:
    up(shell, port, "--hosts", "20")
    shell.type("down")
    assert "20 simulated hosts" in shell.type("up").stdout
    assert shell.status()[1]["address"] == f"http://127.0.0.1:{port}"


def test_passwords_outlive_a_down(shell: Shell, port: int) -> None:
    up(shell, port)
    before = shell.clouds_yaml.read_text()
    shell.type("down")
    shell.type("up")
    assert shell.clouds_yaml.read_text() == before


def test_another_port_reaches_clouds_yaml(shell: Shell, port: int) -> None:
    up(shell, port)
    shell.type("down")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        other = probe.getsockname()[1]
    up(shell, other)
    assert f"127.0.0.1:{other}/" in shell.clouds_yaml.read_text()
    assert f"127.0.0.1:{port}/" not in shell.clouds_yaml.read_text()


def test_other_options_while_it_runs_are_refused(shell: Shell, port: int) -> None:
    up(shell, port)
    said = shell.type("up", "--hosts", "3", code=1).stderr
    assert "other options" in said
    assert "kilostack down" in said
    shell.type("status")


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["--name", "Bad_Name"], "lower case"),
        (["--name", "x-admin"], "-admin"),
        (["--port", "70000"], "1 to 65535"),
        (["--hosts", "0"], "1 to 1000"),
        (["--public-cidr", "10.0.0.1/24"], "host bits"),
        (["--public-cidr", "10.0.0.0/31"], "prefix"),
    ],
)
def test_options_that_make_no_sense_leave_nothing_behind(shell: Shell, args: list[str], why: str) -> None:
    assert why in shell.type("up", "--simulate", *args, code=1).stderr
    assert not shell.state_dir.exists()
    assert not shell.clouds_yaml.exists()


def test_a_port_that_is_taken_names_who_has_it_and_leaves_nothing_behind(shell: Shell) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = shell.type("up", "--simulate", "--port", str(taken.getsockname()[1]), code=1).stderr
    assert f"is taken by process {os.getpid()}" in said
    assert "--port" in said
    assert not shell.state_dir.exists()
    assert not run_dir_of(shell.state_dir).exists()


def test_a_control_plane_that_dies_ends_the_wait_with_its_last_words(shell: Shell, port: int) -> None:
    up(shell, port)
    shell.type("down")
    (shell.state_dir / "die").touch()
    said = shell.type("up", code=1).stderr
    assert "exit code 7" in said
    assert "stand-in: told to die" in said
    shell.type("down")


def test_state_of_a_later_release_is_refused(shell: Shell, port: int) -> None:
    up(shell, port)
    shell.type("down")
    file = shell.state_dir / "settings.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"kilostack_state": 99}))
    before = file.read_bytes()
    said = shell.type("up", code=1).stderr
    assert "later release" in said
    assert "--state-dir" in said
    assert file.read_bytes() == before


def test_damaged_settings_are_named_and_kept(shell: Shell, port: int) -> None:
    up(shell, port)
    shell.type("down")
    file = shell.state_dir / "settings.json"
    file.write_text("{")
    assert "settings.json is damaged" in shell.type("up", code=1).stderr
    assert file.read_text() == "{"


def test_a_directory_with_other_things_in_it_is_refused(shell: Shell, port: int, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("long")
    said = shell.type("up", "--simulate", "--state-dir", str(tmp_path / "mine"), "--port", str(port), code=1).stderr
    assert "holds something else" in said
    assert [entry.name for entry in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_a_state_directory_with_a_very_long_name(shell: Shell, port: int, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 200) / ("e" * 200)
    up(shell, port, "--state-dir", str(deep))
    rows = shell.status("--state-dir", str(deep))
    assert len(rows[0]["address"]) < 107
    assert all(row["healthy"] for row in rows)
    shell.type("down", "--wipe", "--state-dir", str(deep))


def test_two_clouds_side_by_side(shell: Shell, port: int) -> None:
    up(shell, port)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        other = probe.getsockname()[1]
    up(shell, other, "--name", "second")
    clouds = yaml.safe_load(shell.clouds_yaml.read_text())["clouds"]
    assert sorted(clouds) == ["kilostack", "kilostack-admin", "second", "second-admin"]
    shell.type("down", "--wipe", "--name", "second")
    assert sorted(yaml.safe_load(shell.clouds_yaml.read_text())["clouds"]) == ["kilostack", "kilostack-admin"]
    assert all(row["healthy"] for row in shell.status())


def test_ups_at_the_same_time_make_one_cloud(shell: Shell, port: int) -> None:
    command = [*shell.argv, "up", "--simulate", "--port", str(port)]
    started = [
        subprocess.Popen(command, env=shell.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(4)
    ]
    said = [process.communicate(timeout=60)[0].decode() for process in started]
    assert [process.returncode for process in started] == [0] * 4, said
    assert sum("is up already" in text for text in said) == 3
    assert len([row for row in shell.ran() if row["what"] == "serve"]) == 1


def test_it_leaves_the_terminal(shell: Shell, port: int) -> None:
    """Nothing is shared with who typed it: not the session, not a directory, not a descriptor."""
    reader, writer = os.pipe()
    subprocess.run(
        [*shell.argv, "up", "--simulate", "--port", str(port)],
        env=shell.environment | {"OS_PASSWORD": "not for children"},
        stdout=writer,
        stderr=writer,
        pass_fds=(writer,),
        check=True,
    )
    os.close(writer)
    with os.fdopen(reader) as pipe:
        assert "is up" in pipe.read()  # ends only when nobody holds the other end any more
    for row in shell.status():
        assert os.getsid(row["pid"]) != os.getsid(0)
        assert Path(f"/proc/{row['pid']}/cwd").readlink() == Path("/")
        assert b"OS_PASSWORD" not in Path(f"/proc/{row['pid']}/environ").read_bytes()


def test_a_supervisor_keeps_no_descriptor_of_who_started_it(shell: Shell, port: int) -> None:
    up(shell, port)
    os.kill(shell.pid("supervisor"), signal.SIGKILL)
    wait_until(lambda: shell.status() == [], "the end of the supervisor")
    reader, writer = os.pipe()
    command = [*shell.argv, "supervise", "--state-dir", str(shell.state_dir)]
    subprocess.run(command, env=shell.environment, stdout=writer, stderr=writer, pass_fds=(writer,), check=True)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        assert pipe.read() == ""
    assert len(shell.status()) == 2


def test_another_build_replaces_the_processes(shell: Shell, port: int) -> None:
    """What runs says which build it is; a supervisor that says another one is told to go."""
    up(shell, port)
    first = shell.status()
    other = Shell(shell.home, (*shell.argv[:-1], str(Path(__file__).with_name("other_build.py"))))
    said = other.type("up").stdout
    assert "Replacing the processes of build" in said
    assert not {row["pid"] for row in first} & {row["pid"] for row in other.status()}
    wait_until(lambda: all(row["healthy"] for row in other.status()), "the new processes")
