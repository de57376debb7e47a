"""As many seeds as fit in two minutes, half of them in each of two processes; and how much of the product they ran."""

from __future__ import annotations

from tests.sim.batch import run_batch

SECONDS = 100.0
#: line coverage of workflows, reconcilers, gateway and agents by the simulation alone, in percent
PROMISED = 90.0


def test_seeds_of_ci() -> None:
    result = run_batch(first=1, seeds=1000, seconds=SECONDS)
    print(f"\nsimulation: {result.seeds} seeds, {result.coverage:.1f} % of the lines of long work\n{result.missing}")
    assert not result.failures, "\n".join(result.failures)
    assert result.seeds >= 10
    assert result.coverage >= PROMISED, result.missing
