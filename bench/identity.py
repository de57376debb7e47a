"""What tokens cost: CPU of the serving process per request, and the slowest of a hundred, with few users and many."""

from __future__ import annotations

import sqlite3
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from argon2.low_level import Type, hash_secret

from bench.cloud import Cloud
from kilostack.identity.app.passwords import HashCost

_FEW, _MANY = 100, 100_000
_TOKENS = "/identity/v3/auth/tokens"
_COST = HashCost()


def measure(runs: int) -> dict[str, Any]:
    """Tokens of a simulated cloud: with 100 users, then with 100,000."""
    cloud = Cloud("bench-identity", 9743, "--simulate")
    cloud.up()
    try:
        few = _with_users(cloud, _FEW, runs)
        many = _with_users(cloud, _MANY, runs)
    finally:
        cloud.down("--wipe")
    return {"password_hash_cpu_ms": round(_hash_cpu_ms(), 2), f"users_{_FEW}": few, f"users_{_MANY}": many}


def _with_users(cloud: Cloud, count: int, runs: int) -> dict[str, Any]:
    cloud.down()
    _add_users(cloud, count)
    cloud.up()
    cloud.login()
    idle = _idle(cloud)
    asks = {
        "validate": (2000, lambda: cloud.call("GET", _TOKENS, subject=cloud.token)),
        "issue_by_token": (1000, lambda: cloud.call("POST", _TOKENS, _by_token(cloud))),
        "issue_by_application_credential": (1000, _by_credential(cloud)),
        "log_in_by_password": (25, cloud.login),
    }
    return {name: _cost(cloud, idle, ask, times, runs) for name, (times, ask) in asks.items()}


def _cost(cloud: Cloud, idle: float, ask: Callable[[], object], times: int, runs: int) -> dict[str, Any]:
    costs: list[float] = []
    took: list[float] = []
    for _ in range(runs):
        before, started = cloud.cpu_seconds(), time.monotonic()
        for _ in range(times):
            at = time.monotonic()
            ask()
            took.append(time.monotonic() - at)
        spent = cloud.cpu_seconds() - before - idle * (time.monotonic() - started)
        costs.append(spent / times * 1000)
    p99 = statistics.quantiles(took, n=100)[98] * 1000
    return {"cpu_ms": round(statistics.median(costs), 3), "p99_ms": round(p99, 2)}


def _idle(cloud: Cloud, seconds: float = 5.0) -> float:
    before = cloud.cpu_seconds()
    time.sleep(seconds)
    return (cloud.cpu_seconds() - before) / seconds


def _by_token(cloud: Cloud) -> dict[str, Any]:
    identity = {"methods": ["token"], "token": {"id": cloud.token}}
    return {"auth": {"identity": identity, "scope": {"project": {"name": "demo", "domain": {"name": "Default"}}}}}


def _by_credential(cloud: Cloud) -> Callable[[], object]:
    user_id = cloud.call("GET", _TOKENS, subject=cloud.token)[1]["token"]["user"]["id"]
    path = f"/identity/v3/users/{user_id}/application_credentials"
    name = f"bench-{time.monotonic_ns()}"
    made = cloud.call("POST", path, {"application_credential": {"name": name}})[1]["application_credential"]
    shown = {"id": made["id"], "secret": made["secret"]}
    body = {"auth": {"identity": {"methods": ["application_credential"], "application_credential": shown}}}
    return lambda: cloud.call("POST", _TOKENS, body)


def _add_users(cloud: Cloud, count: int) -> None:
    """Copies of the user demo, with its roles, written while nobody else writes."""
    (file,) = Path(cloud.home).rglob("identity.db")
    with sqlite3.connect(file) as connection:
        have = connection.execute("SELECT COUNT(*) FROM users").fetchone()[0]
        numbers = f"WITH RECURSIVE n(i) AS (SELECT {have} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count})"
        for table, changed in (
            ("users", {"id": "printf('%032x', i)", "name": "'user-' || i"}),
            ("assignments", {"actor_id": "printf('%032x', i)"}),
        ):
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            values = ", ".join(changed.get(name, f"t.{name}") for name in columns)
            demo = "(SELECT id FROM users WHERE name = 'demo')"
            whose = "t.id" if table == "users" else "t.actor_id"
            connection.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) {numbers} "
                f"SELECT {values} FROM n, {table} t WHERE {whose} = {demo}"
            )
    connection.close()


def _hash_cpu_ms(times: int = 20) -> float:
    """CPU of one password hash on this machine, with nothing around it."""
    before = time.process_time()
    for _ in range(times):
        hash_secret(b"password", b"s" * 16, _COST.passes, _COST.memory_kib, 1, 32, Type.ID)
    return (time.process_time() - before) / times * 1000
