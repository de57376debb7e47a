"""Run seeds by hand: `python -m tests.sim FIRST [COUNT]`; prints each, and stops at the first that fails."""

from __future__ import annotations

import logging
import sys
import time

from tests.sim.scenario import run_seed


def main() -> None:
    first = int(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    logging.basicConfig(level=logging.INFO if count == 1 else logging.CRITICAL)
    for seed in range(first, first + count):
        started = time.monotonic()
        virtual, steps = run_seed(seed)
        print(f"seed {seed}: {virtual:.1f} virtual s, {steps} turns, {time.monotonic() - started:.2f} s", flush=True)


if __name__ == "__main__":
    main()
