"""What happens to a cloud when its processes die, with a control plane and agents that do no work."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from tests.cli.conftest import Shell, is_alive, wait_until


def up(shell: Shell, port: int) -> None:
    shell.type("up", "--simulate", "--port", str(port))


def run_dir(shell: Shell) -> Path:
    return Path(json.loads((shell.state_dir / "settings.json").read_text())["run_dir"])


def test_a_child_that_dies_is_started_again(shell: Shell, port: int) -> None:
    up(shell, port)
    first = shell.pid("control-plane")
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: shell.pid("control-plane") not in (first, None), "another control plane")
    wait_until(lambda: all(row["healthy"] for row in shell.status()), "a control plane that is well")
    row = shell.status()[1]
    assert (row["restarts"], row["last_exit"]) == (1, "signal SIGKILL")


def test_one_that_keeps_dying_is_started_ever_more_slowly(shell: Shell, port: int) -> None:
    up(shell, port)
    (shell.state_dir / "die").touch()
    os.kill(shell.pid("control-plane"), signal.SIGKILL)
    wait_until(lambda: shell.status()[1]["restarts"] >= 5, "five deaths")
    assert shell.type("status", code=1).stdout
    (shell.state_dir / "die").unlink()
    shell.type("up")  # does not wait for the end of the pause
    wait_until(lambda: all(row["healthy"] for row in shell.status()), "a control plane that is well")


def test_the_children_of_a_killed_supervisor_die_with_it(shell: Shell, port: int) -> None:
    up(shell, port)
    supervisor, control = (row["pid"] for row in shell.status())
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: not is_alive(control), "the end of the control plane")
    assert "is down" in shell.type("status", code=3).stderr
    assert shell.status() == []


def test_up_after_a_killed_supervisor_brings_the_cloud_back(shell: Shell, port: int) -> None:
    up(shell, port)
    os.kill(shell.pid("supervisor"), signal.SIGKILL)
    assert "is up" in shell.type("up").stdout
    assert all(row["healthy"] for row in shell.status())


def test_up_puts_an_end_to_what_a_dead_supervisor_left_behind(shell: Shell, port: int) -> None:
    """Where the kernel does not end children with their parent, the record of processes does."""
    up(shell, port)
    os.kill(shell.pid("supervisor"), signal.SIGKILL)
    wait_until(lambda: shell.status() == [], "the end of the supervisor")
    orphan = subprocess.Popen(["sleep", "600"])
    started = Path(f"/proc/{orphan.pid}/stat").read_text().rpartition(")")[2].split()[19]
    record = run_dir(shell) / "processes.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"processes": [[orphan.pid, started]]}))
    shell.type("up")
    assert orphan.wait(10) == -signal.SIGKILL


def test_a_process_that_only_has_the_id_of_one_of_ours_is_left_alone(shell: Shell, port: int) -> None:
    up(shell, port)
    os.kill(shell.pid("supervisor"), signal.SIGKILL)
    wait_until(lambda: shell.status() == [], "the end of the supervisor")
    record = run_dir(shell) / "processes.json"
    boot = json.loads(record.read_text())["boot"]
    stranger = subprocess.Popen(["sleep", "600"])
    started = Path(f"/proc/{stranger.pid}/stat").read_text().rpartition(")")[2].split()[19]
    for stale in (
        {"boot": boot, "processes": [[stranger.pid, "1"]]},
        {"boot": "x", "processes": [[stranger.pid, started]]},
    ):
        record.write_text(json.dumps(stale))
        shell.type("up")
        assert stranger.poll() is None
        os.kill(shell.pid("supervisor"), signal.SIGKILL)
        wait_until(lambda: shell.status() == [], "the end of the supervisor")
    record.write_text("not JSON")
    shell.type("up")
    stranger.kill()
    stranger.wait()


def test_a_reboot_empties_the_run_directory_and_up_works(shell: Shell, port: int) -> None:
    up(shell, port)
    os.kill(shell.pid("supervisor"), signal.SIGKILL)
    wait_until(lambda: shell.status() == [], "the end of the supervisor")
    subprocess.run(["rm", "-rf", str(run_dir(shell))], check=True)
    shell.type("up")
    assert all(row["healthy"] for row in shell.status())


def test_sigterm_ends_the_supervisor_and_its_children(shell: Shell, port: int) -> None:
    up(shell, port)
    supervisor, control = (row["pid"] for row in shell.status())
    os.kill(supervisor, signal.SIGTERM)
    wait_until(lambda: not is_alive(supervisor) and not is_alive(control), "the end of both")


def test_down_stops_everything_and_says_so_only_once(shell: Shell, port: int) -> None:
    up(shell, port)
    pids = [row["pid"] for row in shell.status()]
    assert "is down" in shell.type("down").stdout
    assert not any(is_alive(pid) for pid in pids)
    assert not run_dir(shell).exists()
    assert "was not running" in shell.type("down").stdout
    assert "no such cloud" in shell.type("down", "--name", "other").stdout


def test_wipe_leaves_nothing(shell: Shell, port: int) -> None:
    before = sorted(shell.home.rglob("*"))
    up(shell, port)
    run = run_dir(shell)
    shell.type("down", "--wipe")
    left = [path for path in shell.home.rglob("*") if path not in before]
    assert [path.relative_to(shell.home) for path in left if not path.is_dir()] == []
    assert not shell.state_dir.parent.exists()
    assert not run.exists()
    up(shell, port)


def test_wipe_after_a_crash_leaves_nothing_either(shell: Shell, port: int) -> None:
    up(shell, port)
    run = run_dir(shell)
    os.kill(shell.pid("supervisor"), signal.SIGKILL)
    shell.type("down", "--wipe")
    assert not shell.state_dir.exists()
    assert not run.exists()


def test_wipe_touches_no_directory_that_is_not_ours(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("long")
    assert "holds no cloud" in shell.type("down", "--wipe", "--state-dir", str(tmp_path / "mine"), code=1).stderr
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_every_line_of_a_log_is_json(shell: Shell, port: int) -> None:
    up(shell, port)
    (shell.state_dir / "die").touch()
    os.kill(shell.pid("control-plane"), signal.SIGKILL)
    wait_until(lambda: shell.status()[1]["restarts"] >= 2, "two deaths")
    lines = [json.loads(line) for line in (shell.state_dir / "log/control-plane.log").read_text().splitlines()]
    assert {"message": "request"} in lines
    assert any(line["message"] == "stand-in: told to die" and line["process"] == "control-plane" for line in lines)


def test_who_asks_nonsense_or_hangs_up_disturbs_nobody(shell: Shell, port: int) -> None:
    up(shell, port)
    path = str(run_dir(shell) / "supervisor")
    for sent in (b"", b"\n", b"{}\n", b"[1]\n", b"\xff\xff\n", b"x" * 10000, b'{"do": "status"}\n'):
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(path)
            caller.sendall(sent)
    silent = socket.socket(socket.AF_UNIX)
    silent.connect(path)
    began = time.monotonic()
    assert all(row["healthy"] for row in shell.status())
    assert time.monotonic() - began < 30
    silent.close()
