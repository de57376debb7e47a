"""Application credentials that are for some requests only: kept, shown, carried by tokens, and enforced everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kilostack.identity.store.access_rules import ACCESS_RULES
from tests.http.cloud import Answer, cases, play
from tests.http.identity.conftest import ADMIN, DEMO, IdentityCloud, on_project, somebody


async def test_every_operation(cloud: IdentityCloud) -> None:
    admin_user = await cloud.id_of("users", "admin")
    system = await cloud.log_in("admin", ADMIN, {"system": {"all": True}})
    user = await somebody(cloud, "auditor")
    path = f"/system/users/{user}/roles/{await cloud.id_of('roles', 'reader')}"
    assert (await cloud.ask("PUT", path, system.headers["x-subject-token"])).status == 204
    kept = {
        "admin": await cloud.admin(),
        "demo": await cloud.demo(),
        "reader": (await cloud.log_in("auditor", "pw", {"system": {"all": True}})).headers["x-subject-token"],
        "admin_user": admin_user,
        "demo_user": await cloud.id_of("users", "demo"),
    }
    for case in cases(Path(__file__).with_name("access_rules.yaml")):
        await play(cloud.client, case, kept)


async def _restricted(cloud: IdentityCloud, *rules: tuple[str, str], **more: Any) -> Answer:
    """The login by a credential of demo with rules for identity, (method, path) each."""
    demo, user = await cloud.demo(), await cloud.id_of("users", "demo")
    listed = [{"service": "identity", "method": method, "path": path} for method, path in rules]
    body = {"application_credential": {"name": "robot", "secret": "s", "access_rules": listed, **more}}
    made = await cloud.ask("POST", f"/users/{user}/application_credentials", demo, json=body)
    assert made.status == 201, made.body
    shown = {"id": made.json()["application_credential"]["id"], "secret": "s"}
    identity = {"methods": ["application_credential"], "application_credential": shown}
    return await cloud.ask("POST", "/auth/tokens", json={"auth": {"identity": identity}})


async def test_only_what_the_rules_name_is_let_through(cloud: IdentityCloud) -> None:
    user = await cloud.id_of("users", "demo")
    issued = await _restricted(cloud, ("GET", "/v3/users/*"), ("GET", "/v3/auth/**"))
    (rule, _) = issued.json()["token"]["application_credential"]["access_rules"]
    assert sorted(rule) == ["id", "method", "path", "service"]
    token = issued.headers["x-subject-token"]
    for method, path, status in (
        ("GET", f"/users/{user}", 200),
        ("GET", f"/users/{user}/", 200),
        ("GET", "/auth/catalog", 200),
        ("HEAD", f"/users/{user}", 401),
        ("GET", f"/users/{user}/projects", 401),
        ("GET", f"/users/{user}%2Fprojects", 401),
        ("GET", "/regions", 401),
        ("GET", "/nothing", 401),
        ("PATCH", f"/users/{user}", 401),
        ("DELETE", "/auth/tokens", 401),
    ):
        answer = await cloud.ask(method, path, token)
        assert answer.status == status, (method, path, answer.body)
        assert status == 200 or answer.headers["www-authenticate"].startswith("Keystone uri=")


async def test_what_a_token_says_may_always_be_looked_at(cloud: IdentityCloud) -> None:
    token = (await _restricted(cloud, ("GET", "/v3/nothing"))).headers["x-subject-token"]
    seen = await cloud.ask("GET", "/auth/tokens", token, headers={"X-Subject-Token": token})
    assert seen.status == 200
    assert len(seen.json()["token"]["application_credential"]["access_rules"]) == 1


async def test_a_service_goes_on_with_what_it_was_asked(cloud: IdentityCloud) -> None:
    token = (await _restricted(cloud, ("GET", "/v3/nothing"))).headers["x-subject-token"]
    admin, user = await cloud.admin(), await somebody(cloud, "nova")
    role = (await cloud.ask("POST", "/roles", admin, json={"role": {"name": "service"}})).json().get("role")
    role_id = role["id"] if role else await cloud.id_of("roles", "service")
    project = await cloud.id_of("projects", "demo")
    assert (await cloud.ask("PUT", f"/projects/{project}/users/{user}/roles/{role_id}", admin)).status == 204
    service = await cloud.token("nova", "pw", "demo")
    path = f"/users/{await cloud.id_of('users', 'demo')}"
    assert (await cloud.ask("GET", path, token, headers={"X-Service-Token": service})).status == 200
    assert (await cloud.ask("GET", path, token, headers={"X-Service-Token": await cloud.demo()})).status == 401
    assert (await cloud.ask("GET", path, token, headers={"X-Service-Token": "garbage"})).status == 401


async def test_rules_have_to_fit_into_a_token(cloud: IdentityCloud) -> None:
    rules = [("GET", f"/v3/users/{number:0>150}") for number in range(15)]
    issued = await _restricted(cloud, *rules)
    assert issued.status == 201
    assert (await cloud.ask("GET", "/users/" + "0" * 149 + "7", issued.headers["x-subject-token"])).status == 403
    demo, user = await cloud.demo(), await cloud.id_of("users", "demo")
    listed = [{"service": "identity", "method": "GET", "path": f"/{number:0>200}"} for number in range(30)]
    body = {"application_credential": {"name": "greedy", "access_rules": listed}}
    answer = await cloud.ask("POST", f"/users/{user}/application_credentials", demo, json=body)
    assert answer.status == 400
    assert "access rules" in answer.json()["error"]["message"]


async def test_rules_go_with_their_user(cloud: IdentityCloud) -> None:
    user = await somebody(cloud, "other")
    token = await cloud.token("other", "pw", "demo")
    listed = [{"service": "compute", "method": "GET", "path": "/**"}]
    body = {"application_credential": {"name": "a", "access_rules": listed}}
    assert (await cloud.ask("POST", f"/users/{user}/application_credentials", token, json=body)).status == 201
    assert (await cloud.ask("DELETE", f"/users/{user}", await cloud.admin())).status == 204
    assert await cloud.db.read(lambda tx: ACCESS_RULES.where(tx, user_id=user)) == []


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 400),
        ({"name": 5}, 400),
        ({"name": " "}, 400),
        ({"name": "n", "expires_at": "2001"}, 400),
        ({"name": "n", "expires_at": "2001-01-01T00:00:00Z"}, 400),
        ({"name": "n", "expires_at": "2031-01-01T00:00:00+02:00"}, 400),
        ({"name": "n", "expires_at": "2031-01-01"}, 400),
        ({"name": "n", "expires_at": "9999-12-31T23:59:59Z"}, 201),
        ({"name": "n", "expires_at": "2031-01-01T00:00:00"}, 201),
        ({"name": "n", "project_id": "another"}, 201),
        ({"name": "n", "id": "mine"}, 201),
        ({"name": "n", "roles": []}, 201),
        ({"name": "n", "roles": [{}]}, 400),
        ({"name": "n", "roles": [{"id": "nothing"}]}, 400),
        ({"name": "n", "roles": [{"name": "nothing"}]}, 404),
        ({"name": "n", "roles": [{"name": "admin"}]}, 400),
        ({"name": "n", "roles": [{"id": "x", "name": "y"}]}, 400),
        ({"name": "n", "unrestricted": "yes"}, 400),
        ({"name": "n", "secret": ""}, 201),
        ({"name": "n", "secret": None}, 201),
        ({"name": "n", "color": "red"}, 400),
    ],
)
async def test_what_a_credential_may_be(cloud: IdentityCloud, fields: dict[str, Any], status: int) -> None:
    path = f"/users/{await cloud.id_of('users', 'demo')}/application_credentials"
    answer = await cloud.ask("POST", path, await cloud.demo(), json={"application_credential": fields})
    assert answer.status == status, answer.body
    if status == 201:
        made = answer.json()["application_credential"]
        assert made["id"] != "mine"
        assert made["project_id"] == await cloud.id_of("projects", "demo")
        assert made["secret"]


async def test_a_role_is_shown_whole_with_what_it_implies(cloud: IdentityCloud) -> None:
    path = f"/users/{await cloud.id_of('users', 'demo')}/application_credentials"
    body = {"application_credential": {"name": "n", "roles": [{"name": "member"}]}}
    made = (await cloud.ask("POST", path, await cloud.demo(), json=body)).json()["application_credential"]
    assert [role["name"] for role in made["roles"]] == ["member", "reader"]
    assert sorted(made["roles"][0]) == ["description", "domain_id", "id", "name", "options"]


async def test_a_disabled_owner_or_project_stops_the_credential(cloud: IdentityCloud) -> None:
    issued = await _restricted(cloud, ("GET", "/v3/auth/**"))
    token, admin = issued.headers["x-subject-token"], await cloud.admin()
    shown = issued.json()["token"]
    credential = {"id": shown["application_credential"]["id"], "secret": "s"}
    identity = {"methods": ["application_credential"], "application_credential": credential}
    for path, key in ((f"/users/{shown['user']['id']}", "user"), (f"/projects/{shown['project']['id']}", "project")):
        for enabled, status in ((False, 401), (True, 201)):
            changed = await cloud.ask("PATCH", path, admin, json={key: {"enabled": enabled}})
            assert changed.status == 200, changed.body
            again = await cloud.ask("POST", "/auth/tokens", json={"auth": {"identity": identity}})
            assert again.status == status
        await cloud.ended(token)
        token = again.headers["x-subject-token"]
        assert (await cloud.ask("GET", "/auth/projects", token)).status == 200
    assert (await cloud.log_in("demo", DEMO, on_project("demo"))).status == 201
