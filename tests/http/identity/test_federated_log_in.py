"""People whom an identity provider vouches for: tokens verified, users made, groups and projects mapped."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from kilostack.drivers.web.memory import MemoryWeb
from tests.http.cloud import Answer
from tests.http.identity.conftest import IdentityCloud
from tests.http.identity.openid import Provider, known

_USER = [{"user": {"name": "{0}"}}]


@pytest.fixture
async def provider(web: MemoryWeb, cloud: IdentityCloud) -> Provider:
    return Provider(web, cloud)


async def _made(cloud: IdentityCloud, admin: str, singular: str, **document: Any) -> str:
    answer = await cloud.ask("POST", f"/{singular}s", admin, json={singular: document})
    assert answer.status == 201, answer.body
    return str(answer.json()[singular]["id"])


async def _on(cloud: IdentityCloud, token: str, project_id: str, method: str = "token") -> Answer:
    identity = {"methods": [method], method: {"id": token}}
    body = {"auth": {"identity": identity, "scope": {"project": {"id": project_id}}}}
    return await cloud.ask("POST", "/auth/tokens", json=body)


async def _scoped(cloud: IdentityCloud, token: str, project_id: str) -> Answer:
    answer = await _on(cloud, token, project_id)
    assert answer.status == 201, answer.body
    return answer


async def test_somebody_new_and_the_same_one_again(cloud: IdentityCloud, provider: Provider) -> None:
    admin = await cloud.admin()
    await known(cloud, admin, local=[{"user": {"name": "{0}", "id": "{1}", "email": "{2}"}}], remote=_NAMED)
    said = {"name": "Alice", "email": "alice@acme.test"}
    answer = await provider.log_in(provider.token(**said))
    assert answer.status == 201, answer.body
    token = answer.json()["token"]
    idp = (await cloud.ask("GET", "/OS-FEDERATION/identity_providers/acme", admin)).json()["identity_provider"]
    user = token["user"]
    assert token["methods"] == ["openid"]
    assert (user["name"], user["domain"]["id"]) == ("Alice", idp["domain_id"])
    assert user["OS-FEDERATION"] == {"groups": [], "identity_provider": {"id": "acme"}, "protocol": {"id": "openid"}}
    assert not {"password_expires_at"} & set(user) and not {"project", "catalog", "roles"} & set(token)
    again = await provider.log_in(provider.token(**(said | {"name": "Alice B.", "email": "b@acme.test"})))
    assert again.json()["token"]["user"]["id"] == user["id"]
    shown = (await cloud.ask("GET", f"/users/{user['id']}", admin)).json()["user"]
    assert (shown["name"], shown["email"]) == ("Alice B.", "b@acme.test")
    assert shown["federated"] == [
        {"idp_id": "acme", "protocols": [{"protocol_id": "openid", "unique_id": "alice"}]},
    ]


_NAMED = [{"type": "name"}, {"type": "sub"}, {"type": "OIDC-email"}]


async def test_two_people_with_one_name(cloud: IdentityCloud, provider: Provider) -> None:
    await known(cloud, await cloud.admin(), local=[{"user": {"name": "Smith", "id": "{0}"}}])
    first = (await provider.log_in(provider.token("one"))).json()["token"]["user"]
    second = (await provider.log_in(provider.token("two"))).json()["token"]["user"]
    assert first["id"] != second["id"] and first["name"] == "Smith" and second["name"].startswith("Smith (")


async def test_without_a_user_in_the_mapping_the_subject_counts(cloud: IdentityCloud, provider: Provider) -> None:
    await known(cloud, await cloud.admin(), local=[{"group": {"name": "none", "domain": {"name": "Default"}}}])
    assert (await provider.log_in(provider.token("a b"))).json()["token"]["user"]["name"] == "a b"


async def test_groups_of_the_mapping_give_roles(cloud: IdentityCloud, provider: Provider) -> None:
    admin, project = await cloud.admin(), await cloud.id_of("projects", "demo")
    group = await _made(cloud, admin, "group", name="staff")
    role = await cloud.id_of("roles", "member")
    await cloud.ask("PUT", f"/projects/{project}/groups/{group}/roles/{role}", admin)
    local = [{"user": {"name": "{0}"}}, {"groups": "{1}", "domain": {"id": "default"}}]
    await known(cloud, admin, local=local, remote=[{"type": "sub"}, {"type": "groups"}])
    first = await provider.log_in(provider.token(groups=["staff", "others"]))
    unscoped = first.headers["x-subject-token"]
    assert first.json()["token"]["user"]["OS-FEDERATION"]["groups"] == [{"id": group}]
    for path in ("/auth/projects", "/OS-FEDERATION/projects"):
        found = (await cloud.ask("GET", path, unscoped)).json()["projects"]
        assert [one["name"] for one in found] == ["demo"]
    for method in ("token", "openid", "mapped"):
        answer = await _on(cloud, unscoped, project, method)
        assert answer.status == 201, answer.body
        token = answer.json()["token"]
        assert {one["name"] for one in token["roles"]} == {"member", "reader"}
        assert token["user"]["OS-FEDERATION"]["identity_provider"] == {"id": "acme"}
        assert method in token["methods"]
        assert token["expires_at"] == first.json()["token"]["expires_at"]
    working = answer.headers["x-subject-token"]
    assert (await cloud.ask("GET", f"/projects/{project}", working)).status == 200
    # who comes back without the group has lost it, and what was made of it
    back = await provider.log_in(provider.token(groups=["others"]))
    assert back.json()["token"]["user"]["OS-FEDERATION"]["groups"] == []
    assert (await cloud.ask("GET", "/auth/tokens", admin, headers={"X-Subject-Token": working})).status == 404
    assert (await _on(cloud, back.headers["x-subject-token"], project)).status == 401


async def test_a_single_group_and_one_spelled_like_a_list(cloud: IdentityCloud, provider: Provider) -> None:
    admin = await cloud.admin()
    admins, staff = (
        await _made(cloud, admin, "group", name="admins"),
        await _made(cloud, admin, "group", name="staff"),
    )
    local = [{"user": {"name": "{0}"}}, {"groups": "{1}", "domain": {"id": "default"}}]
    await known(cloud, admin, local=local, remote=[{"type": "sub"}, {"type": "groups"}])
    for said in ("['admins', 'x']", ["x', 'admins"], "admins;x", 'JSON:{"name":"admins","domain":{"id":"default"}}'):
        answer = await provider.log_in(provider.token(groups=said))
        assert {"id": admins} not in answer.json()["token"]["user"]["OS-FEDERATION"]["groups"], said
    answer = await provider.log_in(provider.token(groups="staff"))
    assert answer.json()["token"]["user"]["OS-FEDERATION"]["groups"] == [{"id": staff}]


async def test_projects_of_the_mapping_are_made(cloud: IdentityCloud, provider: Provider) -> None:
    admin = await cloud.admin()
    projects = [{"name": "{0}'s", "roles": [{"name": "member"}]}]
    await known(cloud, admin, local=[{"user": {"name": "{0}"}, "projects": projects}])
    for _ in range(2):
        unscoped = (await provider.log_in(provider.token())).headers["x-subject-token"]
        (found,) = (await cloud.ask("GET", "/auth/projects", unscoped)).json()["projects"]
        assert found["name"] == "alice's"
        token = (await _scoped(cloud, unscoped, found["id"])).json()["token"]
        assert {role["name"] for role in token["roles"]} == {"member", "reader"}
    # from version 3.0 on what is not mapped any more is taken away
    rule = {"local": [{"user": {"name": "{0}"}, "projects": []}], "remote": [{"type": "sub"}]}
    change = {"mapping": {"rules": [rule], "schema_version": "3.0"}}
    await cloud.ask("PATCH", "/OS-FEDERATION/mappings/rules", admin, json=change)
    unscoped = (await provider.log_in(provider.token())).headers["x-subject-token"]
    assert (await cloud.ask("GET", "/auth/projects", unscoped)).json()["projects"] == []


async def test_projects_that_the_provider_names(cloud: IdentityCloud, provider: Provider) -> None:
    local = [{"user": {"name": "{0}"}, "projects_json": "{1}", "domain": {"name": "Default"}}]
    remote = [{"type": "sub"}, {"type": "projects"}]
    await known(cloud, await cloud.admin(), local=local, remote=remote, version="3.0")
    said = [{"name": "rocket", "roles": [{"name": "reader"}]}, {"name": "demo", "roles": [{"name": "member"}]}]
    unscoped = (await provider.log_in(provider.token(projects=said))).headers["x-subject-token"]
    found = (await cloud.ask("GET", "/auth/projects", unscoped)).json()["projects"]
    assert [(one["name"], one["domain_id"]) for one in found] == [("demo", "default"), ("rocket", "default")]
    for wrong in ("x", [{"name": 5}], [{"name": "n", "roles": [{"name": "r"}], "foo": 1}], {"name": "n"}):
        assert (await provider.log_in(provider.token(projects=wrong))).status == 401


async def test_roles_that_cannot_be_given(cloud: IdentityCloud, provider: Provider) -> None:
    admin = await cloud.admin()
    await _made(cloud, admin, "role", name="theirs", domain_id="default")
    projects = [{"name": "p", "roles": [{"name": "{1}"}]}]
    local = [{"user": {"name": "{0}"}, "projects": projects}]
    await known(cloud, admin, local=local, remote=[{"type": "sub"}, {"type": "role"}])
    assert (await provider.log_in(provider.token(role="nothing"))).status == 404
    assert (await provider.log_in(provider.token(role="theirs"))).status == 403
    assert (await cloud.ask("GET", "/users?name=alice", admin)).json()["users"] == []
    assert (await cloud.ask("GET", "/projects?name=p", admin)).json()["projects"] == []


async def test_one_of_our_own_users(cloud: IdentityCloud, provider: Provider) -> None:
    admin = await cloud.admin()
    local = [{"user": {"name": "{0}", "domain": {"id": "default"}, "type": "local"}}]
    await known(cloud, admin, local=local)
    token = (await provider.log_in(provider.token("demo"))).json()["token"]
    assert token["user"]["id"] == await cloud.id_of("users", "demo")
    assert "OS-FEDERATION" not in token["user"] and token["methods"] == ["openid"]
    assert (await provider.log_in(provider.token("nobody"))).status == 401
    user = await cloud.id_of("users", "demo")
    await cloud.ask("PATCH", f"/users/{user}", admin, json={"user": {"enabled": False}})
    assert (await provider.log_in(provider.token("demo"))).status == 401


async def test_a_user_who_is_known_to_a_provider_beforehand(cloud: IdentityCloud, provider: Provider) -> None:
    admin = await cloud.admin()
    await known(cloud, admin, local=_USER)
    federated = [{"idp_id": "acme", "protocols": [{"protocol_id": "openid", "unique_id": "alice"}]}]
    user = await _made(cloud, admin, "user", name="alice-at-home", federated=federated)
    token = (await provider.log_in(provider.token())).json()["token"]
    assert (token["user"]["id"], token["user"]["name"]) == (user, "alice-at-home")
    await cloud.ask("DELETE", "/OS-FEDERATION/identity_providers/acme", admin)
    assert (await cloud.ask("GET", f"/users/{user}", admin)).status == 200


@pytest.mark.parametrize("ending", ["disabled", "deleted", "protocol", "user", "domain"])
async def test_what_ends_their_tokens(cloud: IdentityCloud, provider: Provider, ending: str) -> None:
    admin, root = await cloud.admin(), "/OS-FEDERATION/identity_providers/acme"
    await known(cloud, admin, local=_USER)
    answer = await provider.log_in(provider.token())
    user, token = answer.json()["token"]["user"], answer.headers["x-subject-token"]
    domain = user["domain"]["id"]
    asked = {
        "disabled": ("PATCH", root, {"identity_provider": {"enabled": False}}, 403),
        "deleted": ("DELETE", root, None, 404),
        "protocol": ("DELETE", root + "/protocols/openid", None, 404),
        "user": ("PATCH", f"/users/{user['id']}", {"user": {"enabled": False}}, 401),
        "domain": ("PATCH", f"/domains/{domain}", {"domain": {"enabled": False}}, 401),
    }
    method, path, body, status = asked[ending]
    assert (await cloud.ask(method, path, admin, json=body)).status < 300
    assert (await cloud.ask("GET", "/auth/tokens", admin, headers={"X-Subject-Token": token})).status == 404
    assert (await provider.log_in(provider.token())).status == status
    if ending in ("disabled", "deleted", "protocol"):
        assert (await _on(cloud, token, "any")).status == status
    gone = (await cloud.ask("GET", f"/users/{user['id']}", admin)).status == 404
    assert gone is (ending in ("deleted", "protocol"))


async def test_without_its_mapping_a_token_leads_nowhere(cloud: IdentityCloud, provider: Provider) -> None:
    admin = await cloud.admin()
    projects = [{"name": "p", "roles": [{"name": "member"}]}]
    await known(cloud, admin, local=[{"user": {"name": "{0}"}, "projects": projects}])
    unscoped = (await provider.log_in(provider.token())).headers["x-subject-token"]
    (project,) = (await cloud.ask("GET", "/auth/projects", unscoped)).json()["projects"]
    await cloud.ask("DELETE", "/OS-FEDERATION/mappings/rules", admin)
    assert (await _on(cloud, unscoped, project["id"])).status == 404


async def test_groups_hold_for_a_while_after_the_visit(cloud: IdentityCloud, provider: Provider) -> None:
    admin, project = await cloud.admin(), await cloud.id_of("projects", "demo")
    group, role = await _made(cloud, admin, "group", name="staff"), await cloud.id_of("roles", "member")
    await cloud.ask("PUT", f"/projects/{project}/groups/{group}/roles/{role}", admin)
    await known(cloud, admin, local=[{"user": {"name": "{0}"}, "group": {"id": group}}])
    change = {"identity_provider": {"authorization_ttl": 30}}
    await cloud.ask("PATCH", "/OS-FEDERATION/identity_providers/acme", admin, json=change)
    unscoped = await provider.log_in(provider.token())
    user = unscoped.json()["token"]["user"]["id"]
    scoped = (await _scoped(cloud, unscoped.headers["x-subject-token"], project)).headers["x-subject-token"]
    wanted = {"application_credential": {"name": "key", "roles": [{"id": role}]}}
    made = await cloud.ask("POST", f"/users/{user}/application_credentials", scoped, json=wanted)
    assert made.status == 201, made.body
    key = made.json()["application_credential"]
    shown = {"id": key["id"], "secret": key["secret"]}
    body = {"auth": {"identity": {"methods": ["application_credential"], "application_credential": shown}}}
    cloud.world.ahead_s += 20 * 60
    answer = await cloud.ask("POST", "/auth/tokens", json=body)
    assert answer.status == 201, answer.body
    made_at, ends = (datetime.fromisoformat(answer.json()["token"][name]) for name in ("issued_at", "expires_at"))
    assert timedelta(0) < ends - made_at <= timedelta(minutes=10)
    cloud.world.ahead_s += 11 * 60
    assert (await cloud.ask("POST", "/auth/tokens", json=body)).status == 401


@pytest.mark.parametrize(
    ("local", "remote"),
    [
        (_USER, [{"type": "nothing"}]),
        (_USER, [{"type": "sub", "any_one_of": ["bob"]}]),
        (_USER, [{"type": "sub", "not_any_of": [".*"], "regex": True}]),
        (_USER, [{"type": "sub", "any_one_of": ["("], "regex": True}]),
        ([], [{"type": "sub"}]),
        ([{"user": {"name": "{7}"}}], [{"type": "sub"}]),
        ([{"user": {"name": "{x}"}}], [{"type": "sub"}]),
        ([{"user": {"name": "{0.__class__}"}}], [{"type": "sub"}]),
        ([{"user": {"name": "{"}}], [{"type": "sub"}]),
        (_USER, [{"type": "sub", "whitelist": []}]),
        ([{"user": {"name": "{0}"}, "group": {"id": "nothing"}}], [{"type": "sub"}]),
        ([{"user": {"name": "{0}"}, "groups": "{0}"}], [{"type": "sub"}]),
        ([{"user": {"name": "{0}", "domain": {"name": "nothing"}}}], [{"type": "sub"}]),
        ([{"user": {"name": "x" * 300}}], [{"type": "sub"}]),
    ],
)
async def test_mappings_that_let_nobody_in(cloud: IdentityCloud, provider: Provider, local: Any, remote: Any) -> None:
    await known(cloud, await cloud.admin(), local=local, remote=remote)
    assert (await provider.log_in(provider.token())).status == 401
