"""A thousand seeds of the simulation."""

from __future__ import annotations

import os

from tests.sim.batch import run_batch

SEEDS = int(os.environ.get("SEEDS", "1000"))


def test_a_thousand_seeds() -> None:
    result = run_batch(first=10_000, seeds=SEEDS, seconds=6 * 3600.0)
    print(f"\nsimulation: {result.seeds} seeds, {result.coverage:.1f} % of the lines of long work\n{result.missing}")
    assert not result.failures, "\n".join(result.failures)
    assert result.seeds == SEEDS
