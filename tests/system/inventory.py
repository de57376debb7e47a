"""All that a running cloud holds, by looking: processes, networks, files and rows. Two looks are compared."""

from __future__ import annotations

import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.clouds import UserCloud, command_line, lines

#: Rows that exist for as long as what they are about; histories and logs are not among them.
LIVE = {
    "compute": ("guests", "keypairs", "key_counts.used", "usages.servers", "usages.cores", "usages.memory_mib"),
    "network": (
        *("addresses", "floating_ips", "members", "networks", "pools", "ports", "routers", "subnets"),
        *("security_groups", "security_group_rules"),
        *(f"project_usage.{name}" for name in ("network", "subnet", "port", "router", "floatingip")),
        *(f"project_usage.{name}" for name in ("security_group", "security_group_rule")),
    ),
    "placement": ("allocations", "consumers", "inventories.used"),
    "image": ("images",),
}


def look(cloud: UserCloud) -> set[str]:
    """One line per thing. Images that a host keeps for the next guest, logs and histories are left out."""
    found = {f"{count} processes {name}" for name, count in _programs(cloud).items()}
    found |= set(_files(cloud.state_dir)) | set(_files(cloud.run_dir)) | set(_rows(cloud))
    for namespace in cloud.namespaces():
        found.add(f"namespace {namespace}")
        found |= {f"{namespace}: {line}" for line in _network(namespace)}
    return found


def is_again(before: set[str], cloud: UserCloud) -> bool:
    """True when all is as it was; fails with the difference."""
    after = look(cloud)
    assert after == before, f"more: {sorted(after - before)}; less: {sorted(before - after)}"
    return True


def _programs(cloud: UserCloud) -> Counter[str]:
    names = (line.split(":", 1)[0].removeprefix("process ") for line in cloud.traces() if line.startswith("process "))
    return Counter(Path(argv[0]).name for argv in map(command_line, map(int, names)) if argv)


def _files(directory: Path) -> Iterator[str]:
    for path in directory.rglob("*"):
        inner = path.relative_to(directory)
        if "log" in inner.parts or "db" in inner.parts or inner.name == "accelerator.json":
            continue
        if path.is_file() and "images" in inner.parts and "hosts" in inner.parts:
            continue
        yield f"file {path}"


def _rows(cloud: UserCloud) -> Iterator[str]:
    for service, tables in LIVE.items():
        database = sqlite3.connect(f"file:{cloud.state_dir}/db/{service}.db?mode=ro", uri=True)
        try:
            for table in tables:
                name, _, column = table.partition(".")
                counted = f"coalesce(sum({column}), 0)" if column else "count(*)"
                (number,) = database.execute(f"SELECT {counted} FROM {name}").fetchone()
                yield f"{number} {service} {table}"
        finally:
            database.close()


def _network(namespace: str) -> Iterator[str]:
    """Links, addresses, routes, forwarding, neighbours and rules, without what the kernel learns, counts or draws."""
    run = ("ip", "netns", "exec", namespace)
    for line in lines(*run, "ip", "-o", "addr"):
        yield f"address {' '.join(line.split()[1:4])}"
    for line in lines(*run, "ip", "-br", "link"):
        yield f"link {line.split()[0].partition('@')[0]}"
    yield from (f"route {line}" for line in lines(*run, "ip", "route"))
    yield from (f"neighbour {line}" for line in lines(*run, "ip", "neigh", "show", "nud", "permanent"))
    for line in lines(*run, "bridge", "fdb", "show"):
        address, _, rest = line.partition(" ")
        if "permanent" in line:
            yield f"entry {address if address.startswith('fa:16:3e') else '(drawn)'} {rest}"
    rules = subprocess.run([*run, "nft", "-s", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
    yield from (f"rule {line.strip()}" for line in rules.splitlines() if line.strip())
