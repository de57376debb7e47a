"""What must hold whatever happened, and what must hold once the world is kind again."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from typing import Any

import msgspec

from tests.sim.cloud import Simulation


def _rows(simulation: Simulation, service: str, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(f"file:{simulation.folder / service}.db?mode=ro", uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def always(simulation: Simulation) -> None:
    """No oversubscription, no guest on two hosts at once by anybody's wish, counted equals live."""
    used: defaultdict[tuple[str, str], int] = defaultdict(int)
    for provider, name, amount in _rows(
        simulation,
        "placement",
        "SELECT provider_id, resource_class, amount FROM allocations JOIN consumers ON consumers.id = consumer_id",
    ):
        used[provider, name] += amount
    for provider, name, capacity, counted in _rows(
        simulation, "placement", "SELECT provider_id, resource_class, capacity, used FROM inventories"
    ):
        assert counted == used[provider, name], f"placement counts {counted} {name}, {used[provider, name]} are held"
        assert counted <= capacity, f"{name} of {provider} is oversubscribed"
    live: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for project, flavor in _rows(simulation, "compute", "SELECT project_id, flavor FROM servers"):
        facts = msgspec.json.decode(flavor)
        live[project].update(servers=1, cores=facts["vcpus"], memory_mib=facts["memory_mib"])
    for project, *counted in _rows(simulation, "compute", "SELECT project_id, servers, cores, memory_mib FROM usages"):
        held = live[project]
        assert counted == [held["servers"], held["cores"], held["memory_mib"]], f"quota of {project} is {counted}"
    late = _rows(
        simulation,
        "compute",
        "SELECT id, error FROM sagas WHERE error LIKE '%has gone on under epoch%' OR error LIKE '%saga_log%'",
    )
    assert not late, f"a conductor that had lost its lease spoke for a saga: {late}"
    ports = Counter(row[0] for row in _rows(simulation, "network", "SELECT project_id FROM ports"))
    for project, counted in _rows(simulation, "network", "SELECT project_id, port FROM project_usage"):
        assert counted == ports[project], f"network counts {counted} ports of {project}, there are {ports[project]}"
    slots = _rows(
        simulation,
        "network",
        "SELECT device_id, slot, COUNT(*) FROM ports WHERE slot IS NOT NULL GROUP BY 1, 2 HAVING COUNT(*) > 1",
    )
    assert not slots, f"more than one port for one card: {slots}"


def taken_over(simulation: Simulation, under_way: dict[str, str]) -> bool:
    """Whether another process has claimed one of these sagas."""
    owners = dict(_rows(simulation, "compute", "SELECT id, owner FROM sagas WHERE owner IS NOT NULL"))
    return any(owners.get(saga_id, owner) != owner for saga_id, owner in under_way.items())


def settled(simulation: Simulation, expected: set[str]) -> list[str]:
    """What is still to be done before everything is as it should be; empty when it is.

    `expected` are the ids of the servers that were made and not deleted.
    """
    left: list[str] = []
    servers = {
        row[0]: row[1:]
        for row in _rows(simulation, "compute", "SELECT id, state, task_state, saga_id, host FROM servers")
    }
    for server_id, (state, task, saga, _) in servers.items():
        if saga is not None or task is not None or state == "BUILD":
            left.append(f"server {server_id} is {state}, task {task}, saga {saga}")
    if servers.keys() != expected:
        left.append(f"servers are {sorted(servers)}, expected {sorted(expected)}")
    alive = _rows(
        simulation,
        "compute",
        "SELECT kind, state, error, owner, waits_for, due_at, tries FROM sagas WHERE state != 'ended'",
    )
    left += [f"process {row}" for row in _rows(simulation, "compute", "SELECT * FROM processes")] if alive else []
    left += [f"saga {row}" for row in alive]
    placed = {server_id for server_id, row in servers.items() if row[3] is not None}
    holders = {row[0] for row in _rows(simulation, "placement", "SELECT id FROM consumers")}
    if holders != placed:
        left.append(f"allocations are held by {sorted(holders)}, servers with a host are {sorted(placed)}")
    owners = Counter(
        row[0]
        for row in _rows(simulation, "network", "SELECT device_id FROM ports WHERE device_owner LIKE 'compute:%'")
    )
    if owners != Counter(placed):
        left.append(f"ports belong to {dict(owners)}, servers with a host are {sorted(placed)}")
    guests = {row[0]: row[1] for row in _rows(simulation, "compute", "SELECT server_id, host FROM guests")}
    there = [(guest_id, machine.name) for machine in simulation.machines for guest_id in machine.guests.guests]
    missing = Counter(guests.items()) - Counter(there)
    # a host that has said that it cannot does not try again until its owner asks
    given_up = {pair for pair in missing if servers.get(pair[0], ("gone",))[0] == "ERROR"}
    if Counter(there) - Counter(guests.items()) or missing.keys() - given_up:
        left.append(f"hosts have {sorted(there)}, desired are {sorted(guests.items())}")
    left += _power(simulation, servers)
    return left


def _power(simulation: Simulation, servers: dict[str, tuple[Any, ...]]) -> list[str]:
    left = []
    for machine in simulation.machines:
        for guest_id, guest in machine.guests.guests.items():
            state = servers.get(guest_id, ("gone",))[0]
            if (guest.stop is None) != (state == "ACTIVE"):
                left.append(f"server {guest_id} is {state}, its guest's stop is {guest.stop}")
    return left
