"""Many seeds in two processes of their own, with the order of hashes fixed, and their line coverage put together."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import coverage
import msgspec

_PROCESSES = 2
#: what the simulation promises to run through
MEASURED = (
    "kilostack/workflow/*",
    "kilostack/*/workflows/*",
    "kilostack/*/reconcilers/*",
    "kilostack/gateway/*",
    "kilostack/agents/*",
)
#: answers questions of real guests over real sockets, which no simulated guest asks
LEFT_OUT = ("kilostack/agents/network/metadata*.py",)


class Batch(msgspec.Struct, frozen=True):
    seeds: int
    failures: list[str]
    coverage: float
    missing: str


def run_batch(first: int, seeds: int, seconds: float) -> Batch:
    """Play up to `seeds` seeds from `first` on, for `seconds` of the machine's clock, in two processes."""
    with tempfile.TemporaryDirectory(prefix="kilostack-batch-") as folder:
        children = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.sim.batch", str(first + at), str(seeds), str(seconds), folder],
                env={**os.environ, "PYTHONHASHSEED": "0"},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for at in range(_PROCESSES)
        ]
        played, failures = 0, []
        for child in children:
            out, err = child.communicate()
            lines = out.splitlines()
            played += lines.count("ok")
            failures += [line for line in lines if line != "ok"]
            if child.returncode != 0:
                failures.append(err[-4000:])
        percent, missing = _coverage(Path(folder))
    return Batch(played, failures, percent, missing)


def _coverage(folder: Path) -> tuple[float, str]:
    measured = coverage.Coverage(data_file=str(folder / "data"), include=MEASURED, omit=LEFT_OUT)
    measured.combine([str(folder)])
    report = io.StringIO()
    percent = measured.report(file=report, show_missing=True, skip_covered=True)
    return percent, report.getvalue()


def _play(first: int, seeds: int, seconds: float, folder: str) -> None:
    import logging
    import time

    measured = coverage.Coverage(data_file=f"{folder}/data", data_suffix=True, include=MEASURED, omit=LEFT_OUT)
    measured.start()
    from tests.sim.seeds import run_seed

    logging.basicConfig(level=logging.CRITICAL)
    end = time.monotonic() + seconds
    for seed in range(first, first + seeds, _PROCESSES):
        if time.monotonic() > end:
            break
        try:
            run_seed(seed)
            print("ok", flush=True)
        except AssertionError as error:
            print(" ".join(str(error).split()), flush=True)
    measured.stop()
    measured.save()


if __name__ == "__main__":
    _play(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4])
