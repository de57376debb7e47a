"""Identity providers, protocols, mappings and service providers over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.http.cloud import cases, play
from tests.http.identity.conftest import ADMIN, DEMO, IdentityCloud

_RULES = {"rules": [{"local": [], "remote": [{"type": "sub"}]}]}


async def test_every_operation(cloud: IdentityCloud) -> None:
    kept = {"admin": await cloud.admin()}
    for case in cases(Path(__file__).with_name("federation.yaml")):
        await play(cloud.client, case, kept)


#: (method, path, body, who may)
_ADMINS = {"admin", "system admin"}
_VIEWERS = _ADMINS | {"system reader"}
_MATRIX: list[tuple[str, str, Any, set[str]]] = [
    ("GET", "/identity_providers", None, _VIEWERS),
    ("GET", "/identity_providers/idp", None, _VIEWERS),
    ("GET", "/identity_providers/nothing", None, _VIEWERS),
    ("PUT", "/identity_providers/other", {"identity_provider": {}}, _ADMINS),
    ("PATCH", "/identity_providers/idp", {"identity_provider": {"description": "d"}}, _ADMINS),
    ("DELETE", "/identity_providers/nothing", None, _ADMINS),
    ("GET", "/identity_providers/idp/protocols", None, _VIEWERS),
    ("GET", "/identity_providers/idp/protocols/nothing", None, _VIEWERS),
    ("PUT", "/identity_providers/idp/protocols/openid", {"protocol": {"mapping_id": "map"}}, _ADMINS),
    ("PATCH", "/identity_providers/idp/protocols/openid", {"protocol": {"mapping_id": "map"}}, _ADMINS),
    ("DELETE", "/identity_providers/idp/protocols/nothing", None, _ADMINS),
    ("GET", "/mappings", None, _VIEWERS),
    ("GET", "/mappings/map", None, _VIEWERS),
    ("PUT", "/mappings/other", {"mapping": _RULES}, _ADMINS),
    ("PATCH", "/mappings/map", {"mapping": _RULES}, _ADMINS),
    ("DELETE", "/mappings/nothing", None, _ADMINS),
    ("GET", "/service_providers", None, _VIEWERS),
    ("GET", "/service_providers/nothing", None, _VIEWERS),
    ("PUT", "/service_providers/sp", {"service_provider": {"auth_url": "http://a", "sp_url": "http://b"}}, _ADMINS),
    ("PATCH", "/service_providers/sp", {"service_provider": {"enabled": False}}, _ADMINS),
    ("DELETE", "/service_providers/nothing", None, _ADMINS),
]


async def _personas(cloud: IdentityCloud) -> dict[str, str]:
    admin, user = await cloud.admin(), await cloud.id_of("users", "demo")
    tokens = {"admin": admin, "member": await cloud.demo()}
    tokens["system admin"] = (await cloud.log_in("admin", ADMIN, {"system": {"all": True}})).headers["x-subject-token"]
    tokens["unscoped"] = (await cloud.log_in("demo", DEMO)).headers["x-subject-token"]
    for name, path, role, scope in (
        ("system reader", "/system", "reader", {"system": {"all": True}}),
        ("domain manager", "/domains/default", "manager", {"domain": {"id": "default"}}),
    ):
        await cloud.ask("PUT", f"{path}/users/{user}/roles/{await cloud.id_of('roles', role)}", admin)
        tokens[name] = (await cloud.log_in("demo", DEMO, scope)).headers["x-subject-token"]
    me = await cloud.id_of("users", "admin")
    await cloud.ask("PUT", f"/domains/default/users/{me}/roles/{await cloud.id_of('roles', 'admin')}", admin)
    scoped = await cloud.log_in("admin", ADMIN, {"domain": {"id": "default"}})
    tokens["domain admin"] = scoped.headers["x-subject-token"]
    return tokens


async def test_who_may_what(cloud: IdentityCloud) -> None:
    tokens = await _personas(cloud)
    root = "/OS-FEDERATION"
    await cloud.ask("PUT", f"{root}/identity_providers/idp", tokens["admin"], json={"identity_provider": {}})
    await cloud.ask("PUT", f"{root}/mappings/map", tokens["admin"], json={"mapping": _RULES})
    for method, path, body, allowed in _MATRIX:
        for persona, token in tokens.items():
            answer = await cloud.ask(method, root + path, token, json=body)
            told = f"{persona}: {method} {path} {answer.status} {answer.body[:200]!r}"
            assert (answer.status != 403) is (persona in allowed), told
            assert answer.status < 500, told
        assert (await cloud.ask(method, root + path, json=body)).status == 401


@pytest.mark.parametrize("plural", ["identity_providers", "mappings", "service_providers"])
async def test_ids_that_make_no_sense(cloud: IdentityCloud, plural: str) -> None:
    admin, singular = await cloud.admin(), plural[:-1]
    bodies = {
        "PUT": {"identity_provider": {}, "mapping": _RULES, "service_provider": {"auth_url": "a:b", "sp_url": "a:b"}},
        "PATCH": {"identity_provider": {"enabled": True}, "mapping": _RULES, "service_provider": {"enabled": True}},
    }
    for garbage in ("nothing", "%C3%BC", "a%2Fb", "%3F", "%00", "'", "x" * 5000, "..", "%F0%9F%A6%8A"):
        for method in ("GET", "DELETE", "PATCH", "PUT"):
            body = {singular: bodies[method][singular]} if method in bodies else None
            answer = await cloud.ask(method, f"/OS-FEDERATION/{plural}/{garbage}", admin, json=body)
            assert answer.status < 500, (method, garbage, answer)


@pytest.mark.parametrize(
    ("path", "singular", "inner"),
    [
        *(
            ("identity_providers/x", "identity_provider", {name: wrong})
            for name in ("enabled", "description", "remote_ids", "authorization_ttl", "domain_id")
            for wrong in (5.5, {}, [[]], "x" * 70_000)
        ),
        ("identity_providers/x", "identity_provider", {"authorization_ttl": 2**64}),
        ("identity_providers/x", "identity_provider", []),
        ("mappings/x", "mapping", []),
        ("mappings/x", "mapping", None),
        ("mappings/x", "mapping", {"rules": "x"}),
        ("mappings/x", "mapping", {"rules": [{}]}),
        ("mappings/x", "mapping", {"rules": [{"local": {}, "remote": []}]}),
        ("mappings/x", "mapping", {"rules": [{"local": [], "remote": [{"type": 5}]}]}),
        ("mappings/x", "mapping", {"rules": [{"local": [{"user": {"type": "x"}}], "remote": [{"type": "a"}]}]}),
        ("mappings/x", "mapping", {**_RULES, "schema_version": 2}),
        ("identity_providers/x/protocols/y", "protocol", {"mapping_id": None}),
        ("identity_providers/x/protocols/y", "protocol", {"mapping_id": "m", "foo": 1}),
        ("service_providers/x", "service_provider", {"auth_url": 5, "sp_url": "a:b"}),
        ("service_providers/x", "service_provider", {"auth_url": "a:" + "b" * 300, "sp_url": "a:b"}),
    ],
)
async def test_bodies_that_make_no_sense(cloud: IdentityCloud, path: str, singular: str, inner: Any) -> None:
    admin = await cloud.admin()
    answer = await cloud.ask("PUT", f"/OS-FEDERATION/{path}", admin, json={singular: inner})
    assert answer.status == 400, answer
    for body in (b"{", b"null", b"[]", b'{"x": {}}', b"\xff\xfe"):
        assert (await cloud.ask("PUT", f"/OS-FEDERATION/{path}", admin, body=body)).status == 400
