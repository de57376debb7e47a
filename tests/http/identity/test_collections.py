"""Users, projects, roles and the rest: every operation, every persona, and input that makes no sense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.http.cloud import cases, play
from tests.http.identity.conftest import ADMIN, DEMO, IdentityCloud, on_project

_PLURALS = ("domains", "projects", "users", "roles", "regions", "services", "endpoints")
_HUGE = "x" * 1_000_000


async def test_every_operation(cloud: IdentityCloud) -> None:
    kept = {
        "admin": await cloud.admin(),
        "admin_user": await cloud.id_of("users", "admin"),
        "admin_project": await cloud.id_of("projects", "admin"),
    }
    for case in cases(Path(__file__).with_name("collections.yaml")):
        await play(cloud.client, case, kept)


async def _personas(cloud: IdentityCloud) -> dict[str, str]:
    """Tokens of everybody who may be told different things."""
    admin, user = await cloud.admin(), await cloud.id_of("users", "demo")
    tokens = {"admin": admin, "member": await cloud.demo()}
    tokens["system admin"] = (await cloud.log_in("admin", ADMIN, {"system": {"all": True}})).headers["x-subject-token"]
    tokens["unscoped"] = (await cloud.log_in("demo", DEMO)).headers["x-subject-token"]
    for name, path, scope in (
        ("system reader", "/system", {"system": {"all": True}}),
        ("domain reader", "/domains/default", {"domain": {"id": "default"}}),
    ):
        await cloud.ask("PUT", f"{path}/users/{user}/roles/{await cloud.id_of('roles', 'reader')}", admin)
        tokens[name] = (await cloud.log_in("demo", DEMO, scope)).headers["x-subject-token"]
    manager = await cloud.id_of("roles", "manager")
    await cloud.ask("PUT", f"/domains/default/users/{user}/roles/{manager}", admin)
    tokens["domain manager"] = (await cloud.log_in("demo", DEMO, {"domain": {"id": "default"}})).headers[
        "x-subject-token"
    ]
    return tokens


_ALL = {"admin", "system admin", "member", "unscoped", "system reader", "domain reader", "domain manager"}
_ADMINS = {"admin", "system admin"}
_VIEWERS = _ADMINS | {"system reader"}
_IN_DOMAIN = {"domain reader", "domain manager"}
#: (method, path, body, who may)
_MATRIX: list[tuple[str, str, Any, set[str]]] = [
    ("GET", "/users", None, _VIEWERS | _IN_DOMAIN),
    ("GET", "/users/{demo}", None, _ALL),
    ("GET", "/users/{admin_user}", None, _VIEWERS | _IN_DOMAIN),
    ("GET", "/users/{demo}/projects", None, _ALL),
    ("GET", "/users/nothing", None, _VIEWERS),
    ("POST", "/users", {"user": {"name": "n", "domain_id": "default"}}, _ADMINS | {"domain manager"}),
    ("PATCH", "/users/{demo}", {"user": {"description": "d"}}, _ADMINS | {"domain manager"}),
    ("DELETE", "/users/nothing", None, _ADMINS),
    ("GET", "/projects", None, _VIEWERS | _IN_DOMAIN),
    ("GET", "/projects/{project}", None, _VIEWERS | _IN_DOMAIN | {"member"}),
    ("GET", "/projects/{admin_project}", None, _VIEWERS | _IN_DOMAIN | {"admin"}),
    ("POST", "/projects", {"project": {"name": "n", "domain_id": "default"}}, _ADMINS | {"domain manager"}),
    ("PATCH", "/projects/{project}", {"project": {"description": "d"}}, _ADMINS | {"domain manager"}),
    ("GET", "/domains", None, _VIEWERS | _IN_DOMAIN),
    ("GET", "/domains/default", None, _ALL - {"unscoped"}),
    ("POST", "/domains", {"domain": {"name": "n"}}, _ADMINS),
    ("PATCH", "/domains/default", {"domain": {"description": "d"}}, _ADMINS),
    ("GET", "/roles", None, _VIEWERS | {"domain manager"}),
    ("POST", "/roles", {"role": {"name": "n"}}, _ADMINS),
    ("GET", "/regions", None, _ALL),
    ("GET", "/regions/RegionOne", None, _ALL),
    ("POST", "/regions", {"region": {}}, _ADMINS),
    ("GET", "/services", None, _VIEWERS),
    ("POST", "/services", {"service": {"type": "t"}}, _ADMINS),
    ("GET", "/endpoints", None, _VIEWERS),
    ("DELETE", "/endpoints/nothing", None, _ADMINS),
    ("GET", "/role_assignments", None, _VIEWERS | _IN_DOMAIN),
    ("GET", "/projects/{project}/users/{demo}/roles", None, _VIEWERS | _IN_DOMAIN),
    ("PUT", "/projects/{project}/users/{demo}/roles/{reader}", None, _ADMINS | {"domain manager"}),
    ("DELETE", "/projects/{project}/users/{admin_user}/roles/{reader}", None, _ADMINS | {"domain manager"}),
    ("GET", "/system/users/{demo}/roles", None, _VIEWERS),
    ("PUT", "/system/users/{demo}/roles/{reader}", None, _ADMINS),
]


async def test_who_may_what(cloud: IdentityCloud) -> None:
    tokens = await _personas(cloud)
    ids = {
        "demo": await cloud.id_of("users", "demo"),
        "admin_user": await cloud.id_of("users", "admin"),
        "project": await cloud.id_of("projects", "demo"),
        "admin_project": await cloud.id_of("projects", "admin"),
        "reader": await cloud.id_of("roles", "reader"),
    }
    for method, path, body, allowed in _MATRIX:
        for persona, token in tokens.items():
            answer = await cloud.ask(method, path.format(**ids), token, json=body)
            told = f"{persona}: {method} {path} {answer.status} {answer.body[:200]!r}"
            assert (answer.status != 403) is (persona in allowed), told
            assert answer.status < 500, told
        assert (await cloud.ask(method, path.format(**ids), json=body)).status == 401


async def test_a_domains_reader_sees_that_domain_alone(cloud: IdentityCloud) -> None:
    tokens = await _personas(cloud)
    admin = tokens["admin"]
    domain = (await cloud.ask("POST", "/domains", admin, json={"domain": {"name": "d"}})).json()["domain"]["id"]
    await cloud.ask("POST", "/users", admin, json={"user": {"name": "foreign", "domain_id": domain}})
    for query in ("", f"?domain_id={domain}"):
        users = (await cloud.ask("GET", f"/users{query}", tokens["domain reader"])).json()["users"]
        assert "foreign" not in [user["name"] for user in users]
    new = {"user": {"name": "mine", "domain_id": domain}}
    assert (await cloud.ask("POST", "/users", tokens["domain manager"], json=new)).status == 403


@pytest.mark.parametrize("plural", _PLURALS)
async def test_ids_that_make_no_sense(cloud: IdentityCloud, plural: str) -> None:
    admin, demo = await cloud.admin(), await cloud.demo()
    for garbage in ("nothing", "%C3%BC", "a%2Fb", "%3F", "%00", "'", "x" * 5000, "..", "%F0%9F%A6%8A"):
        for method in ("GET", "DELETE", "PATCH"):
            body = {plural[:-1]: {"description": "d"}} if method == "PATCH" else None
            answer = await cloud.ask(method, f"/{plural}/{garbage}", admin, json=body)
            assert answer.status in (400, 403, 404, 405), (method, garbage, answer)
            assert set(answer.json()["error"]) == {"code", "message", "title"}
            assert (await cloud.ask(method, f"/{plural}/{garbage}", demo, json=body)).status in (403, 404, 405)


@pytest.mark.parametrize(
    ("plural", "inner"),
    [
        *(("users", {"name": wrong}) for wrong in (None, 5, "", " ", [], "x" * 256, _HUGE)),
        ("users", {}),
        ("users", {"name": "n", "enabled": "yes"}),
        ("users", {"name": "n", "password": 5}),
        ("users", {"name": "n", "password": "x" * 5000}),
        ("users", {"name": "n", "domain_id": {"id": "default"}}),
        ("users", {"name": "n", "options": {"multi_factor_auth_enabled": "yes"}}),
        ("projects", {"name": "x" * 65}),
        ("projects", {"name": "n", "tags": ["a", "a"]}),
        ("projects", {"name": "n", "tags": ["a,b"]}),
        ("projects", {"name": "n", "is_domain": True, "domain_id": "default"}),
        ("domains", {"name": "n", "options": {"unknown": 1}}),
        ("roles", {"name": "n", "options": {"unknown": True}}),
        ("regions", {"id": 5}),
        ("services", {"name": "n"}),
        ("services", {"type": "t", "enabled": 1}),
        ("endpoints", {"interface": "public", "url": "http://x"}),
    ],
)
async def test_bodies_that_make_no_sense(cloud: IdentityCloud, plural: str, inner: Any) -> None:
    admin = await cloud.admin()
    answer = await cloud.ask("POST", f"/{plural}", admin, json={plural[:-1]: inner})
    assert answer.status in (400, 413)
    assert answer.json()["error"]["code"] == answer.status
    assert len(answer.body) < 1000
    for body in (b"{", b"null", b"[]", b"{}", b'{"x": {}}', b"\xff\xfe"):
        assert (await cloud.ask("POST", f"/{plural}", admin, body=body)).status == 400


async def test_pages(cloud: IdentityCloud) -> None:
    admin = await cloud.admin()
    for at in range(5):
        await cloud.ask("POST", "/projects", admin, json={"project": {"name": f"many-{at}"}})
    seen: list[str] = []
    path = "/projects?limit=3&domain_id=default"
    while path:
        body = (await cloud.ask("GET", path, admin)).json()
        assert len(body["projects"]) <= 3
        seen += [project["name"] for project in body["projects"]]
        following = body["links"]["next"]
        path = following.partition("/identity/v3")[2] if following else ""
    assert seen == ["admin", "demo", *(f"many-{at}" for at in range(5)), "service"]
    for wrong in ("limit=-1", "limit=x"):
        assert (await cloud.ask("GET", f"/projects?{wrong}", admin)).status == 400
    assert (await cloud.ask("GET", "/projects?limit=1&marker=nothing", admin)).status == 404
    assert (await cloud.ask("GET", "/projects?nonsense=1", admin)).status == 200


async def test_what_a_user_may_ask_of_their_own_project(cloud: IdentityCloud) -> None:
    demo, project = await cloud.demo(), await cloud.id_of("projects", "demo")
    shown = (await cloud.ask("GET", f"/projects/{project}", demo)).json()["project"]
    assert shown["name"] == "demo"
    assert (await cloud.log_in("demo", DEMO, on_project("demo"))).status == 201


async def test_paths_that_are_not_here(cloud: IdentityCloud) -> None:
    admin = await cloud.admin()
    for path in ("/nothing", "/users/x/nothing"):
        answer = await cloud.ask("GET", path, admin)
        assert (answer.status, answer.json()["error"]["code"]) == (404, 404)
        assert (await cloud.ask("GET", path)).status == 401
    assert (await cloud.ask("PUT", "/users", admin)).status == 405
