"""Which of the hosts that are left is best: scores between 0 and 1 over columns."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from kilostack.compute.scheduler.columns import Columns

Scores = NDArray[np.float64]


def _free_share(resource_class: str) -> Callable[[Columns], Scores]:
    """What is free of a class, as a share of the most that any host has free."""

    def scores(columns: Columns) -> Scores:
        free = columns.free(resource_class).astype(np.float64)
        most = float(free.max(initial=0.0))
        return np.clip(free / most, 0.0, 1.0) if most > 0 else np.zeros(len(columns))

    return scores


#: name -> (weight, scores); the weights add up to 1
WEIGHERS: dict[str, tuple[float, Callable[[Columns], Scores]]] = {
    "memory": (0.5, _free_share("MEMORY_MB")),
    "vcpu": (0.5, _free_share("VCPU")),
}


def score(columns: Columns) -> Scores:
    """The score of every host."""
    total = np.zeros(len(columns))
    for weight, scores in WEIGHERS.values():
        total += weight * scores(columns)
    return total
