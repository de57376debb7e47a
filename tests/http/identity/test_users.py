"""Users and groups: every operation, who may do it, and what ends tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kilostack.identity.model.federation import FederationProtocol, GroupVisit, IdentityProvider
from kilostack.identity.store.federation import FEDERATED_USERS, FEDERATION_PROTOCOLS, GROUP_VISITS, IDENTITY_PROVIDERS
from kilostack.store.database import Tx
from tests.http.cloud import cases, play
from tests.http.identity.conftest import ADMIN, DEMO, IdentityCloud, on_project


@pytest.mark.parametrize("area", ["users", "groups"])
async def test_every_operation(cloud: IdentityCloud, area: str) -> None:
    kept = {"admin": await cloud.admin()}
    for case in cases(Path(__file__).with_name(f"{area}.yaml")):
        await play(cloud.client, case, kept)


async def _personas(cloud: IdentityCloud) -> dict[str, str]:
    """Tokens of everybody who may be told different things; demo is the one they all are, except the admin."""
    admin, user = await cloud.admin(), await cloud.id_of("users", "demo")
    tokens = {"admin": admin, "member": await cloud.demo()}
    tokens["unscoped"] = (await cloud.log_in("demo", DEMO, "unscoped")).headers["x-subject-token"]
    for role in ("reader", "manager"):
        role_id = await cloud.id_of("roles", role)
        for scope, path in (("system", "/system"), ("domain", "/domains/default")):
            await cloud.ask("PUT", f"{path}/users/{user}/roles/{role_id}", admin)
            wanted: Any = {"system": {"all": True}} if scope == "system" else {"domain": {"id": "default"}}
            tokens[f"{scope} {role}"] = (await cloud.log_in("demo", DEMO, wanted)).headers["x-subject-token"]
    return tokens


_ADMIN = {"admin"}
_SYSTEM = {"admin", "system reader", "system manager"}
_READERS = _SYSTEM | {"domain reader", "domain manager"}
_MANAGERS = {"admin", "domain manager"}
_ALL = _READERS | {"member", "unscoped"}
#: (method, path, body, who may); {mine} and {theirs} are in the default domain and in another one
_MATRIX: list[tuple[str, str, Any, set[str]]] = [
    ("GET", "/users", None, _READERS),
    ("POST", "/users", {"user": {"name": "n"}}, _ADMIN),
    ("POST", "/users", {"user": {"name": "n", "domain_id": "default"}}, _MANAGERS),
    ("POST", "/users", {"user": {"name": "n", "domain_id": "{domain}"}}, _ADMIN),
    ("GET", "/users/{demo}", None, _ALL),
    ("GET", "/users/{mine}", None, _READERS),
    ("GET", "/users/{theirs}", None, _SYSTEM),
    ("GET", "/users/nothing", None, _SYSTEM),
    ("PATCH", "/users/{demo}", {"user": {"email": "e"}}, _MANAGERS),
    ("PATCH", "/users/{theirs}", {"user": {"email": "e"}}, _ADMIN),
    ("PATCH", "/users/nothing", {"user": {"email": "e"}}, _ADMIN),
    ("DELETE", "/users/nothing", None, _ADMIN),
    ("DELETE", "/users/{theirs}", None, _ADMIN),
    ("GET", "/users/{demo}/projects", None, _ALL),
    ("GET", "/users/{mine}/projects", None, _READERS),
    ("GET", "/users/{demo}/groups", None, _ALL),
    ("GET", "/users/{mine}/groups", None, _READERS),
    ("GET", "/users/{theirs}/groups", None, _SYSTEM),
    ("GET", "/users/nothing/groups", None, _SYSTEM),
    ("GET", "/groups", None, _READERS),
    ("POST", "/groups", {"group": {"name": "n"}}, _ADMIN),
    ("POST", "/groups", {"group": {"name": "n", "domain_id": "default"}}, _MANAGERS),
    ("GET", "/groups/{group}", None, _READERS),
    ("GET", "/groups/{their_group}", None, _SYSTEM),
    ("GET", "/groups/nothing", None, _SYSTEM),
    ("PATCH", "/groups/{group}", {"group": {"description": "d"}}, _MANAGERS),
    ("PATCH", "/groups/{their_group}", {"group": {"description": "d"}}, _ADMIN),
    # as upstream: that there is none is told to everybody
    ("DELETE", "/groups/nothing", None, _ALL),
    ("GET", "/groups/{group}/users", None, _READERS),
    ("GET", "/groups/nothing/users", None, _SYSTEM),
    ("PUT", "/groups/{group}/users/{mine}", None, _MANAGERS),
    ("PUT", "/groups/{group}/users/{theirs}", None, _ADMIN),
    ("PUT", "/groups/{their_group}/users/{mine}", None, _ADMIN),
    ("PUT", "/groups/{group}/users/nothing", None, _ADMIN),
    ("GET", "/groups/{group}/users/{mine}", None, _READERS),
    ("GET", "/groups/{group}/users/{theirs}", None, _SYSTEM),
    ("GET", "/groups/nothing/users/nothing", None, _SYSTEM),
    ("DELETE", "/groups/{group}/users/{mine}", None, _MANAGERS),
    ("DELETE", "/groups/{group}/users/{theirs}", None, _ADMIN),
    ("DELETE", "/groups/{their_group}", None, _ADMIN),
    ("DELETE", "/groups/{group}", None, _MANAGERS),
]


def _filled(value: Any, ids: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, ids) for key, item in value.items()}
    return value.format(**ids) if isinstance(value, str) else value


async def test_who_may_what(cloud: IdentityCloud) -> None:
    tokens = await _personas(cloud)
    admin, ids = tokens["admin"], {"demo": await cloud.id_of("users", "demo")}

    async def make(name: str, path: str, document: Any) -> None:
        answer = await cloud.ask("POST", path, admin, json=document)
        assert answer.status == 201, answer
        ((_, made),) = answer.json().items()
        ids[name] = made["id"]

    await make("domain", "/domains", {"domain": {"name": "elsewhere"}})
    for method, path, body, allowed in _MATRIX:
        for name in ("mine", "theirs", "group", "their_group"):
            # each row finds everything there, whatever the one before has deleted
            kind = "group" if "group" in name else "user"
            domain = {"domain_id": ids["domain"]} if name.startswith("their") else {}
            if (await cloud.ask("GET", f"/{kind}s/{ids.get(name)}", admin)).status == 404:
                await make(name, f"/{kind}s", {kind: {"name": name, **domain}})
        for persona, token in sorted(tokens.items(), key=lambda item: item[0] == "admin"):
            answer = await cloud.ask(method, path.format(**ids), token, json=_filled(body, ids))
            told = f"{persona}: {method} {path} {answer.status} {answer.body[:200]!r}"
            assert answer.status < 500, told
            assert (answer.status != 403) is (persona in allowed), told
        assert (await cloud.ask(method, path.format(**ids), json=_filled(body, ids))).status == 401


async def test_a_token_for_a_domain_lists_that_domain(cloud: IdentityCloud) -> None:
    tokens = await _personas(cloud)
    admin, role = tokens["admin"], await cloud.id_of("roles", "admin")
    await cloud.ask("PUT", f"/domains/default/users/{await cloud.id_of('users', 'admin')}/roles/{role}", admin)
    tokens["domain admin"] = (await cloud.log_in("admin", ADMIN, {"domain": {"id": "default"}})).headers[
        "x-subject-token"
    ]
    domain = (await cloud.ask("POST", "/domains", admin, json={"domain": {"name": "d"}})).json()["domain"]["id"]
    made: dict[tuple[str, str], str] = {}
    for kind in ("user", "group"):
        for name, where in (("near", "default"), ("far", domain)):
            body = {kind: {"name": name, "domain_id": where}}
            answer = await cloud.ask("POST", f"/{kind}s", admin, json=body)
            made[kind, name] = answer.json()[kind]["id"]
    for _, group in (("user", "near"), ("user", "far")):
        for user in ("near", "far"):
            path = f"/groups/{made['group', group]}/users/{made['user', user]}"
            assert (await cloud.ask("PUT", path, admin)).status == 204
    lists = [
        *(f"/{kind}s{query}" for kind in ("user", "group") for query in ("", f"?domain_id={domain}")),
        *(f"/groups/{made['group', 'near']}/users", f"/users/{made['user', 'near']}/groups"),
    ]
    for path in lists:
        key = "groups" if path.split("?")[0].endswith("groups") else "users"
        for persona in ("domain reader", "domain manager", "domain admin"):
            answer = await cloud.ask("GET", path, tokens[persona])
            assert {one["domain_id"] for one in answer.json()[key]} <= {"default"}, (persona, path)
        names = {one["name"] for one in (await cloud.ask("GET", path, admin)).json()[key]}
        assert "far" in names, path


async def test_who_a_user_is_elsewhere(cloud: IdentityCloud) -> None:
    admin = await cloud.admin()

    async def unit(tx: Tx) -> None:
        for provider in ("here", "there"):
            await IDENTITY_PROVIDERS.insert(tx, IdentityProvider(id=provider, domain_id="default"))
            await FEDERATION_PROTOCOLS.insert(
                tx, FederationProtocol(provider_id=provider, id="openid", mapping_id="none")
            )

    await cloud.db.write(unit)
    federated = [
        {"idp_id": "here", "protocols": [{"protocol_id": "openid", "unique_id": "u1"}]},
        {"idp_id": "there", "protocols": [{"protocol_id": "openid", "unique_id": "u2"}]},
    ]
    made = await cloud.ask("POST", "/users", admin, json={"user": {"name": "pat", "federated": federated}})
    assert made.json()["user"]["federated"] == federated
    user = made.json()["user"]["id"]
    assert (await cloud.ask("GET", f"/users/{user}", admin)).json()["user"]["federated"] == federated
    for query, count in (
        ("idp_id=here", 1),
        ("idp_id=here&unique_id=u1&protocol_id=openid", 1),
        ("unique_id=u2", 1),
        ("idp_id=here&unique_id=u2", 0),
        ("idp_id=here&name=pat", 1),
        ("idp_id=here&name=demo", 0),
        ("idp_id__contains=her", 0),
    ):
        found = (await cloud.ask("GET", f"/users?{query}", admin)).json()["users"]
        assert len(found) == count, query
        assert all("federated" not in one for one in found)
    taken = await cloud.ask("POST", "/users", admin, json={"user": {"name": "tap", "federated": federated[:1]}})
    assert taken.status == 409
    for changed, kept in ((federated[1:], federated[1:]), ([], federated[1:])):
        answer = await cloud.ask("PATCH", f"/users/{user}", admin, json={"user": {"federated": changed}})
        assert answer.json()["user"]["federated"] == kept
    wrong = [{"idp_id": "here", "protocols": [{"protocol_id": "saml2", "unique_id": "u1"}]}]
    answer = await cloud.ask("PATCH", f"/users/{user}", admin, json={"user": {"federated": wrong}})
    assert answer.status == 400
    assert (await cloud.ask("DELETE", f"/users/{user}", admin)).status == 204
    assert await cloud.db.read(lambda tx: FEDERATED_USERS.where(tx)) == []


async def test_groups_that_a_provider_named_are_shown_until_they_end(cloud: IdentityCloud) -> None:
    admin, user = await cloud.admin(), await cloud.id_of("users", "demo")
    ids = {}
    for name in ("visited", "both", "kept"):
        made = await cloud.ask("POST", "/groups", admin, json={"group": {"name": name}})
        ids[name] = made.json()["group"]["id"]
    now = cloud.world.now()

    async def unit(tx: Tx) -> None:
        await IDENTITY_PROVIDERS.insert(tx, IdentityProvider(id="idp", domain_id="default", authorization_ttl=10))
        for name in ("visited", "both"):
            visit = GroupVisit(user_id=user, group_id=ids[name], provider_id="idp", seen_at=now)
            await GROUP_VISITS.insert(tx, visit)

    await cloud.db.write(unit)
    for name in ("both", "kept"):
        await cloud.ask("PUT", f"/groups/{ids[name]}/users/{user}", admin)
    for later_s, names in ((0, ["both", "kept", "visited"]), (601, ["both", "kept"])):
        cloud.world.ahead_s = later_s
        found = (await cloud.ask("GET", f"/users/{user}/groups", admin)).json()["groups"]
        assert [group["name"] for group in found] == names
        ends = {group["name"] for group in found if group["membership_expires_at"] is not None}
        assert ends == {"visited"} & set(names)
        there = (await cloud.ask("HEAD", f"/groups/{ids['visited']}/users/{user}", admin)).status
        assert there == (204 if "visited" in names else 404)


async def _ended(cloud: IdentityCloud, token: str) -> bool:
    """As every process sees it, and as identity says."""
    admin = await cloud.admin()
    looked = await cloud.ask("GET", "/auth/tokens", admin, headers={"X-Subject-Token": token})
    asked = await cloud.ask("GET", "/auth/projects", token)
    assert (looked.status, asked.status) in ((404, 401), (200, 200))
    return looked.status == 404


@pytest.mark.parametrize("how", ["leaves", "group deleted", "disabled", "password", "own password", "deleted"])
async def test_what_ends_tokens(cloud: IdentityCloud, how: str) -> None:
    admin, role = await cloud.admin(), await cloud.id_of("roles", "member")
    demo_project = await cloud.id_of("projects", "demo")
    group = (await cloud.ask("POST", "/groups", admin, json={"group": {"name": "g"}})).json()["group"]["id"]
    user = (await cloud.ask("POST", "/users", admin, json={"user": {"name": "u", "password": "p"}})).json()["user"][
        "id"
    ]
    await cloud.ask("PUT", f"/groups/{group}/users/{user}", admin)
    await cloud.ask("PUT", f"/projects/{demo_project}/groups/{group}/roles/{role}", admin)
    token = await cloud.token("u", "p", "demo")
    assert not await _ended(cloud, token)
    requests: dict[str, tuple[str, str, Any]] = {
        "leaves": ("DELETE", f"/groups/{group}/users/{user}", None),
        "group deleted": ("DELETE", f"/groups/{group}", None),
        "disabled": ("PATCH", f"/users/{user}", {"user": {"enabled": False}}),
        "password": ("PATCH", f"/users/{user}", {"user": {"password": "q"}}),
        "own password": ("POST", f"/users/{user}/password", {"user": {"original_password": "p", "password": "q"}}),
        "deleted": ("DELETE", f"/users/{user}", None),
    }
    method, path, body = requests[how]
    assert (await cloud.ask(method, path, admin, json=body)).status in (200, 204)
    assert await _ended(cloud, token)
    if how in ("leaves", "group deleted"):
        assert (await cloud.log_in("u", "p", on_project("demo"))).status == 401
        assert (await cloud.log_in("u", "p")).status == 201


async def test_a_change_that_takes_nothing_ends_nothing(cloud: IdentityCloud) -> None:
    admin, user, token = await cloud.admin(), await cloud.id_of("users", "demo"), await cloud.demo()
    group = (await cloud.ask("POST", "/groups", admin, json={"group": {"name": "g"}})).json()["group"]["id"]
    for method, path, body in (
        ("PATCH", f"/users/{user}", {"user": {"email": "e", "enabled": True, "options": {"lock_password": False}}}),
        ("PUT", f"/groups/{group}/users/{user}", None),
        ("PATCH", f"/groups/{group}", {"group": {"name": "h"}}),
        ("DELETE", f"/groups/{group}", None),
    ):
        assert (await cloud.ask(method, path, admin, json=body)).status in (200, 204)
        assert not await _ended(cloud, token), path


async def test_a_default_project_goes_with_the_project(cloud: IdentityCloud) -> None:
    admin = await cloud.admin()
    project = (await cloud.ask("POST", "/projects", admin, json={"project": {"name": "p"}})).json()["project"]["id"]
    body = {"user": {"name": "u", "default_project_id": project}}
    user = (await cloud.ask("POST", "/users", admin, json=body)).json()["user"]["id"]
    assert (await cloud.ask("DELETE", f"/projects/{project}", admin)).status == 204
    assert "default_project_id" not in (await cloud.ask("GET", f"/users/{user}", admin)).json()["user"]


_NO_RULES: list[Any] = ["x", ["x"], [[]], [[1]], [["a", "a"]], [["a"], ["a"]], {}, [[str(at)] for at in range(200)]]
#: (path, what stands beside a good name or instead of it, values that are none)
_SENSELESS: list[tuple[str, str, list[Any]]] = [
    ("/users", "name", [None, 5, "", " ", [], "x" * 256]),
    ("/groups", "name", [None, 5, "", " ", [], "x" * 65]),
    ("/users", "domain_id", [None, 5, "", "a b", {"id": "default"}]),
    ("/groups", "domain_id", [None, 5, ""]),
    ("/users", "enabled", [None, "maybe", 1, []]),
    ("/users", "password", [5, [], "x" * 5000]),
    ("/users", "default_project_id", [5, "x" * 65, {}]),
    ("/users", "options", [None, [], "x", {"bogus": True}]),
    ("/users", "options", [{"lock_password": "true"}, {"lock_password": 1}, {"lock_password": []}]),
    ("/users", "options", [{"multi_factor_auth_rules": wrong} for wrong in _NO_RULES]),
    ("/users", "federated", [None, {}, [1], [{"idp_id": "x"}], [{"idp_id": "x", "protocols": []}]]),
    ("/users", "description", [5]),
    ("/groups", "description", [5]),
]


@pytest.mark.parametrize(("path", "field", "values"), _SENSELESS)
async def test_bodies_that_make_no_sense(cloud: IdentityCloud, path: str, field: str, values: list[Any]) -> None:
    admin = await cloud.admin()
    for value in values:
        answer = await cloud.ask("POST", path, admin, json={path[1:-1]: {"name": "n", field: value}})
        assert answer.status == 400, (value, answer)
        assert len(answer.body) < 1000


async def test_garbage_gets_no_500(cloud: IdentityCloud) -> None:
    admin, user = await cloud.admin(), await cloud.id_of("users", "demo")
    for garbage in ("nothing", "%C3%BC", "%3F", "%00", "'", "x" * 5000, "%F0%9F%A6%8A"):
        for method, path in (
            *((method, f"/groups/{garbage}") for method in ("GET", "DELETE")),
            *((method, f"/groups/{garbage}/users/{user}") for method in ("GET", "PUT", "DELETE")),
            *(("GET", path) for path in (f"/groups/{garbage}/users", f"/users/{garbage}/groups")),
            ("GET", f"/users?name={garbage}&idp_id={garbage}&unique_id={garbage}"),
            ("GET", f"/users?password_expires_at={garbage}"),
            ("GET", f"/users?password_expires_at=lt:{garbage}"),
            ("GET", f"/users?name__icontains={garbage}&password_expires_at__contains={garbage}"),
        ):
            assert (await cloud.ask(method, path, admin)).status in (200, 400, 404), (method, path)
        body = {"user": {"original_password": garbage, "password": garbage}}
        answer = await cloud.ask("POST", f"/users/{garbage}/password", json=body)
        assert answer.status in (400, 401, 429), answer
    for moment in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2030-01-01T00:00:00+99:00"):
        answer = await cloud.ask("GET", f"/users?password_expires_at=gt:{moment.replace('+', '%2B')}", admin)
        assert answer.status in (200, 400)
