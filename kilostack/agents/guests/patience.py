"""How often and how fast a step is tried again for one guest, and when it is time to say that it failed."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Final

#: Failures in a row before the owner is told; a first trouble often passes.
TELL_AFTER: Final = 3
#: A process that ends this soon after its start has died of its start.
QUICK_DEATH_S: Final = 30.0
MAX_QUICK_DEATHS: Final = 5
DIED_TOO_OFTEN: Final = f"The guest's process ended right after its start, {MAX_QUICK_DEATHS} times in a row."
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 60.0


@dataclass(slots=True)
class Patience:
    """The troubles of one guest since its desired state last changed."""

    failures: int = 0
    quick_deaths: int = 0
    started_at: float | None = None
    #: on the monotonic clock; infinite when trying again cannot help
    retry_at: float = 0.0
    #: what its owner is told, once it is time
    fault: str | None = None

    def failed(self, reason: str, now: float, chance: random.Random, *, final: bool = False) -> None:
        self.failures += 1
        if final or self.failures >= TELL_AFTER:
            self.fault = reason
        self.retry_at = float("inf") if final else now + _pause(self.failures, chance)

    def started(self, now: float) -> None:
        self.failures = 0
        self.fault = None
        self.started_at = now

    def died(self, now: float, chance: random.Random) -> None:
        """Call once for each death, before the next start. The first one costs no pause."""
        is_quick = self.started_at is not None and now - self.started_at < QUICK_DEATH_S
        self.started_at = None
        self.quick_deaths = self.quick_deaths + 1 if is_quick else 0
        if self.quick_deaths >= MAX_QUICK_DEATHS:
            self.fault = DIED_TOO_OFTEN
            self.retry_at = float("inf")
        elif self.quick_deaths > 1:
            self.retry_at = now + _pause(self.quick_deaths - 1, chance)

    def settled(self) -> None:
        """It is what it should be; only deaths are still counted, because they come after that."""
        self.failures = 0
        self.fault = None
        self.retry_at = 0.0


def _pause(times: int, chance: random.Random) -> float:
    return min(_LONGEST_PAUSE_S, math.ldexp(_FIRST_PAUSE_S, min(times - 1, 10))) * chance.uniform(0.8, 1.2)
