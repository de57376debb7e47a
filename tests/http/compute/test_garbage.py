"""Every operation, under every persona, with everything that it does not expect: never a 500, always our dialect."""

from __future__ import annotations

import re
from typing import Any

import pytest

from kilostack.compute.api.table import api
from kilostack.http.routes import Route
from tests.compute.stand_ins import PORT, host_uuid
from tests.http.cloud import PERSONAS, PROJECT
from tests.http.compute.face import PREFIX, Cloud

_NAMES = ("nothing", "%C3%BC%F0%9F%98%80", "a%2Fb%3Fc", "%00", "-1", "x" * 4000)
_LONG = "x" * 1_000_000
_BODIES: tuple[Any, ...] = ([], "text", 5, {"x": None}, {"server": None}, {"server": {"name": _LONG}}, {_LONG: 1})
_WRONG_JSON = (b"{", b"\xff\xfe", b'{"a": 1e999}', b"[" * 100_000, b"")
#: the keys of all bodies, with values that none of them takes
_NEARLY = ("server", "metadata", "meta", "tags", "keypair", "flavor", "extra_specs", "quota_set", "status", "os-start")


def _routes(cloud: Cloud) -> list[Route]:
    (compute,) = (one for one in api(cloud.parts) if one.prefix == PREFIX)
    return [route for route in compute.routes if "{project_id:uuid}" not in route.path and not route.public]


async def _names(cloud: Cloud) -> dict[str, str]:
    """Path fields that lead somewhere."""
    server_id = await cloud.server(metadata={"key": "v"}, tags=["tag"])
    return {
        "server_id": server_id,
        "key": "key",
        "tag": "tag",
        "network": "private",
        "port_id": PORT,
        "group_id": "g2",
        "request_id": "req-none",
        "flavor_id": "1",
        "name": "k",
        "target_id": PROJECT,
        "hypervisor_id": host_uuid(1),
        "service_id": "44444444-4444-4444-8444-000000000001",
        "alias": "os-keypairs",
    }


def _filled(path: str, names: dict[str, str]) -> str:
    return re.sub(r"{(\w+)}", lambda match: names[match[1]], path)


def _check(answer: Any, what: str) -> None:
    assert answer.status < 500 or answer.status == 501, f"{what}: {answer.status} {answer.body[:300]!r}"
    if answer.status >= 400:
        (element,) = answer.json().values()
        assert element["code"] == answer.status and len(element["message"]) < 1000, f"{what}: {answer.body[:300]!r}"


@pytest.mark.parametrize("token", [*PERSONAS, "nobody"])
async def test_no_persona_meets_an_error_of_ours(cloud: Cloud, token: str) -> None:
    names = await _names(cloud)
    for route in _routes(cloud):
        for version in ("2.1", "2.96"):
            what = f"{token} {version} {route.method} {route.path}"
            _check(await cloud.ask(route.method, _filled(route.path, names), None, token=token, version=version), what)


@pytest.mark.parametrize("name", _NAMES, ids=range(len(_NAMES)))
async def test_ids_that_are_none(cloud: Cloud, name: str) -> None:
    names = await _names(cloud)
    for route in _routes(cloud):
        fields = re.findall(r"{(\w+)}", route.path)
        for field in fields:
            path = _filled(route.path, names | {field: name})
            _check(await cloud.ask(route.method, path, {}, token="admin"), f"{route.method} {route.path} {field}")


@pytest.mark.parametrize("version", ["2.1", "2.53", "2.96"])
async def test_bodies_that_are_none(cloud: Cloud, version: str) -> None:
    names = await _names(cloud)
    headers = {"X-OpenStack-Nova-API-Version": version, "Content-Type": "application/json"}
    nearly = [{key: value} for key in _NEARLY for value in (None, [], {}, "x", {"name": [1]}, {"a": {"b": "c"}})]
    for route in _routes(cloud):
        if route.method not in ("POST", "PUT"):
            continue
        path, what = _filled(route.path, names), f"{route.method} {route.path}"
        for body in (*_BODIES, *nearly):
            answer = await cloud.ask(route.method, path, body, token="admin", version=version)
            _check(answer, f"{what} {str(body)[:60]}")
        for raw in _WRONG_JSON:
            sent = await cloud.http.request(
                route.method, f"/compute/v2.1{path}", token="admin", body=raw, headers=headers
            )
            _check(sent, f"{what} {raw[:20]!r}")


@pytest.mark.parametrize(
    "query", ["limit=%00", "marker=%C3%BC", "sort_key=%00", "name=%5B", "=", "&&&", "a=" + "b" * 9000]
)
async def test_queries_that_are_none(cloud: Cloud, query: str) -> None:
    names = await _names(cloud)
    for route in _routes(cloud):
        if route.method == "GET":
            for version in ("2.1", "2.96"):
                path = f"{_filled(route.path, names)}?{query}"
                _check(await cloud.ask("GET", path, token="admin", version=version), f"{route.path}?{query[:40]}")
