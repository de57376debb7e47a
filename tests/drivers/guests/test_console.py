"""A console log gives its end to readers and stays bounded while it is written."""

from __future__ import annotations

import os
from pathlib import Path

from kilostack.drivers.guests import console


def test_the_end_is_read_in_lines_or_whole(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    assert console.tail(log) == ""
    log.write_bytes(b"one\r\ntwo\nthr\xff")
    assert console.tail(log) == "one\r\ntwo\nthr\N{REPLACEMENT CHARACTER}"
    assert console.tail(log, 2) == "two\nthr\N{REPLACEMENT CHARACTER}"
    assert console.tail(log, 0) == ""
    assert console.tail(log, -1) == console.tail(log, 10**9) == console.tail(log)


def test_a_log_stays_bounded_and_keeps_its_end(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    with log.open("ab", buffering=0) as writer:
        for number in range(300_000):
            writer.write(b"line %06d\n" % number)
        assert console.bound(log)
        assert not console.bound(log)
        writer.write(b"the last one\n")
    assert os.stat(log).st_blocks * 512 <= 2 * console.KEEP_BYTES
    text = console.tail(log)
    assert text.endswith("line 299999\nthe last one\n")
    assert "\0" not in text
    assert len(text) > console.KEEP_BYTES // 2
    assert console.tail(log, 2) == "line 299999\nthe last one\n"


def test_a_short_or_absent_log_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    assert not console.bound(log)
    log.write_bytes(b"x" * 1000)
    assert not console.bound(log)
    assert log.read_bytes() == b"x" * 1000
