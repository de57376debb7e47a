"""Lists of servers: filters, order, pages, and what each version refuses."""

from __future__ import annotations

from typing import Any

import pytest

from kilostack.compute.model.server import ServerState
from kilostack.compute.store import servers
from kilostack.compute.store.tables import SERVERS
from kilostack.store.database import Tx
from tests.compute.stand_ins import IMAGE, NOW, finish_build
from tests.http.compute.face import Cloud


async def _names(cloud: Cloud, query: str, *, token: str = "member", version: str = "2.96") -> Any:
    answer = await cloud.ask("GET", f"/servers?{query}", token=token, version=version)
    assert answer.status == 200, answer.body
    return [server["name"] for server in answer.json()["servers"]]


@pytest.fixture
async def five(cloud: Cloud) -> dict[str, str]:
    """web-1 ACTIVE, web-2 SHUTOFF, db rebooting, new in BUILD, bad in ERROR; made in this order."""
    ids = {name: await cloud.server(name, built=name != "new") for name in ("web-1", "web-2", "db", "new", "bad")}

    async def unit(tx: Tx) -> None:
        for at, server_id in enumerate(ids.values()):
            server = await SERVERS.get(tx, id=server_id)
            await servers.change(tx, server, NOW + at * 1_000_000, created_at=NOW + at * 1_000_000)

    await cloud.db.write(unit)
    await finish_build(cloud.db, ids["web-2"], ServerState.SHUTOFF, tags=("a", "b"), locked=True)
    await finish_build(cloud.db, ids["db"], task_state="rebooting", tags=("a",))
    await finish_build(cloud.db, ids["bad"], ServerState.ERROR, host=None)
    return ids


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["bad", "new", "db", "web-2", "web-1"]),
        ("sort_key=display_name&sort_dir=asc", ["bad", "db", "new", "web-1", "web-2"]),
        ("sort_key=vm_state&sort_dir=asc&sort_key=display_name", ["db", "web-1", "new", "bad", "web-2"]),
        ("name=web", ["web-2", "web-1"]),
        ("name=^WEB-%5B12%5D$", ["web-2", "web-1"]),
        ("name=^web$", []),
        ("name=web&limit=1", ["web-2"]),
        ("status=ACTIVE", ["db", "web-1"]),
        ("status=active&status=SHUTOFF", ["db", "web-2", "web-1"]),
        ("status=REBOOT", ["db"]),
        ("status=PAUSED", []),
        ("flavor=1", ["bad", "new", "db", "web-2", "web-1"]),
        ("flavor=2", []),
        (f"image={IMAGE}&limit=2", ["bad", "new"]),
        ("tags=a", ["db", "web-2"]),
        ("tags=a,b", ["web-2"]),
        ("tags-any=b,c", ["web-2"]),
        ("not-tags=a,b", ["bad", "new", "db", "web-1"]),
        ("not-tags-any=a,b", ["bad", "new", "web-1"]),
        ("ip=10.0.0", ["bad", "db", "web-2", "web-1"]),
        ("ip6=fd00", []),
        ("locked=true", ["web-2"]),
        ("changes-since=2026-09-21T14:13:22Z", ["new"]),
        ("changes-before=2026-09-21T14:13:20Z", ["bad", "db", "web-2", "web-1"]),
        ("vm_state=error", ["bad"]),
        ("task_state=rebooting", ["db"]),
        ("limit=0", []),
        ("deleted=true", ["bad", "new", "db", "web-2", "web-1"]),
        ("host=h2", ["bad", "new", "db", "web-2", "web-1"]),
    ],
)
async def test_filters_and_order(cloud: Cloud, five: dict[str, str], query: str, names: list[str]) -> None:
    assert await _names(cloud, query) == names


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("all_tenants=1&host=h1", ["db", "web-2", "web-1"]),
        ("all_tenants=True&deleted=true", []),
        ("all_tenants&project_id=nobody", []),
        ("all_tenants=&sort_key=host&sort_dir=asc&limit=1", ["bad"]),
        ("", []),
        ("all_tenants=1&hostname=db", ["db"]),
    ],
)
async def test_what_administrators_may_ask(cloud: Cloud, five: dict[str, str], query: str, names: list[str]) -> None:
    if "sort_key=host" in query:
        assert set(await _names(cloud, query, token="admin")) <= {"bad", "new"}
    else:
        assert await _names(cloud, query, token="admin") == names


@pytest.mark.parametrize(
    ("query", "version", "status"),
    [
        ("status=NONSENSE", "2.37", 200),
        ("status=NONSENSE", "2.38", 400),
        ("status=DELETED", "2.96", 403),
        ("surprise=1", "2.74", 200),
        ("surprise=1", "2.75", 400),
        ("_id=1", "2.1", 400),
        ("metadata=x", "2.1", 400),
        ("name=(", "2.1", 400),
        ("name=" + "x" * 300, "2.1", 400),
        ("limit=x", "2.1", 400),
        ("limit=-1", "2.1", 400),
        ("marker=nothing", "2.1", 400),
        ("sort_key=nonsense", "2.1", 400),
        ("sort_key=vcpus", "2.74", 200),
        ("sort_key=vcpus", "2.75", 400),
        ("sort_key=host", "2.1", 403),
        ("sort_dir=sideways", "2.1", 400),
        ("changes-since=yesterday", "2.1", 400),
        ("changes-since=2026-01-02T00:00:00Z&changes-before=2026-01-01T00:00:00Z", "2.66", 400),
        ("all_tenants=perhaps", "2.1", 400),
        ("locked=perhaps", "2.73", 400),
    ],
)
async def test_what_cannot_be_asked(cloud: Cloud, query: str, version: str, status: int) -> None:
    for path in ("/servers", "/servers/detail"):
        answer = await cloud.ask("GET", f"{path}?{query}", version=version)
        assert answer.status == status, answer.body


@pytest.mark.parametrize("extra", ["", "&sort_key=display_name", "&name=s", "&tags=t", "&sort_key=task_state"])
async def test_pages_are_followed_to_an_empty_end(cloud: Cloud, extra: str) -> None:
    wanted = {f"s{number}" for number in range(7)}
    for name in sorted(wanted):
        await cloud.server(name, tags=["t"], built=name != "s3")
    path, seen = f"/servers/detail?limit=3{extra}", []
    for _ in range(4):
        document = (await cloud.ask("GET", path, version="2.96")).json()
        seen += [server["name"] for server in document["servers"]]
        if "servers_links" not in document:
            break
        (link,) = document["servers_links"]
        assert (link["rel"], "/servers/detail?limit=3" in link["href"]) == ("next", True)
        path = link["href"].partition("/compute/v2.1")[2]
    assert (len(seen), set(seen)) == (7, wanted)
    after = (await cloud.ask("GET", "/servers?marker=" + document["servers"][-1]["id"] + extra, version="2.96")).json()
    assert after["servers"] == []


async def test_a_page_costs_the_same_statements_whatever_it_holds(cloud: Cloud) -> None:
    """Once rendered, a page is read by one statement."""
    for number in range(5):
        await cloud.server(f"s{number}")
    await cloud.ask("GET", "/servers/detail")
    statements = _count_statements(cloud)
    assert (await cloud.ask("GET", "/servers/detail")).status == 200
    assert len(statements) == 1


def _count_statements(cloud: Cloud) -> list[str]:
    seen: list[str] = []
    reader = cloud.db._reader  # type: ignore[attr-defined]
    reader.set_trace_callback(lambda sql: seen.append(sql) if sql.startswith("SELECT") else None)
    return seen
