"""Every request that changes something leaves a record of who, what, to which thing, from where, and how it ended."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from kilostack.core.audit import Chain, Record
from kilostack.core.errors import Unavailable
from kilostack.core.vault import Vault
from kilostack.core.world import RealWorld
from kilostack.http.app import make_app
from kilostack.http.audit import AuditLog
from kilostack.http.messages import Request, Response
from kilostack.http.routes import Api, Route
from kilostack.store import audit as store
from kilostack.store.database import Database, Unit
from tests.conftest import MakeDatabase
from tests.http.cloud import PROJECT, Client, Personas
from tests.http.foundation import toy

CHAIN = Chain(Vault(b"k" * 32).digest)
SECRET = "cAnArY"


async def _log_in(request: Request) -> Response:
    request.facts["user_id"] = "somebody"
    return Response(201 if (await request.json())["right"] else 401, {"token": {"text": SECRET}})


async def _stranger(request: Request) -> Response:
    return Response(401)


async def _many(request: Request) -> Response:
    return Response(201, {"things": [{"id": "one"}, {"id": "two"}]})


async def _too_many(request: Request) -> Response:
    return Response(429)


LOG_IN = Api(
    name="login",
    prefix="/login",
    dialect=toy.DIALECTS["identity"],
    routes=(
        Route(method="POST", path="/tokens", handler=_log_in, public=True),
        Route(method="POST", path="/many", handler=_many),
        Route(method="POST", path="/often", handler=_too_many, public=True),
        Route(method="POST", path="/stranger", handler=_stranger, public=True),
    ),
)


class Cloud:
    def __init__(self, db: Database, world: RealWorld) -> None:
        self.db, self.log = db, AuditLog(db, world, CHAIN)
        apis = [LOG_IN, *(toy.api(name) for name in toy.DIALECTS)]
        self.client = Client(make_app(apis, Personas(), world, None, self.log))

    async def ask(self, method: str, path: str, token: str | None = "member", **more: Any) -> int:
        return (await self.client.request(method, path, token=token, **more)).status

    async def records(self) -> list[Record]:
        """Of a cloud that has been stopped."""
        await self.log.close()
        rows = await self.db.read(lambda tx: store.page_after(tx, 0))
        assert (await store.verify(self.db, CHAIN)).problems == []
        return [msgspec.json.decode(row.text, type=Record) for row in rows]


@pytest.fixture
async def cloud(make_sqlite: MakeDatabase, world: RealWorld) -> Cloud:
    return Cloud(await make_sqlite(store.META), world)


async def test_a_change_is_told_in_full(cloud: Cloud, world: RealWorld) -> None:
    before = world.now()
    headers = {"X-OpenStack-Request-ID": "req-" + "0" * 8 + "-0000-0000-0000-" + "0" * 12}
    answer = await cloud.client.request("DELETE", "/compute/v9/things/17?a=b", token="member", headers=headers)
    (record,) = await cloud.records()
    assert before <= record.at <= world.now()
    assert record == Record(
        at=record.at,
        request_id=answer.headers["x-openstack-request-id"],
        global_request_id=headers["X-OpenStack-Request-ID"],
        service="compute",
        action="DELETE /compute/v9/things/{id}",
        target={"id": "17"},
        status=204,
        outcome="success",
        user_id="member-id",
        project_id=PROJECT,
        roles=("member", "reader"),
        audit_id="audit-member",
        address="127.0.0.1",
    )


async def test_the_record_is_there_before_the_answer(cloud: Cloud) -> None:
    assert await cloud.ask("DELETE", "/network/v9/things/1") == 204
    assert len(await cloud.db.read(lambda tx: store.page_after(tx, 0))) == 1


@pytest.mark.parametrize(
    ("method", "path", "token", "body", "action", "target", "outcome"),
    [
        ("POST", "/image/v9/things", "admin", {"thing": {"name": 5}}, "POST /image/v9/things", {}, "failure"),
        ("POST", "/image/v9/things", "admin", {"thing": {"name": "a"}}, "POST /image/v9/things", {}, "success"),
        ("POST", "/login/many", "admin", {}, "POST /login/many", {"id": "one,two"}, "success"),
        (
            "POST",
            "/compute/v9/things/5/action",
            "member",
            {"stop": None},
            "POST /compute/v9/things/{id}/action stop",
            {"id": "5"},
            "success",
        ),
    ],
)
async def test_what_is_recorded(
    cloud: Cloud, method: str, path: str, token: str, body: Any, action: str, target: dict[str, str], outcome: str
) -> None:
    await cloud.ask(method, path, token, json=body)
    (record,) = await cloud.records()
    assert (record.action, record.target, record.outcome) == (action, target, outcome)


async def test_log_ins_are_recorded_right_or_wrong(cloud: Cloud) -> None:
    for right in (True, False):
        await cloud.ask("POST", "/login/tokens", None, json={"right": right, "password": SECRET})
    found = [(record.user_id, record.status, record.outcome) for record in await cloud.records()]
    assert found == [("somebody", 201, "success"), ("somebody", 401, "denied")]


@pytest.mark.parametrize(
    ("method", "path", "token"),
    [
        ("GET", "/compute/v9/things/1", "member"),
        ("HEAD", "/compute/v9/things/1", "member"),
        ("GET", "/fail/bug", "member"),
        ("DELETE", "/compute/v9/things/1", None),
        ("DELETE", "/compute/v9/things/1", "nobody knows this token"),
        ("POST", "/login/often", None),
        ("POST", "/compute/v9/nothing", "member"),
        ("PUT", "/compute/v9/things/1", "member"),
        ("POST", "/", None),
    ],
)
async def test_what_changes_nothing_or_is_nobodys_is_not(
    cloud: Cloud, method: str, path: str, token: str | None
) -> None:
    await cloud.ask(method, path, token)
    assert await cloud.records() == []


async def test_strangers_do_not_fill_the_disk(cloud: Cloud) -> None:
    for _ in range(300):
        await cloud.ask("POST", "/login/stranger", None)
    await cloud.ask("POST", "/login/tokens", None, json={"right": False})
    found = [record.user_id for record in await cloud.records()]
    # a minute may end in between
    assert found.count("") in (100, 200)
    assert found[-1] == "somebody"


async def test_no_secret_is_in_a_record(cloud: Cloud) -> None:
    body = {"thing": {"name": SECRET, "size": SECRET}, SECRET: SECRET}
    headers = {"X-Subject-Token": SECRET, "Authorization": SECRET, "X-OpenStack-Request-ID": SECRET}
    await cloud.ask("POST", f"/compute/v9/things?password={SECRET}", json=body, headers=headers)
    await cloud.ask("POST", "/compute/v9/things", body=SECRET.encode(), headers=headers)
    await cloud.ask("POST", "/compute/v9/things/5/action", json={SECRET: SECRET})
    await cloud.ask("POST", "/login/tokens", None, json={"right": True, "password": SECRET})
    assert len(await cloud.records()) == 4
    rows = await cloud.db.read(lambda tx: store.page_after(tx, 0))
    assert SECRET not in "".join(row.text for row in rows)


async def test_many_at_once_are_all_there_in_order(cloud: Cloud) -> None:
    await asyncio.gather(*(cloud.ask("DELETE", f"/compute/v9/things/{number}") for number in range(200)))
    records = await cloud.records()
    assert sorted(int(record.target["id"]) for record in records) == list(range(200))
    assert [record.at for record in records] == sorted(record.at for record in records)


class Full:
    """A database that has no room for a while."""

    def __init__(self, db: Database) -> None:
        self._db, self.full, self.read, self.close = db, True, db.read, db.close

    async def write(self, unit: Unit[Any]) -> Any:
        if self.full:
            raise Unavailable("the disk is full")
        return await self._db.write(unit)


async def test_without_room_the_change_is_answered_and_its_record_follows(
    make_sqlite: MakeDatabase, world: RealWorld
) -> None:
    full = Full(await make_sqlite(store.META))
    cloud = Cloud(full, world)
    assert await cloud.ask("DELETE", "/compute/v9/things/1") == 204
    full.full = False
    assert await cloud.ask("DELETE", "/compute/v9/things/2") == 204
    assert [record.target["id"] for record in await cloud.records()] == ["1", "2"]


async def test_a_cloud_that_ends_without_room_says_what_is_missing(
    make_sqlite: MakeDatabase, world: RealWorld, caplog: pytest.LogCaptureFixture
) -> None:
    cloud = Cloud(Full(await make_sqlite(store.META)), world)
    assert await cloud.ask("DELETE", "/compute/v9/things/17") == 204
    await cloud.log.close()
    assert '"target":{"id":"17"}' in caplog.text
