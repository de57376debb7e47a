"""Every way to log in, every scope, and every way not to get in."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kilostack.core.secret import Secret
from kilostack.core.vault import Vault
from kilostack.identity.app.passwords import Passwords
from kilostack.identity.app.settings import IdentitySettings
from kilostack.identity.store import tokens
from tests.http.cloud import ROOT
from tests.http.identity.conftest import ADMIN, DEMO, IdentityCloud, on_project

_AGAIN = "The request you have made requires authentication."
_REJECTED = {"error": {"code": 401, "message": _AGAIN, "title": "Unauthorized"}}


async def test_the_answer_has_what_clients_read(cloud: IdentityCloud) -> None:
    answer = await cloud.log_in("demo", DEMO, on_project("demo"))
    assert (answer.status, answer.headers["vary"]) == (201, "X-Auth-Token")
    token = answer.json()["token"]
    assert set(token) == {
        *("methods", "user", "audit_ids", "expires_at", "issued_at", "project", "is_domain", "roles", "catalog")
    }
    assert token["methods"] == ["password"]
    assert token["user"]["domain"] == token["project"]["domain"] == {"id": "default", "name": "Default"}
    assert (token["user"]["name"], token["project"]["name"], token["user"]["password_expires_at"]) == (
        *("demo", "demo"),
        None,
    )
    assert [role["name"] for role in token["roles"]] == ["member", "reader"]
    assert [service["type"] for service in token["catalog"]] == ["compute", "identity", "network"]
    (compute, *_) = token["catalog"]
    assert set(compute) == {"id", "type", "name", "endpoints"}
    assert [endpoint["interface"] for endpoint in compute["endpoints"]] == ["public", "internal", "admin"]
    assert compute["endpoints"][0] == {
        "id": compute["endpoints"][0]["id"],
        "interface": "public",
        "region": "RegionOne",
        "region_id": "RegionOne",
        "url": f"{ROOT}/compute/v2.1",
    }
    assert token["expires_at"].endswith("Z") and len(token["expires_at"]) == len("2030-01-01T00:00:00.000000Z")


async def test_the_catalog_is_left_out_when_asked(cloud: IdentityCloud) -> None:
    token = await cloud.demo()
    answer = await cloud.ask("GET", "/auth/tokens?nocatalog", token, headers={"X-Subject-Token": token})
    assert answer.status == 200
    assert "catalog" not in answer.json()["token"]


async def test_the_catalog_follows_how_the_client_came(cloud: IdentityCloud) -> None:
    answer = await cloud.ask(
        "GET", "/auth/catalog", await cloud.demo(), headers={"X-Forwarded-Proto": "https", "X-Forwarded-Host": "a.b"}
    )
    urls = [endpoint["url"] for service in answer.json()["catalog"] for endpoint in service["endpoints"]]
    assert urls and all(url.startswith("https://a.b/") for url in urls)


class TestAtAPublicUrl:
    @pytest.fixture
    def settings(self) -> IdentitySettings:
        return IdentitySettings(public_url="https://cloud.example")

    async def test_the_catalog_names_it_whatever_the_client_says(self, cloud: IdentityCloud) -> None:
        token = await cloud.admin()
        answer = await cloud.ask("GET", "/auth/catalog", token, headers={"X-Forwarded-Host": "evil.example"})
        listed = await cloud.ask("GET", "/endpoints", token)
        urls = [endpoint["url"] for service in answer.json()["catalog"] for endpoint in service["endpoints"]]
        urls += [endpoint["url"] for endpoint in listed.json()["endpoints"]]
        assert all(url.startswith("https://cloud.example/") for url in urls)


@pytest.mark.parametrize(
    ("scope", "has"),
    [
        ({"project": {"name": "admin", "domain": {"id": "default"}}}, "project"),
        ({"project": {"name": "admin", "domain": {"name": "Default"}}}, "project"),
        ({"system": {"all": True}}, "system"),
        ("unscoped", None),
        ({"unscoped": {}}, None),
        (None, None),
    ],
)
async def test_scopes(cloud: IdentityCloud, scope: Any, has: str | None) -> None:
    answer = await cloud.log_in("admin", ADMIN, scope)
    token = answer.json()["token"]
    assert {"project", "domain", "system"} & set(token) == ({has} if has else set())
    assert ("roles" in token) is ("catalog" in token) is (has is not None)
    if has:
        assert [role["name"] for role in token["roles"]] == ["admin", "manager", "member", "reader"]


async def test_domain_scope(cloud: IdentityCloud) -> None:
    admin = await cloud.admin()
    user, role = await cloud.id_of("users", "demo"), await cloud.id_of("roles", "reader")
    assert (await cloud.log_in("demo", DEMO, {"domain": {"id": "default"}})).status == 401
    assert (await cloud.ask("PUT", f"/domains/default/users/{user}/roles/{role}", admin)).status == 204
    for scope in ({"domain": {"id": "default"}}, {"domain": {"name": "Default"}}):
        token = (await cloud.log_in("demo", DEMO, scope)).json()["token"]
        assert token["domain"] == {"id": "default", "name": "Default"}
        assert "project" not in token


async def test_the_default_project_is_taken_when_nothing_is_asked(cloud: IdentityCloud) -> None:
    admin, user = await cloud.admin(), await cloud.id_of("users", "demo")
    for project, scoped in (("demo", True), ("admin", False)):
        project_id = await cloud.id_of("projects", project)
        await cloud.ask("PATCH", f"/users/{user}", admin, json={"user": {"default_project_id": project_id}})
        token = (await cloud.log_in("demo", DEMO)).json()["token"]
        assert ("project" in token) is scoped, project
        assert "project" not in (await cloud.log_in("demo", DEMO, "unscoped")).json()["token"]


@pytest.mark.parametrize(
    "scope",
    [
        on_project("admin"),
        on_project("nothing"),
        {"project": {"id": "nothing"}},
        {"project": {"id": "ü" * 300}},
        {"project": {"name": "demo", "domain": {"id": "nowhere"}}},
        {"domain": {"id": "nowhere"}},
        {"system": {"all": True}},
    ],
)
async def test_a_scope_without_a_role_is_the_same_as_a_wrong_password(cloud: IdentityCloud, scope: Any) -> None:
    answer = await cloud.log_in("demo", DEMO, scope)
    assert (answer.status, answer.json()) == (401, _REJECTED)
    assert answer.headers["www-authenticate"] == f'Keystone uri="{ROOT}/identity"'


@pytest.mark.parametrize(
    ("user", "password"),
    [("demo", "wrong"), ("demo", ""), ("nobody", DEMO), ("nobody", ""), ("Ü/?%2F", "ü"), ("n" * 300_000, "x" * 10_000)],
)
async def test_who_is_wrong_and_who_is_unknown_learn_the_same(cloud: IdentityCloud, user: str, password: str) -> None:
    answer = await cloud.log_in(user, password)
    assert (answer.status, answer.json()) == (401, _REJECTED)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("{", "JSON"),
        ("[]", "auth"),
        ("{}", "auth"),
        ('{"auth": null}', "auth"),
        ('{"auth": {}}', "identity"),
        ('{"auth": {"identity": {}}}', "methods"),
        ('{"auth": {"identity": {"methods": "password"}}}', "methods"),
        ('{"auth": {"identity": {"methods": [1]}}}', "string"),
        ('{"auth": {"identity": {"methods": ["nothing"]}}}', "nothing"),
        ('{"auth": {"identity": {"methods": ["password"]}}}', "password"),
        ('{"auth": {"identity": {"methods": ["token"], "token": {"id": 5}}}}', "string"),
        ('{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "demo"}}}}}', "password"),
        ('{"auth": {"identity": {"methods": ["password"], "password": {"user": {"password": "x"}}}}}', "id or name"),
        (
            '{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "u", "password": "x"}}}}}',
            "domain",
        ),
        (
            '{"auth": {"identity": {"methods": ["application_credential"],'
            ' "application_credential": {"secret": "x"}}}}',
            "id, or name",
        ),
        ('{"auth": {"identity": {"methods": ["token"], "token": {"id": "x"}}, "scope": "nothing"}}', "scope"),
        (
            '{"auth": {"identity": {"methods": ["token"], "token": {"id": "x"}},'
            ' "scope": {"project": {"id": "1"}, "system": {"all": true}}}}',
            "OS-TRUST:trust",
        ),
        (
            '{"auth": {"identity": {"methods": ["token"], "token": {"id": "x"}}, "scope": {"project": {}}}}',
            "id or name",
        ),
    ],
)
async def test_a_broken_request_is_told_where(cloud: IdentityCloud, body: str, names: str) -> None:
    answer = await cloud.ask("POST", "/auth/tokens", body=body.encode())
    assert answer.status == 400, answer.body
    assert names in answer.json()["error"]["message"]
    assert answer.json()["error"]["title"] == "Bad Request"


async def test_methods_that_are_not_here_are_refused(cloud: IdentityCloud) -> None:
    body = {"auth": {"identity": {"methods": ["nothing"], "nothing": {}}}}
    answer = await cloud.ask("POST", "/auth/tokens", json=body)
    assert answer.status == 401
    assert answer.json()["error"]["message"] == "Attempted to authenticate with an unsupported method."


async def test_who_shows_nothing_is_nobody(cloud: IdentityCloud) -> None:
    answer = await cloud.ask("POST", "/auth/tokens", json={"auth": {"identity": {"methods": []}}})
    assert (answer.status, answer.json()) == (401, _REJECTED)


@pytest.mark.parametrize("scope", [{"system": {}}, {"system": {"all": False}}, {"system": {"all": True}, "more": 1}])
async def test_there_is_one_system(cloud: IdentityCloud, scope: Any) -> None:
    assert (await cloud.log_in("admin", ADMIN, scope)).json()["token"]["system"] == {"all": True}


@pytest.mark.parametrize("scope", ["unscoped", {"unscoped": {}}, {"unscoped": None}])
async def test_no_scope_at_all(cloud: IdentityCloud, scope: Any) -> None:
    token = (await cloud.log_in("demo", DEMO, scope)).json()["token"]
    assert set(token) == {"methods", "user", "audit_ids", "expires_at", "issued_at"}


async def test_a_token_makes_another_that_ends_no_later(cloud: IdentityCloud) -> None:
    first = await cloud.log_in("admin", ADMIN, on_project("admin"))
    cloud.world.ahead_s = 60
    body = {
        "auth": {
            "identity": {"methods": ["token"], "token": {"id": first.headers["x-subject-token"]}},
            "scope": {"system": {"all": True}},
        }
    }
    second = await cloud.ask("POST", "/auth/tokens", json=body)
    old, new = first.json()["token"], second.json()["token"]
    assert new["system"] == {"all": True}
    assert new["methods"] == ["token", "password"]
    assert new["expires_at"] == old["expires_at"]
    assert (len(new["audit_ids"]), new["audit_ids"][1]) == (2, old["audit_ids"][0])
    body["auth"]["identity"]["token"]["id"] = second.headers["x-subject-token"]
    third = (await cloud.ask("POST", "/auth/tokens", json=body)).json()["token"]
    assert third["audit_ids"][1] == old["audit_ids"][0]


async def test_two_methods_must_show_the_same_user(cloud: IdentityCloud) -> None:
    token = await cloud.demo()
    for user, password, status in (("demo", DEMO, 201), ("admin", ADMIN, 401)):
        identity = {
            "methods": ["password", "token"],
            "password": {"user": {"name": user, "domain": {"id": "default"}, "password": password}},
            "token": {"id": token},
        }
        answer = await cloud.ask("POST", "/auth/tokens", json={"auth": {"identity": identity}})
        assert answer.status == status


async def test_tokens_end(cloud: IdentityCloud) -> None:
    token = await cloud.demo()
    cloud.world.ahead_s = 3599
    assert (await cloud.ask("GET", "/auth/projects", token)).status == 200
    cloud.world.ahead_s = 3601
    assert (await cloud.ask("GET", "/auth/projects", token)).json() == _REJECTED
    body = {"auth": {"identity": {"methods": ["token"], "token": {"id": token}}}}
    assert (await cloud.ask("POST", "/auth/tokens", json=body)).status == 404
    admin, subject = await cloud.admin(), {"X-Subject-Token": token}
    assert (await cloud.ask("GET", "/auth/tokens", admin, headers=subject)).status == 404
    assert (await cloud.ask("GET", "/auth/tokens?allow_expired=1", admin, headers=subject)).status == 200
    cloud.world.ahead_s += 3 * 24 * 3600
    admin = await cloud.admin()
    assert (await cloud.ask("GET", "/auth/tokens?allow_expired=1", admin, headers=subject)).status == 404


async def test_guessing_is_slowed_for_one_user_at_one_address(cloud: IdentityCloud) -> None:
    for _ in range(10):
        assert (await cloud.log_in("demo", "wrong")).status == 401
    answer = await cloud.log_in("demo", DEMO)
    assert answer.status == 429
    assert 0 < int(answer.headers["retry-after"]) <= 61
    assert (await cloud.log_in("admin", ADMIN)).status == 201
    cloud.world.passed_s = cloud.world.ahead_s = 61
    assert (await cloud.log_in("demo", DEMO)).status == 201


async def test_guesses_at_once_are_no_way_around(cloud: IdentityCloud) -> None:
    answers = await asyncio.gather(*(cloud.log_in("demo", f"guess {at}") for at in range(30)))
    looked_at = [answer for answer in answers if answer.status == 401]
    # two are looked at together, so one may begin before the tenth has failed
    assert 10 <= len(looked_at) <= 11
    assert {answer.status for answer in answers} == {401, 429}


async def test_right_ones_at_once_all_get_in(cloud: IdentityCloud) -> None:
    answers = await asyncio.gather(*(cloud.log_in("demo", DEMO) for _ in range(15)))
    assert {answer.status for answer in answers} == {201}


async def test_a_right_password_forgets_the_wrong_ones(cloud: IdentityCloud) -> None:
    for _ in range(3):
        for _ in range(9):
            assert (await cloud.log_in("demo", "wrong")).status == 401
        # the account was locked, too, and that is another matter
        cloud.world.ahead_s += 6
        assert (await cloud.log_in("demo", DEMO)).status == 201


async def test_the_signing_key_is_kept_sealed(cloud: IdentityCloud) -> None:
    key = await cloud.db.read(tokens.newest_key)
    assert key is not None
    seed = Vault(b"m" * 32).open("identity signing key", key.private_sealed)
    assert len(seed) == 32
    assert seed.hex() not in key.private_sealed


async def test_a_hash_that_a_client_brings_is_no_password(cloud: IdentityCloud) -> None:
    admin = await cloud.admin()
    known = await Passwords(cloud.world, lambda size: b"s" * size).hashed(Secret("known"))
    made = await cloud.ask("POST", "/users", admin, json={"user": {"name": "sly", "password_hash": known}})
    assert made.status == 201
    path = f"/users/{made.json()['user']['id']}"
    assert (await cloud.ask("PATCH", path, admin, json={"user": {"password_hash": known}})).status == 200
    assert (await cloud.log_in("sly", "known")).status == 401


@pytest.mark.parametrize("method", ["password", "totp", "application_credential"])
async def test_other_names_of_the_same_are_no_way_around(cloud: IdentityCloud, method: str) -> None:
    demo, user = await cloud.demo(), await cloud.id_of("users", "demo")
    made = {"application_credential": {"name": "robot", "secret": "s"}}
    answer = await cloud.ask("POST", f"/users/{user}/application_credentials", demo, json=made)
    credential = answer.json()["application_credential"]["id"]
    # where a domain has a name and an id, the name counts
    users = [{"name": "demo", "domain": {"name": "Default", "id": f"any {at}"}} for at in range(8)]
    users += [{"id": user}, {"name": "demo", "domain": {"id": "default"}}, {"id": user}, {"id": user}]
    secret = {"password": {"password": "wrong"}, "totp": {"passcode": "000000"}}.get(method)
    parts: list[Any] = [{"user": one | secret} for one in users] if secret else []
    if not parts:
        parts = [{"name": "robot", "user": one, "secret": "wrong"} for one in users[:-1]]
        parts.append({"id": credential, "secret": "wrong"})
    found = []
    for part in parts:
        body = {"auth": {"identity": {"methods": [method], method: part}}}
        found.append((await cloud.ask("POST", "/auth/tokens", json=body)).status)
    assert found == [401] * 10 + [429] * 2
