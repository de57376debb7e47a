"""Where a router's instance lives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def choose(hosts: Sequence[str], load: Mapping[str, int], seed: int) -> str | None:
    """The host with the fewest routers; among equals the seed decides. None when there is no host."""
    if not hosts:
        return None
    least = min(load.get(host, 0) for host in hosts)
    equal = sorted(host for host in hosts if load.get(host, 0) == least)
    return equal[seed % len(equal)]
