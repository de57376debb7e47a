"""The catalog and what is said about its parts: every operation and persona, and what a project's catalog is cut to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kilostack.identity.app.settings import IdentitySettings
from tests.http.cloud import cases, play
from tests.http.identity.conftest import ADMIN, DEMO, IdentityCloud, on_project

_HERE = Path(__file__)
_SYSTEM, _DOMAIN = {"system": {"all": True}}, {"domain": {"id": "default"}}


@pytest.mark.parametrize("area", ["catalog", "endpoint_filter", "policy_documents", "limits"])
async def test_every_operation(cloud: IdentityCloud, area: str) -> None:
    kept = {
        "admin": await cloud.admin(),
        "member": await cloud.demo(),
        "admin_project": await cloud.id_of("projects", "admin"),
    }
    for case in cases(_HERE.with_name(f"{area}.yaml")):
        await play(cloud.client, case, kept)


async def _personas(cloud: IdentityCloud) -> dict[str, str]:
    """Tokens of everybody who may be told different things; all but administrators are one user."""
    admin, user = await cloud.admin(), await cloud.id_of("users", "demo")
    tokens = {"admin": admin, "project member": await cloud.demo()}
    tokens["system admin"] = (await cloud.log_in("admin", ADMIN, _SYSTEM)).headers["x-subject-token"]
    for name, path, scope in (
        ("system reader", "/system", _SYSTEM),
        ("domain reader", "/domains/default", _DOMAIN),
        ("domain manager", "/domains/default", _DOMAIN),
        ("domain admin", "/domains/default", _DOMAIN),
    ):
        role = await cloud.id_of("roles", name.partition(" ")[2])
        await cloud.ask("PUT", f"{path}/users/{user}/roles/{role}", admin)
        tokens[name] = (await cloud.log_in("demo", DEMO, scope)).headers["x-subject-token"]
    project = await cloud.id_of("projects", "service")
    await cloud.ask("PUT", f"/projects/{project}/users/{user}/roles/{await cloud.id_of('roles', 'service')}", admin)
    answer = await cloud.log_in("demo", DEMO, on_project("service"))
    tokens["service"] = answer.headers["x-subject-token"]
    return tokens


_ADMINS = {"admin", "system admin"}
_VIEWERS = _ADMINS | {"system reader"}
_ALL = _VIEWERS | {"project member", "domain reader", "domain manager", "domain admin", "service"}
_FILTER, _SAID = "/OS-EP-FILTER", "OS-ENDPOINT-POLICY"
_GROUP = {"endpoint_group": {"name": "n", "filters": {"interface": "public"}}}
_NEW_LIMIT = {"service_id": "a" * 32, "resource_name": "n"}
#: (method, path, body, who may)
_MATRIX: list[tuple[str, str, Any, set[str]]] = [
    ("GET", "/regions", None, _ALL),
    ("GET", "/regions/RegionOne", None, _ALL),
    ("POST", "/regions", {"region": {}}, _ADMINS),
    ("PUT", "/regions/RegionOne", {"region": {}}, _ADMINS),
    ("PATCH", "/regions/RegionOne", {"region": {"description": "d"}}, _ADMINS),
    ("DELETE", "/regions/nothing", None, _ADMINS),
    ("GET", "/services", None, _VIEWERS),
    ("GET", "/services/nothing", None, _VIEWERS),
    ("POST", "/services", {"service": {"type": "t", "enabled": False}}, _ADMINS),
    ("PATCH", "/services/nothing", {"service": {"type": "t"}}, _ADMINS),
    ("DELETE", "/services/nothing", None, _ADMINS),
    ("GET", "/endpoints", None, _VIEWERS),
    ("GET", "/endpoints/nothing", None, _VIEWERS),
    ("POST", "/endpoints", {"endpoint": {"service_id": "x", "interface": "public", "url": "http://x"}}, _ADMINS),
    ("PATCH", "/endpoints/nothing", {"endpoint": {"url": "http://x"}}, _ADMINS),
    ("DELETE", "/endpoints/nothing", None, _ADMINS),
    ("GET", f"{_FILTER}/endpoint_groups", None, _VIEWERS),
    ("POST", f"{_FILTER}/endpoint_groups", _GROUP, _ADMINS),
    ("GET", f"{_FILTER}/endpoint_groups/nothing", None, _VIEWERS),
    ("PATCH", f"{_FILTER}/endpoint_groups/nothing", _GROUP, _ADMINS),
    ("DELETE", f"{_FILTER}/endpoint_groups/nothing", None, _ADMINS),
    ("GET", f"{_FILTER}/endpoint_groups/nothing/projects", None, _VIEWERS),
    ("GET", f"{_FILTER}/endpoint_groups/nothing/endpoints", None, _VIEWERS),
    ("GET", f"{_FILTER}/endpoint_groups/nothing/projects/default", None, _VIEWERS),
    ("PUT", f"{_FILTER}/endpoint_groups/nothing/projects/default", None, _ADMINS),
    ("DELETE", f"{_FILTER}/endpoint_groups/nothing/projects/default", None, _ADMINS),
    ("GET", f"{_FILTER}/projects/default/endpoints", None, _VIEWERS),
    ("GET", f"{_FILTER}/projects/default/endpoint_groups", None, _VIEWERS),
    ("GET", f"{_FILTER}/projects/default/endpoints/nothing", None, _VIEWERS),
    ("PUT", f"{_FILTER}/projects/default/endpoints/nothing", None, _ADMINS),
    ("DELETE", f"{_FILTER}/projects/default/endpoints/nothing", None, _ADMINS),
    ("GET", f"{_FILTER}/endpoints/nothing/projects", None, _VIEWERS),
    ("GET", "/policies", None, _VIEWERS),
    ("GET", "/policies/nothing", None, _VIEWERS),
    ("POST", "/policies", {"policy": {"blob": "b", "type": "t"}}, _ADMINS),
    ("PATCH", "/policies/nothing", {"policy": {"blob": "b"}}, _ADMINS),
    ("DELETE", "/policies/nothing", None, _ADMINS),
    *(
        (method, f"/policies/nothing/{_SAID}/{subject}", None, who)
        for subject in ("endpoints/x", "services/x", "services/x/regions/y")
        for method, who in (("GET", _VIEWERS), ("PUT", _ADMINS), ("DELETE", _ADMINS))
    ),
    ("GET", f"/policies/nothing/{_SAID}/endpoints", None, _VIEWERS),
    ("GET", f"/endpoints/nothing/{_SAID}/policy", None, _VIEWERS),
    ("GET", "/limits/model", None, _ALL),
    ("GET", "/registered_limits", None, _ALL),
    ("GET", "/registered_limits/nothing", None, _ALL),
    ("POST", "/registered_limits", {"registered_limits": [_NEW_LIMIT | {"default_limit": 1}]}, _ADMINS),
    ("PATCH", "/registered_limits/nothing", {"registered_limit": {"default_limit": 1}}, _ADMINS),
    ("DELETE", "/registered_limits/nothing", None, _ADMINS),
    ("GET", "/limits", None, _ALL),
    ("GET", "/limits/nothing", None, _VIEWERS | {"domain admin"}),
    ("POST", "/limits", {"limits": [_NEW_LIMIT | {"resource_limit": 1, "domain_id": "default"}]}, _ADMINS),
    ("PATCH", "/limits/nothing", {"limit": {"resource_limit": 1}}, _ADMINS),
    ("DELETE", "/limits/nothing", None, _ADMINS),
    ("GET", "/OS-REVOKE/events", None, _ADMINS | {"service"}),
]


async def test_who_may_what(cloud: IdentityCloud) -> None:
    tokens = await _personas(cloud)
    assert tokens.keys() == _ALL
    for method, path, body, allowed in _MATRIX:
        for persona, token in tokens.items():
            answer = await cloud.ask(method, path, token, json=body)
            told = f"{persona}: {method} {path} {answer.status} {answer.body[:200]!r}"
            assert (answer.status != 403) is (persona in allowed), told
            assert answer.status < 500, told
        assert (await cloud.ask(method, path, json=body)).status == 401


async def _catalog(cloud: IdentityCloud, token: str) -> dict[str, list[str]]:
    """Type of service -> URLs, as the bearer of a token finds them."""
    catalog = (await cloud.ask("GET", "/auth/catalog", token)).json()["catalog"]
    again = (await cloud.ask("GET", "/auth/tokens", token, headers={"X-Subject-Token": token})).json()["token"]
    assert again["catalog"] == catalog
    return {service["type"]: sorted({one["url"] for one in service["endpoints"]}) for service in catalog}


async def _service(cloud: IdentityCloud, admin: str, kind: str, *urls: str) -> tuple[str, list[str]]:
    answer = await cloud.ask("POST", "/services", admin, json={"service": {"type": kind}})
    service, made = str(answer.json()["service"]["id"]), []
    for url in urls:
        new = {"service_id": service, "interface": "public", "url": url}
        answer = await cloud.ask("POST", "/endpoints", admin, json={"endpoint": new})
        made.append(str(answer.json()["endpoint"]["id"]))
    return service, made


async def test_a_catalog_is_cut_to_what_the_project_has(cloud: IdentityCloud) -> None:
    admin, demo = await cloud.admin(), await cloud.demo()
    project = await cloud.id_of("projects", "demo")
    service, (one, other) = await _service(cloud, admin, "dns", "http://one", "http://other")
    whole = await _catalog(cloud, demo)
    assert whole.keys() == {"identity", "compute", "network", "dns"}
    await cloud.ask("PUT", f"{_FILTER}/projects/{project}/endpoints/{one}", admin)
    assert await _catalog(cloud, demo) == {"dns": ["http://one"]}
    assert await _catalog(cloud, admin) == whole
    group = {"endpoint_group": {"name": "g", "filters": {"service_id": service}}}
    answer = await cloud.ask("POST", f"{_FILTER}/endpoint_groups", admin, json=group)
    group_id = answer.json()["endpoint_group"]["id"]
    await cloud.ask("PUT", f"{_FILTER}/endpoint_groups/{group_id}/projects/{project}", admin)
    assert await _catalog(cloud, demo) == {"dns": ["http://one", "http://other"]}
    await cloud.ask("PATCH", f"/endpoints/{other}", admin, json={"endpoint": {"enabled": False}})
    assert await _catalog(cloud, demo) == {"dns": ["http://one"]}
    await cloud.ask("DELETE", f"{_FILTER}/projects/{project}/endpoints/{one}", admin)
    await cloud.ask("PATCH", f"/endpoints/{one}", admin, json={"endpoint": {"enabled": False}})
    assert await _catalog(cloud, demo) == {}
    await cloud.ask("DELETE", f"{_FILTER}/endpoint_groups/{group_id}", admin)
    assert await _catalog(cloud, demo) == whole | {"dns": []}
    await cloud.ask("DELETE", f"/services/{service}", admin)
    assert (await _catalog(cloud, demo)).keys() == whole.keys() - {"dns"}


async def test_a_catalog_may_say_whose_it_is(cloud: IdentityCloud) -> None:
    admin, demo = await cloud.admin(), await cloud.demo()
    assert "dns" not in await _catalog(cloud, demo)
    await _service(cloud, admin, "dns", "http://x/$(user_id)s/%(tenant_id)s")
    for name, token in (("admin", admin), ("demo", demo), ("admin", admin)):
        ids = [await cloud.id_of("users", name), await cloud.id_of("projects", name)]
        assert (await _catalog(cloud, token))["dns"] == ["http://x/" + "/".join(ids)]


async def test_a_catalog_only_where_it_is_wanted_and_makes_sense(cloud: IdentityCloud) -> None:
    admin = await cloud.admin()
    assert "catalog" in (await cloud.log_in("admin", ADMIN, on_project("admin"))).json()["token"]
    body: dict[str, Any] = {
        "auth": {
            "identity": {"methods": ["token"], "token": {"id": admin}},
            "scope": on_project("admin"),
        }
    }
    assert "catalog" not in (await cloud.ask("POST", "/auth/tokens?nocatalog", json=body)).json()["token"]
    headers = {"X-Subject-Token": admin}
    assert "catalog" not in (await cloud.ask("GET", "/auth/tokens?nocatalog", admin, headers=headers)).json()["token"]
    system = (await cloud.log_in("admin", ADMIN, _SYSTEM)).headers["x-subject-token"]
    assert (await cloud.ask("GET", "/auth/catalog", system)).status == 403
    unscoped = await cloud.log_in("admin", ADMIN, {"unscoped": {}})
    assert "catalog" not in unscoped.json()["token"]


async def test_limits_that_one_may_see(cloud: IdentityCloud) -> None:
    tokens = await _personas(cloud)
    admin = tokens["admin"]
    service, _ = await _service(cloud, admin, "counted")
    about = {"service_id": service, "resource_name": "r"}
    registered = {"registered_limits": [about | {"default_limit": 1}]}
    assert (await cloud.ask("POST", "/registered_limits", admin, json=registered)).status == 201
    domain = (await cloud.ask("POST", "/domains", admin, json={"domain": {"name": "d"}})).json()["domain"]["id"]
    demo = await cloud.id_of("projects", "demo")
    owners = ({"project_id": demo}, {"domain_id": "default"}, {"domain_id": domain})
    made = (
        await cloud.ask(
            "POST", "/limits", admin, json={"limits": [about | {"resource_limit": 2} | owner for owner in owners]}
        )
    ).json()["limits"]
    of_project, of_default, of_other = (limit["id"] for limit in made)
    wanted = {
        "project member": {of_project},
        "domain reader": {of_project, of_default},
        "domain manager": {of_project, of_default},
    }
    for persona, token in tokens.items():
        seen = {limit["id"] for limit in (await cloud.ask("GET", "/limits", token)).json()["limits"]}
        everything = {of_project, of_default, of_other}
        # upstream shows administrators of a domain and services everything
        assert seen == wanted.get(persona, everything), persona
        for limit in everything:
            allowed = persona in {*_VIEWERS, "domain admin"} or limit in wanted.get(persona, set())
            answer = await cloud.ask("GET", f"/limits/{limit}", token)
            assert answer.status == (200 if allowed else 403), (persona, limit, seen)
    unscoped = (await cloud.log_in("demo", DEMO, {"unscoped": {}})).headers["x-subject-token"]
    assert (await cloud.ask("GET", "/limits", unscoped)).json()["limits"] == []


@pytest.mark.parametrize("settings", [IdentitySettings(limit_model="strict_two_level")])
async def test_the_two_level_model(cloud: IdentityCloud) -> None:
    admin = await cloud.admin()
    assert (await cloud.ask("GET", "/limits/model", admin)).json()["model"]["name"] == "strict_two_level"
    above, made = "default", []
    for level, wanted in enumerate((201, 201, 403)):
        new = {"project": {"name": f"level-{level}", "parent_id": above}}
        answer = await cloud.ask("POST", "/projects", admin, json=new)
        assert answer.status == wanted
        if wanted == 201:
            above = str(answer.json()["project"]["id"])
            made.append(above)
    service, _ = await _service(cloud, admin, "counted")
    about = {"service_id": service, "resource_name": "r"}
    await cloud.ask("POST", "/registered_limits", admin, json={"registered_limits": [about | {"default_limit": 5}]})
    for value, owner, wanted in (
        (6, {"project_id": made[0]}, 403),
        (5, {"project_id": made[0]}, 201),
        (4, {"domain_id": "default"}, 403),
        (7, {"domain_id": "default"}, 201),
        (8, {"project_id": made[1]}, 403),
    ):
        body = {"limits": [about | {"resource_limit": value} | owner]}
        answer = await cloud.ask("POST", "/limits", admin, json=body)
        assert answer.status == wanted, (value, owner, answer)


async def test_events_of_revocation(cloud: IdentityCloud) -> None:
    admin = await cloud.admin()
    before = (await cloud.ask("GET", "/OS-REVOKE/events", admin)).json()
    assert set(before) == {"events", "links"}
    user = (await cloud.ask("POST", "/users", admin, json={"user": {"name": "u"}})).json()["user"]["id"]
    await cloud.ask("PATCH", f"/users/{user}", admin, json={"user": {"enabled": False}})
    events = (await cloud.ask("GET", "/OS-REVOKE/events", admin)).json()["events"]
    (event,) = [event for event in events if event.get("user_id") == user]
    assert set(event) == {"user_id", "issued_before", "revoked_at"}
    later = await cloud.ask("GET", "/OS-REVOKE/events?since=2100-01-01T00:00:00Z", admin)
    assert later.json()["events"] == []
    earlier = await cloud.ask("GET", "/OS-REVOKE/events?since=2000-01-01T00:00:00", admin)
    assert event in earlier.json()["events"]
    for wrong in ("yesterday", "9999-99-99", "0001-01-01T00:00:00%2B14:00"):
        assert (await cloud.ask("GET", f"/OS-REVOKE/events?since={wrong}", admin)).status in (200, 400)
    assert (await cloud.ask("GET", "/OS-REVOKE/events?since=yesterday", admin)).status == 400


@pytest.mark.parametrize(
    "path",
    [
        "/regions/{}",
        "/services/{}",
        "/endpoints/{}",
        "/OS-EP-FILTER/endpoint_groups/{}",
        "/OS-EP-FILTER/endpoint_groups/{}/projects/{}",
        "/OS-EP-FILTER/projects/{}/endpoints/{}",
        "/policies/{}",
        "/policies/{}/OS-ENDPOINT-POLICY/services/{}/regions/{}",
        "/registered_limits/{}",
        "/limits/{}",
    ],
)
async def test_ids_that_make_no_sense(cloud: IdentityCloud, path: str) -> None:
    admin = await cloud.admin()
    for garbage in ("nothing", "%C3%BC", "%00", "'", "x" * 5000, "..", "%F0%9F%A6%8A"):
        for method in ("GET", "DELETE", "PUT"):
            body: Any = {"region": {}} if path == "/regions/{}" and method == "PUT" else None
            answer = await cloud.ask(method, path.replace("{}", garbage), admin, json=body)
            assert answer.status in (201, 204, 400, 404, 405), (method, garbage, answer)
