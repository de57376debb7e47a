"""Hosts as columns of numbers: one array per property, one place in all of them per host.

This module imports NumPy, which takes a fifth of a second: import it only where something is about to be scheduled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kilostack.compute.scheduler.request import HostState
from kilostack.wire.placement_calls import Inventory, Provider

Mask = NDArray[np.bool_]
Numbers = NDArray[np.int64]
_NOTHING = Inventory(total=0)


class _Numbers:
    """The columns of one resource class."""

    def __init__(self, size: int) -> None:
        self.free: Numbers = np.zeros(size, np.int64)
        self.pending: Numbers = np.zeros(size, np.int64)


class Columns:
    """All hosts that compute knows, in the order in which they were learnt."""

    def __init__(self) -> None:
        self.hosts: list[HostState] = []
        self._place: dict[str, int] = {}
        self._by_provider: dict[str, str] = {}
        self._providers: dict[str, Provider] = {}
        self._pending: dict[str, dict[str, int]] = {}
        self._flags: dict[str, Mask] = {name: np.zeros(8, np.bool_) for name in ("enabled", "connected", "known")}
        self._numbers: dict[str, _Numbers] = {}
        self._zones: list[str] = []
        self._zone: Numbers = np.zeros(8, np.int64)

    def __len__(self) -> int:
        return len(self.hosts)

    @property
    def enabled(self) -> Mask:
        return self._flags["enabled"][: len(self)]

    @property
    def connected(self) -> Mask:
        return self._flags["connected"][: len(self)]

    @property
    def known(self) -> Mask:
        """Whether placement knows what the host has."""
        return self._flags["known"][: len(self)]

    def host_of(self, provider_id: str) -> str | None:
        """The name of the host that a provider is."""
        return self._by_provider.get(provider_id)

    def in_zone(self, zone: str) -> Mask:
        number = self._zones.index(zone) if zone in self._zones else -1
        mask: Mask = self._zone[: len(self)] == number
        return mask

    def named(self, name: str) -> Mask:
        mask = np.zeros(len(self), np.bool_)
        if (place := self._place.get(name)) is not None:
            mask[place] = True
        return mask

    def free(self, resource_class: str, *, pending: bool = True) -> Numbers:
        """What is left of a class on each host; with `pending`, claims under way count as used."""
        numbers = self._of(resource_class)
        left = numbers.free[: len(self)]
        return left - numbers.pending[: len(self)] if pending else left

    def _of(self, resource_class: str) -> _Numbers:
        if resource_class not in self._numbers:
            self._numbers[resource_class] = _Numbers(len(self._zone))
        return self._numbers[resource_class]

    def set_hosts(self, states: Iterable[HostState], *, whole: bool = False) -> None:
        """Learn of hosts; with `whole`, there are no others."""
        states = list(states)
        if whole:
            self.remove_hosts(set(self._place) - {state.name for state in states})
        for state in states:
            place = self._place.get(state.name)
            if place is None:
                place = self._place[state.name] = len(self.hosts)
                self.hosts.append(state)
                self._grow(len(self.hosts))
            self._by_provider.pop(self.hosts[place].provider_id, None)
            self._by_provider[state.provider_id] = state.name
            self.hosts[place] = state
            self._write(place)

    def remove_hosts(self, names: Iterable[str]) -> None:
        """Forget hosts; the last one takes the place of each."""
        for name in sorted(names):
            if (place := self._place.pop(name, None)) is None:
                continue
            self._by_provider.pop(self.hosts[place].provider_id, None)
            last = self.hosts.pop()
            if last.name != name:
                self.hosts[place] = last
                self._place[last.name] = place
                self._write(place)

    def set_providers(self, providers: Iterable[Provider], *, whole: bool = False) -> None:
        """Learn what hosts have; older generations than known are passed over, unless this is the `whole` truth."""
        providers = list(providers)
        if whole:
            gone = set(self._providers) - {provider.id for provider in providers}
            self._providers = {}
            self.remove_providers(gone)
        for provider in providers:
            known = self._providers.get(provider.id)
            if known is None or provider.generation >= known.generation:
                self._providers[provider.id] = provider
                self._rewrite(provider.id)

    def remove_providers(self, provider_ids: Iterable[str]) -> None:
        for provider_id in provider_ids:
            self._providers.pop(provider_id, None)
            self._rewrite(provider_id)

    def claim_begins(self, provider_id: str, resources: Mapping[str, int]) -> None:
        """Count a claim as used until `claim_ends`."""
        self._count(provider_id, resources, 1)

    def claim_ends(self, provider_id: str, resources: Mapping[str, int]) -> None:
        self._count(provider_id, resources, -1)

    def _count(self, provider_id: str, resources: Mapping[str, int], sign: int) -> None:
        held = self._pending.setdefault(provider_id, {})
        for name, amount in resources.items():
            held[name] = held.get(name, 0) + sign * amount
        self._rewrite(provider_id)
        if not any(held.values()):
            del self._pending[provider_id]

    def _rewrite(self, provider_id: str) -> None:
        if (name := self._by_provider.get(provider_id)) is not None:
            self._write(self._place[name])

    def _write(self, place: int) -> None:
        """Put everything known of one host into its place."""
        state = self.hosts[place]
        provider = self._providers.get(state.provider_id)
        self._flags["enabled"][place] = state.enabled
        self._flags["connected"][place] = state.connected
        self._flags["known"][place] = provider is not None
        if state.zone not in self._zones:
            self._zones.append(state.zone)
        self._zone[place] = self._zones.index(state.zone)
        inventories = provider.inventories if provider is not None else {}
        pending = self._pending.get(state.provider_id, {})
        for name in [*inventories, *pending]:
            self._of(name)
        for name, numbers in self._numbers.items():
            numbers.free[place] = inventories.get(name, _NOTHING).free
            numbers.pending[place] = pending.get(name, 0)

    def _grow(self, wanted: int) -> None:
        size = len(self._zone)
        if wanted <= size:
            return
        self._zone = _longer(self._zone)
        self._flags = {name: _longer(column) for name, column in self._flags.items()}
        for numbers in self._numbers.values():
            numbers.free = _longer(numbers.free)
            numbers.pending = _longer(numbers.pending)


def _longer(column: NDArray[Any]) -> NDArray[Any]:
    """The column with as many empty places behind it as it has now."""
    return np.concatenate([column, np.zeros(len(column), column.dtype)])
