"""One child: its pauses, its exit codes, its last words."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from kilostack.cli.supervisor.child import FIRST_PAUSE_S, LONGEST_PAUSE_S, Child
from kilostack.cli.supervisor.logs import ChildLog, LogFile
from kilostack.cli.supervisor.spawn import ChildSpec
from tests.cli.conftest import wait_until


def child(tmp_path: Path, *argv: str) -> Child:
    spec = ChildSpec(name="c", role="control-plane", argv=argv, address="")
    return Child(spec, ChildLog(LogFile(tmp_path / "c.log", os.getuid(), os.getgid()), "c"), {"PATH": "/usr/bin:/bin"})


def run_to_the_end(one: Child) -> None:
    one.start()
    wait_until(one.has_ended, "the end of the child")
    one.bury()


def test_pauses_grow_up_to_a_bound(tmp_path: Path) -> None:
    one = child(tmp_path, str(tmp_path / "is-not-there"))
    pauses = []
    for _ in range(12):
        pauses.append(one.pause_s)
        one.start()
        assert not one.is_running
    assert pauses[:3] == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S]
    assert pauses[-1] == LONGEST_PAUSE_S
    assert (one.restarts, one.last_exit) == (12, 127)


def test_what_it_said_last_is_kept(tmp_path: Path) -> None:
    one = child(tmp_path, sys.executable, "-c", "import sys; print('one', file=sys.stderr); sys.exit('two')")
    run_to_the_end(one)
    assert one.row()["last_words"] == ["one", "two"]
    assert one.row()["last_exit"] == "exit code 1"


def test_a_signal_is_named(tmp_path: Path) -> None:
    one = child(tmp_path, "sh", "-c", "kill -TERM $$")
    run_to_the_end(one)
    assert one.row()["last_exit"] == "signal SIGTERM"
    assert not one.row()["healthy"]


def test_a_child_of_a_child_that_keeps_the_output_open_delays_nothing(tmp_path: Path) -> None:
    one = child(tmp_path, "sh", "-c", "echo last words; sleep 600 & echo $! >&2")
    run_to_the_end(one)
    said, pid = one.row()["last_words"]
    os.kill(int(pid), 9)
    assert said == "last words"
