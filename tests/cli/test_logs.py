"""Log files stay small, and whole."""

from __future__ import annotations

import json
import os
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from kilostack.cli.supervisor.logs import KEEP, ChildLog, LogFile


def log(path: Path, limit: int = 1000) -> ChildLog:
    return ChildLog(LogFile(path, os.getuid(), os.getgid(), limit), "test")


def lines(path: Path) -> list[dict[str, object]]:
    older = [path.with_suffix(f".log.{number}") for number in range(KEEP, 0, -1)]
    files = [file for file in [*older, path] if file.exists()]
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def test_a_log_never_grows_past_its_bound_and_keeps_the_newest(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    written = log(path)
    for number in range(500):
        written.feed(json.dumps({"n": number}).encode() + b"\n")
    assert all(file.stat().st_size <= 1000 for file in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == KEEP + 1
    numbers = [line["n"] for line in lines(path)]
    assert numbers == list(range(500 - len(numbers), 500))


def test_a_restarted_supervisor_goes_on_in_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    for number in range(100):
        one = log(path)
        one.feed(json.dumps({"n": number}).encode() + b"\n")
        one.close()
    assert all(file.stat().st_size <= 1100 for file in tmp_path.iterdir())
    assert lines(path)[-1] == {"n": 99}


@given(text=st.binary(max_size=300), cuts=st.lists(st.integers(min_value=0, max_value=300), max_size=5))
def test_whatever_a_process_writes_every_line_is_json(tmp_path_factory: object, text: bytes, cuts: list[int]) -> None:
    path = tmp_path_factory.mktemp("log") / "a.log"  # type: ignore[attr-defined]
    written = log(path, 1 << 20)
    text = text.replace(b"{", b"[")
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    for start, end in pairwise(edges):
        written.feed(text[start:end])
    written.close()
    said = [line["message"] for line in lines(path)] if path.exists() else []
    assert said == [line.decode(errors="replace").rstrip() for line in text.split(b"\n") if line.strip()]


def test_lines_that_cannot_be_written_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "a.log"
    written = log(path)
    written.feed(b"{}\n{}\n")
    path.parent.mkdir()
    written.feed(b'{"n": 1}\n')
    first, second = lines(path)
    assert "2 lines lost" in str(first["message"])
    assert second == {"n": 1}


def test_a_log_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "a.log").symlink_to(tmp_path / "victim")
    log(tmp_path / "a.log").feed(b"{}\n")
    assert (tmp_path / "victim").read_text() == "precious"
