"""Run seeds by hand: `python -m tests.sim FIRST [COUNT]`; prints each, and stops at the first that fails.

One seed replays exactly: `python -m tests.sim SEED twice` plays it twice and shows the first turn that differs, if any.
"""

from __future__ import annotations

import logging
import os
import sys
import time

from tests.sim.seeds import run_seed


def main() -> None:
    if os.environ.get("PYTHONHASHSEED") != "0":
        # the order of sets of texts is part of what a seed replays
        command = [sys.executable, "-m", "tests.sim", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, "PYTHONHASHSEED": "0"})
    first = int(sys.argv[1])
    if sys.argv[2:] == ["twice"]:
        _compare(first)
        return
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    logging.basicConfig(level=logging.INFO if count == 1 else logging.CRITICAL)
    for seed in range(first, first + count):
        started = time.monotonic()
        virtual, steps = run_seed(seed)
        print(f"seed {seed}: {virtual:.1f} virtual s, {steps} turns, {time.monotonic() - started:.2f} s", flush=True)


def _compare(seed: int) -> None:
    logging.basicConfig(level=logging.CRITICAL)
    traces: list[list[str]] = [[], []]
    for trace in traces:
        try:
            run_seed(seed, trace=trace)
        except AssertionError as error:
            print(error)
    for at, (left, right) in enumerate(zip(*traces, strict=False)):
        if left != right:
            print(f"turn {at} differs:")
            for one, other in zip(*(trace[max(0, at - 3) : at + 2] for trace in traces), strict=False):
                print(f"  {one}\n  {other}\n")
            sys.exit(1)
    print(f"seed {seed}: {len(traces[0])} and {len(traces[1])} turns, the same")


if __name__ == "__main__":
    main()
