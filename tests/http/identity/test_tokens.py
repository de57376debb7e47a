"""Looking at tokens, ending them, and everything else that ends them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.cloud import Answer
from tests.http.identity.conftest import ADMIN, DEMO, IdentityCloud, on_project, somebody

GARBAGE = ["x", "A" * 9000, "%2F", "AfuCdg227EHyMaJs", "gAAAAABk"]


async def _look(cloud: IdentityCloud, token: str, subject: str | None, method: str = "GET") -> Answer:
    headers = {} if subject is None else {"X-Subject-Token": subject}
    return await cloud.ask(method, "/auth/tokens", token, headers=headers)


async def _works(cloud: IdentityCloud, token: str) -> bool:
    """Asked as every other service asks: through the verifier alone, once what was revoked has come through."""
    async with cloud.world.timeout(5):
        return (await cloud.ask("GET", "/auth/projects", token)).status == 200


async def test_its_bearer_an_admin_and_a_service_may_look(cloud: IdentityCloud) -> None:
    demo, admin = await cloud.demo(), await cloud.admin()
    issued = await cloud.log_in("demo", DEMO, on_project("demo"))
    subject = issued.headers["x-subject-token"]
    for token in (demo, admin):
        shown = await _look(cloud, token, subject)
        assert (shown.status, shown.json()) == (200, issued.json())
        assert shown.headers["x-subject-token"] == subject
        checked = await _look(cloud, token, subject, "HEAD")
        assert (checked.status, checked.body) == (200, b"")
    refused = await _look(cloud, demo, admin)
    assert refused.status == 403
    assert refused.json()["error"]["message"] == (
        "You are not authorized to perform the requested action: identity:validate_token."
    )
    assert (await _look(cloud, demo, admin, "DELETE")).status == 403
    user, project = await cloud.id_of("users", "demo"), await cloud.id_of("projects", "service")
    role = await cloud.id_of("roles", "service")
    await cloud.ask("PUT", f"/projects/{project}/users/{user}/roles/{role}", admin)
    service = await cloud.token("demo", DEMO, "service")
    assert (await _look(cloud, service, admin)).status == 200


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_garbage_is_no_token(cloud: IdentityCloud, garbage: str) -> None:
    admin = await cloud.admin()
    for method in ("GET", "HEAD", "DELETE"):
        assert (await _look(cloud, admin, garbage, method)).status == 404
        assert (await _look(cloud, garbage, admin, method)).status == 401
    assert (await _look(cloud, admin, None)).status == 404


async def test_a_deleted_token_ends_everywhere_and_alone(cloud: IdentityCloud) -> None:
    admin, one, two = await cloud.admin(), await cloud.demo(), await cloud.demo()
    assert (await _look(cloud, one, one, "DELETE")).status == 204
    assert (await _look(cloud, admin, one)).status == 404
    await cloud.ended(one)
    assert await _works(cloud, two)
    body = {"auth": {"identity": {"methods": ["token"], "token": {"id": one}}}}
    assert (await cloud.ask("POST", "/auth/tokens", json=body)).status == 404


async def _disable_user(cloud: IdentityCloud, admin: str) -> None:
    await cloud.ask("PATCH", f"/users/{await cloud.id_of('users', 'demo')}", admin, json={"user": {"enabled": False}})


async def _change_password(cloud: IdentityCloud, admin: str) -> None:
    user = {"user": {"password": "another"}}
    await cloud.ask("PATCH", f"/users/{await cloud.id_of('users', 'demo')}", admin, json=user)


async def _delete_user(cloud: IdentityCloud, admin: str) -> None:
    await cloud.ask("DELETE", f"/users/{await cloud.id_of('users', 'demo')}", admin)


async def _disable_project(cloud: IdentityCloud, admin: str) -> None:
    path = f"/projects/{await cloud.id_of('projects', 'demo')}"
    await cloud.ask("PATCH", path, admin, json={"project": {"enabled": False}})


async def _delete_project(cloud: IdentityCloud, admin: str) -> None:
    await cloud.ask("DELETE", f"/projects/{await cloud.id_of('projects', 'demo')}", admin)


async def _take_role(cloud: IdentityCloud, admin: str) -> None:
    user, project = await cloud.id_of("users", "demo"), await cloud.id_of("projects", "demo")
    for name in ("reader", "member"):
        role = await cloud.id_of("roles", name)
        await cloud.ask("DELETE", f"/projects/{project}/users/{user}/roles/{role}", admin)


@pytest.mark.parametrize(
    "change", [_disable_user, _change_password, _delete_user, _disable_project, _delete_project, _take_role]
)
async def test_what_ends_tokens(cloud: IdentityCloud, change: Any) -> None:
    admin, demo = await cloud.admin(), await cloud.demo()
    assert await _works(cloud, demo)
    await change(cloud, admin)
    assert (await _look(cloud, admin, demo)).status == 404
    await cloud.ended(demo)
    assert await _works(cloud, admin)
    assert (await cloud.log_in("demo", DEMO, on_project("demo"))).status == 401


async def test_what_was_given_back_works_with_new_tokens_only(cloud: IdentityCloud) -> None:
    admin, old = await cloud.admin(), await cloud.demo()
    path = f"/users/{await cloud.id_of('users', 'demo')}"
    for enabled in (False, True):
        await cloud.ask("PATCH", path, admin, json={"user": {"enabled": enabled}})
    new = await cloud.demo()
    await cloud.ended(old)
    assert await _works(cloud, new)
    assert (await _look(cloud, admin, old)).status == 404
    assert (await _look(cloud, admin, new)).status == 200


async def test_a_disabled_domain_ends_its_users_and_projects(cloud: IdentityCloud) -> None:
    admin = await cloud.admin()
    domain = (await cloud.ask("POST", "/domains", admin, json={"domain": {"name": "d"}})).json()["domain"]["id"]
    new = {"user": {"name": "u", "domain_id": domain, "password": "p"}}
    user = (await cloud.ask("POST", "/users", admin, json=new)).json()["user"]["id"]
    project, role = await cloud.id_of("projects", "demo"), await cloud.id_of("roles", "member")
    await cloud.ask("PUT", f"/projects/{project}/users/{user}/roles/{role}", admin)
    identity = {"methods": ["password"], "password": {"user": {"id": user, "password": "p"}}}
    asked = {"auth": {"identity": identity, "scope": {"project": {"id": project}}}}
    token = (await cloud.ask("POST", "/auth/tokens", json=asked)).headers["x-subject-token"]
    assert await _works(cloud, token)
    await cloud.ask("PATCH", f"/domains/{domain}", admin, json={"domain": {"enabled": False}})
    await cloud.ended(token)
    assert (await cloud.ask("POST", "/auth/tokens", json=asked)).status == 401


async def test_a_deleted_role_ends_the_tokens_that_have_it(cloud: IdentityCloud) -> None:
    admin = await cloud.admin()
    role = (await cloud.ask("POST", "/roles", admin, json={"role": {"name": "extra"}})).json()["role"]["id"]
    user, project = await cloud.id_of("users", "demo"), await cloud.id_of("projects", "demo")
    without = await cloud.demo()
    await cloud.ask("PUT", f"/projects/{project}/users/{user}/roles/{role}", admin)
    having = await cloud.demo()
    assert (await cloud.ask("DELETE", f"/roles/{role}", admin)).status == 204
    await cloud.ended(having)
    assert await _works(cloud, without)


async def test_users_change_their_own_password(cloud: IdentityCloud) -> None:
    user, token = await cloud.id_of("users", "demo"), await cloud.demo()
    path = f"/users/{user}/password"

    async def change(old: str, new: str) -> int:
        return (await cloud.ask("POST", path, json={"user": {"original_password": old, "password": new}})).status

    assert await change("wrong", "new") == 401
    assert await change(DEMO, DEMO) == 400
    assert await change(DEMO, "new") == 204
    await cloud.ended(token)
    assert (await cloud.log_in("demo", DEMO)).status == 401
    assert (await cloud.log_in("demo", "new")).status == 201
    body = {"user": {"original_password": "a", "password": "b"}}
    assert (await cloud.ask("POST", "/users/nobody/password", json=body)).status == 401


async def test_what_a_bearer_may_turn_a_token_into(cloud: IdentityCloud) -> None:
    admin, demo = await cloud.admin(), await cloud.demo()
    shown = (await cloud.ask("GET", "/auth/projects", demo)).json()
    assert [project["name"] for project in shown["projects"]] == ["demo"]
    assert set(shown["links"]) == {"self", "previous", "next"}
    assert (await cloud.ask("GET", "/auth/system", admin)).json()["system"] == [{"all": True}]
    assert (await cloud.ask("GET", "/auth/system", demo)).json()["system"] == []
    assert (await cloud.ask("GET", "/auth/domains", demo)).json()["domains"] == []
    unscoped = (await cloud.log_in("demo", DEMO)).headers["x-subject-token"]
    assert (await cloud.ask("GET", "/auth/catalog", unscoped)).status == 403
    assert (await cloud.ask("GET", "/auth/projects", unscoped)).status == 200


async def test_application_credentials(cloud: IdentityCloud) -> None:
    demo, user = await cloud.demo(), await cloud.id_of("users", "demo")
    path = f"/users/{user}/application_credentials"
    new = {"application_credential": {"name": "robot", "roles": [{"name": "reader"}]}}
    made = await cloud.ask("POST", path, demo, json=new)
    assert made.status == 201
    credential = made.json()["application_credential"]
    assert [role["name"] for role in credential["roles"]] == ["reader"]
    secret, credential_id = credential.pop("secret"), credential["id"]
    assert (await cloud.ask("GET", f"{path}/{credential_id}", demo)).json() == {"application_credential": credential}
    listed = (await cloud.ask("GET", path, demo)).json()["application_credentials"]
    assert listed == [credential]
    assert (await cloud.ask("GET", path + "?name=other", demo)).json()["application_credentials"] == []
    assert (await cloud.ask("POST", path, demo, json=new)).status == 409

    by_name = {"name": "robot", "user": {"name": "demo", "domain": {"name": "Default"}}, "secret": secret}
    for shown in ({"id": credential_id, "secret": secret}, by_name):
        answer = await _by_credential(cloud, shown)
        assert answer.status == 201, answer.body
        token = answer.json()["token"]
        assert [role["name"] for role in token["roles"]] == ["reader"]
        assert token["application_credential"] == {"id": credential_id, "name": "robot", "restricted": True}
        assert token["project"]["name"] == "demo"
    for wrong in (
        {"id": credential_id, "secret": "wrong"},
        {"id": "nothing", "secret": secret},
        by_name | {"name": "x"},
    ):
        assert (await _by_credential(cloud, wrong)).status == 401
    assert (await _by_credential(cloud, by_name, on_project("demo"))).status == 401

    robot = answer.headers["x-subject-token"]
    refused = await cloud.ask("POST", path, robot, json={"application_credential": {"name": "child"}})
    assert refused.status == 403
    assert (await cloud.ask("DELETE", f"{path}/{credential_id}", robot)).status == 403
    for scope in ({}, {"scope": on_project("demo")}, {"scope": {"system": {"all": True}}}):
        again = {"auth": {"identity": {"methods": ["token"], "token": {"id": robot}}, **scope}}
        refused = await cloud.ask("POST", "/auth/tokens", json=again)
        assert refused.status == 403
        assert "Using a delegated token to create another token" in refused.json()["error"]["message"]

    assert (await cloud.ask("DELETE", f"{path}/{credential_id}", demo)).status == 204
    await cloud.ended(robot)
    assert (await _by_credential(cloud, by_name)).status == 401
    assert (await cloud.ask("GET", f"{path}/{credential_id}", demo)).status == 404


async def _by_credential(cloud: IdentityCloud, shown: dict[str, Any], scope: Any = None) -> Answer:
    auth = {"identity": {"methods": ["application_credential"], "application_credential": shown}}
    return await cloud.ask("POST", "/auth/tokens", json={"auth": auth if scope is None else auth | {"scope": scope}})


async def test_an_unrestricted_credential_makes_others(cloud: IdentityCloud) -> None:
    demo, user = await cloud.demo(), await cloud.id_of("users", "demo")
    path = f"/users/{user}/application_credentials"
    new = {"application_credential": {"name": "boss", "unrestricted": True, "secret": "s"}}
    credential_id = (await cloud.ask("POST", path, demo, json=new)).json()["application_credential"]["id"]
    boss = (await _by_credential(cloud, {"id": credential_id, "secret": "s"})).headers["x-subject-token"]
    assert (await cloud.ask("POST", path, boss, json={"application_credential": {"name": "child"}})).status == 201


async def test_a_credential_has_no_more_roles_than_what_makes_it(cloud: IdentityCloud) -> None:
    demo, user = await cloud.demo(), await cloud.id_of("users", "demo")
    path = f"/users/{user}/application_credentials"
    few = {"name": "few", "unrestricted": True, "secret": "s", "roles": [{"name": "reader"}]}
    credential_id = (await cloud.ask("POST", path, demo, json={"application_credential": few})).json()[
        "application_credential"
    ]["id"]
    token = (await _by_credential(cloud, {"id": credential_id, "secret": "s"})).headers["x-subject-token"]
    for role, status in (("member", 400), ("reader", 201)):
        child = {"application_credential": {"name": role, "roles": [{"name": role}]}}
        assert (await cloud.ask("POST", path, token, json=child)).status == status
    # a role that the user got after the token was made is theirs to hand on
    manager, project = await cloud.id_of("roles", "manager"), await cloud.id_of("projects", "demo")
    await cloud.ask("PUT", f"/projects/{project}/users/{user}/roles/{manager}", await cloud.admin())
    later = {"application_credential": {"name": "later", "roles": [{"id": manager}]}}
    assert (await cloud.ask("POST", path, demo, json=later)).status == 201


async def test_a_credential_ends_when_it_says(cloud: IdentityCloud) -> None:
    demo, user = await cloud.demo(), await cloud.id_of("users", "demo")
    end = "2020-01-01T00:00:00Z"
    path = f"/users/{user}/application_credentials"
    late = {"application_credential": {"name": "late", "expires_at": end}}
    assert (await cloud.ask("POST", path, demo, json=late)).status == 400
    end = (await _look(cloud, demo, demo)).json()["token"]["expires_at"]
    short = end[:-8] + ".000007Z"
    cloud.world.ahead_s = 600
    new = {"application_credential": {"name": "short", "secret": "s", "expires_at": short}}
    credential_id = (await cloud.ask("POST", path, demo, json=new)).json()["application_credential"]["id"]
    token = (await _by_credential(cloud, {"id": credential_id, "secret": "s"})).json()["token"]
    assert token["expires_at"] == short
    shown = (await cloud.ask("GET", f"{path}/{credential_id}", demo)).json()["application_credential"]
    assert shown["expires_at"] == short.removesuffix("Z")
    cloud.world.ahead_s = 3601
    assert (await _by_credential(cloud, {"id": credential_id, "secret": "s"})).status == 401


async def test_taking_the_role_away_takes_the_credential(cloud: IdentityCloud) -> None:
    demo, user = await cloud.demo(), await cloud.id_of("users", "demo")
    new = {"application_credential": {"name": "robot", "secret": "s"}}
    made = await cloud.ask("POST", f"/users/{user}/application_credentials", demo, json=new)
    shown = {"id": made.json()["application_credential"]["id"], "secret": "s"}
    assert (await _by_credential(cloud, shown)).status == 201
    await _take_role(cloud, await cloud.admin())
    assert (await _by_credential(cloud, shown)).status == 401


async def test_credentials_are_their_users_alone(cloud: IdentityCloud) -> None:
    await somebody(cloud, "other")
    admin, demo, user = await cloud.admin(), await cloud.demo(), await cloud.id_of("users", "demo")
    other = await cloud.id_of("users", "admin")
    new = {"application_credential": {"name": "robot"}}
    path = f"/users/{user}/application_credentials"
    assert (await cloud.ask("POST", path, admin, json=new)).status == 403
    credential_id = (await cloud.ask("POST", path, demo, json=new)).json()["application_credential"]["id"]
    assert (await cloud.ask("GET", f"{path}/{credential_id}", admin)).status == 200
    assert (await cloud.ask("GET", f"/users/{other}/application_credentials", demo)).status == 403
    # whose it is decides, not whose path it was asked by
    for token, status in ((admin, 200), (demo, 200), (await cloud.token("other", "pw", "demo"), 403)):
        answer = await cloud.ask("GET", f"/users/{other}/application_credentials/{credential_id}", token)
        assert answer.status == status
    for wrong in ({"roles": [{"name": "admin"}]}, {"access_rules": [{"path": "/"}]}, {"expires_at": "soon"}, {"x": 1}):
        body = {"application_credential": {"name": "other"} | wrong}
        assert (await cloud.ask("POST", path, demo, json=body)).status == 400, wrong
    assert (await cloud.ask("DELETE", f"{path}/{credential_id}", admin)).status == 204


async def test_logging_in_leaves_no_secret_behind(cloud: IdentityCloud, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    await cloud.log_in("admin", ADMIN, on_project("admin"))
    await cloud.log_in("admin", "wrong-" + ADMIN)
    assert ADMIN not in caplog.text


async def test_a_chain_ends_with_its_first_token(cloud: IdentityCloud) -> None:
    admin = await cloud.admin()

    async def made_from(token: str, project: str) -> str:
        auth = {"identity": {"methods": ["token"], "token": {"id": token}}, "scope": on_project(project)}
        return (await cloud.ask("POST", "/auth/tokens", json={"auth": auth})).headers["x-subject-token"]

    async def holding(*tokens: str) -> list[bool]:
        return [(await _look(cloud, admin, token)).status == 200 for token in tokens]

    first = (await cloud.log_in("demo", DEMO, "unscoped")).headers["x-subject-token"]
    second = await made_from(first, "demo")
    third = await made_from(second, "demo")
    assert (await _look(cloud, admin, second, "DELETE")).status == 204
    assert await holding(first, second, third) == [True, False, True]
    assert (await _look(cloud, admin, first, "DELETE")).status == 204
    assert await holding(first, third) == [False, False]
    await cloud.ended(third)
    first = (await cloud.log_in("demo", DEMO, "unscoped")).headers["x-subject-token"]
    second = await made_from(first, "demo")
    alone = await cloud.ask("DELETE", "/auth/tokens?cascade=false", first, headers={"X-Subject-Token": first})
    assert alone.status == 204
    assert await holding(first, second) == [False, True]


async def test_a_token_for_the_system_stays_there(cloud: IdentityCloud) -> None:
    system = (await cloud.log_in("admin", ADMIN, {"system": {"all": True}})).headers["x-subject-token"]
    identity = {"methods": ["token"], "token": {"id": system}}
    for scope, status in (
        (on_project("admin"), 403),
        ({"domain": {"id": "default"}}, 403),
        ({"system": {"all": True}}, 201),
        ("unscoped", 201),
    ):
        answer = await cloud.ask("POST", "/auth/tokens", json={"auth": {"identity": identity, "scope": scope}})
        assert answer.status == status, scope


async def test_looking_at_no_token(cloud: IdentityCloud) -> None:
    admin, demo = await cloud.admin(), await cloud.demo()
    for method in ("GET", "HEAD", "DELETE"):
        assert (await _look(cloud, demo, None, method)).status == 403
        assert (await _look(cloud, demo, "", method)).status == 404
        assert (await _look(cloud, admin, None, method)).status == 404


async def test_a_list_of_what_was_revoked_is_nobodys(cloud: IdentityCloud) -> None:
    for token in (None, await cloud.admin()):
        assert (await cloud.ask("GET", "/auth/tokens/OS-PKI/revoked", token)).status == 403


async def test_all_tokens_of_a_user_at_once(cloud: IdentityCloud) -> None:
    user, admin = await cloud.id_of("users", "demo"), await cloud.admin()
    for asker in (admin, None):
        one, two = await cloud.demo(), await cloud.demo()
        assert (await cloud.ask("DELETE", f"/users/{user}/tokens", asker or one)).status == 204
        for token in (one, two):
            assert (await _look(cloud, admin, token)).status == 404
            await cloud.ended(token)
    demo = await cloud.demo()
    other = await cloud.id_of("users", "admin")
    for where, asker, status in ((other, demo, 403), ("nobody", demo, 403), ("nobody", admin, 404)):
        assert (await cloud.ask("DELETE", f"/users/{where}/tokens", asker)).status == status


async def test_what_has_ended_may_be_looked_at_a_little_longer(cloud: IdentityCloud) -> None:
    demo = await cloud.demo()
    cloud.world.ahead_s = 3700
    admin = await cloud.admin()
    for method in ("GET", "HEAD"):
        for query, status in (("", 404), ("?allow_expired=1", 200), ("?allow_expired=no", 404)):
            answer = await cloud.ask(method, f"/auth/tokens{query}", admin, headers={"X-Subject-Token": demo})
            assert answer.status == status
