"""Domains, projects, their tags and options: who may do what, lists, and what ends with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kilostack.identity.store.domain_config import DOMAIN_OPTIONS
from tests.http.cloud import Answer, cases, play
from tests.http.identity.conftest import ADMIN, DEMO, IdentityCloud, on_project


@pytest.mark.parametrize("name", ["projects", "domain_config"])
async def test_every_operation(cloud: IdentityCloud, name: str) -> None:
    kept = {
        "admin": await cloud.admin(),
        "member": await cloud.demo(),
        "own": await cloud.id_of("projects", "demo"),
        "admin_user": await cloud.id_of("users", "admin"),
        "reader": await cloud.id_of("roles", "reader"),
    }
    for case in cases(Path(__file__).with_name(f"{name}.yaml")):
        await play(cloud.client, case, kept)


async def _made(cloud: IdentityCloud, plural: str, **fields: Any) -> str:
    answer = await cloud.ask("POST", f"/{plural}", await cloud.admin(), json={plural[:-1]: fields})
    assert answer.status == 201, answer.body
    return str(answer.json()[plural[:-1]]["id"])


async def _names(cloud: IdentityCloud, path: str, token: str) -> list[str]:
    plural = path.partition("?")[0].strip("/")
    return [one["name"] for one in (await cloud.ask("GET", path, token)).json()[plural]]


async def _on_default(cloud: IdentityCloud, role: str) -> str:
    """A token for the default domain, of the demo user with that role on it."""
    admin, user = await cloud.admin(), await cloud.id_of("users", "demo")
    role_id = await cloud.id_of("roles", role)
    await cloud.ask("PUT", f"/domains/default/users/{user}/roles/{role_id}", admin)
    answer = await cloud.log_in("demo", DEMO, {"domain": {"id": "default"}})
    assert answer.status == 201, answer.body
    return answer.headers["x-subject-token"]


_INEXACT = {
    "name__contains=c_": ["abc_d"],
    "name__contains=%25": ["ABC%d"],
    "name__contains=!": [],
    "name__icontains=BC": ["ABC%d", "abc_d", "abcxd"],
    "name__startswith=abc": ["abc_d", "abcxd"],
    "name__istartswith=aBc": ["ABC%d", "abc_d", "abcxd"],
    "name__endswith=D": [],
    "name__iendswith=XD": ["abcxd"],
    "name__contains=bc&name__endswith=xd": ["abcxd"],
    "name__unknown=zz": ["ABC%d", "abc_d", "abcxd"],
    "enabled__contains=x": ["ABC%d", "abc_d", "abcxd"],
}


@pytest.mark.parametrize("query", _INEXACT)
async def test_names_by_their_parts(cloud: IdentityCloud, query: str) -> None:
    admin, domain = await cloud.admin(), await _made(cloud, "domains", name="parts")
    for name in ("abc_d", "abcxd", "ABC%d"):
        await _made(cloud, "projects", name=name, domain_id=domain)
    assert await _names(cloud, f"/projects?domain_id={domain}&{query}", admin) == _INEXACT[query]


async def test_users_are_found_by_parts_of_their_names_too(cloud: IdentityCloud) -> None:
    assert await _names(cloud, "/users?name__startswith=ad", await cloud.admin()) == ["admin"]


async def test_pages_tell_that_there_may_be_more(cloud: IdentityCloud) -> None:
    admin = await cloud.admin()
    full = (await cloud.ask("GET", "/projects?limit=2", admin)).json()
    assert full["truncated"] is True
    assert full["links"]["next"]
    rest = (await cloud.ask("GET", full["links"]["next"].partition("/identity/v3")[2], admin)).json()
    assert set(rest) == {"projects", "links"}
    assert (await cloud.ask("GET", "/projects?marker=nothing", admin)).status == 404
    assert len(await _names(cloud, "/projects?limit=0", admin)) == 3


async def test_a_token_for_a_domain_shows_that_domain_alone(cloud: IdentityCloud) -> None:
    domain = await _made(cloud, "domains", name="other")
    await _made(cloud, "projects", name="foreign", domain_id=domain)
    for role in ("reader", "manager", "admin"):
        token = await _on_default(cloud, role)
        assert await _names(cloud, "/projects", token) == ["admin", "demo", "service"]
        assert await _names(cloud, f"/projects?domain_id={domain}", token) == []
        assert await _names(cloud, "/domains", token) == ["Default"]
        assert await _names(cloud, "/projects?is_domain=true", token) == []


async def test_a_manager_of_a_domain_names_it(cloud: IdentityCloud) -> None:
    token = await _on_default(cloud, "manager")
    domain = await _made(cloud, "domains", name="other")

    async def status(method: str, path: str, body: Any = None) -> int:
        answer: Answer = await cloud.ask(method, path, token, json=body)
        return answer.status

    assert await status("POST", "/projects", {"project": {"name": "n", "domain_id": "default"}}) == 201
    assert await status("POST", "/projects", {"project": {"name": "m"}}) == 403
    assert await status("POST", "/projects", {"project": {"name": "m", "domain_id": domain}}) == 403
    assert await status("POST", "/projects", {"project": {"name": "m", "is_domain": True}}) == 403
    assert await status("PATCH", "/projects/default", {"project": {"description": "d"}}) == 403
    assert await status("DELETE", "/projects/default") == 403
    mine = await cloud.id_of("projects", "n")
    assert await status("PUT", f"/projects/{mine}/tags/x") == 201
    assert await status("DELETE", f"/projects/{mine}/tags") == 204
    assert await status("DELETE", f"/projects/{mine}") == 204


async def test_what_is_disabled_ends_tokens(cloud: IdentityCloud) -> None:
    admin, user = await cloud.admin(), await cloud.id_of("users", "demo")
    domain = await _made(cloud, "domains", name="other")
    project = await _made(cloud, "projects", name="p", domain_id=domain)
    member = await cloud.id_of("roles", "member")
    await cloud.ask("PUT", f"/projects/{project}/users/{user}/roles/{member}", admin)
    for path, body in (
        (f"/projects/{project}", "project"),
        (f"/domains/{domain}", "domain"),
        (f"/projects/{domain}", "project"),
    ):
        token = (await cloud.log_in("demo", DEMO, {"project": {"id": project}})).headers["x-subject-token"]
        assert (await cloud.ask("GET", "/auth/projects", token)).status == 200
        assert (await cloud.ask("PATCH", path, admin, json={body: {"enabled": False}})).status == 200
        checked = await cloud.ask("GET", "/auth/tokens", admin, headers={"X-Subject-Token": token})
        assert checked.status == 404, path
        assert (await cloud.log_in("demo", DEMO, {"project": {"id": project}})).status == 401
        assert (await cloud.ask("PATCH", path, admin, json={body: {"enabled": True}})).status == 200


async def test_a_domain_is_no_project_to_log_in_to(cloud: IdentityCloud) -> None:
    admin, user = await cloud.admin(), await cloud.id_of("users", "admin")
    role = await cloud.id_of("roles", "admin")
    assert (await cloud.ask("PUT", f"/domains/default/users/{user}/roles/{role}", admin)).status == 204
    assert (await cloud.log_in("admin", ADMIN, {"project": {"id": "default"}})).status == 401
    assert (await cloud.log_in("admin", ADMIN, on_project("Default"))).status == 401
    assert (await cloud.log_in("admin", ADMIN, {"domain": {"id": "default"}})).status == 201


async def test_all_that_is_in_a_domain_goes_with_it(cloud: IdentityCloud) -> None:
    admin, domain = await cloud.admin(), await _made(cloud, "domains", name="other")
    made = {plural: await _made(cloud, plural, name="n", domain_id=domain) for plural in ("users", "groups", "roles")}
    made["projects"] = await _made(cloud, "projects", name="n", domain_id=domain)
    path = f"/projects/{made['projects']}/users/{made['users']}/roles/{made['roles']}"
    assert (await cloud.ask("PUT", path, admin)).status == 204
    other = await cloud.id_of("roles", "reader")
    assert (await cloud.ask("PUT", f"/roles/{made['roles']}/implies/{other}", admin)).status == 201
    config = {"config": {"identity": {"driver": "sql"}}}
    assert (await cloud.ask("PUT", f"/domains/{domain}/config", admin, json=config)).status == 201
    await cloud.ask("PATCH", f"/domains/{domain}", admin, json={"domain": {"enabled": False}})
    assert (await cloud.ask("DELETE", f"/domains/{domain}", admin)).status == 204
    for plural, record_id in made.items():
        assert (await cloud.ask("GET", f"/{plural}/{record_id}", admin)).status == 404, plural
    assert made["roles"] not in (await cloud.ask("GET", "/role_inferences", admin)).body.decode()
    assert await cloud.db.read(lambda tx: DOMAIN_OPTIONS.where(tx)) == []


async def test_secret_options_are_sealed(cloud: IdentityCloud) -> None:
    admin = await cloud.admin()
    config = {"config": {"ldap": {"password": "hush-hush", "url": "ldap://x"}}}
    assert (await cloud.ask("PUT", "/domains/default/config", admin, json=config)).status == 201
    kept = {one.option: one.value for one in await cloud.db.read(lambda tx: DOMAIN_OPTIONS.where(tx))}
    assert kept["url"] == "ldap://x"
    assert "hush" not in kept["password"]


async def test_no_more_than_eighty_tags(cloud: IdentityCloud) -> None:
    admin, project = await cloud.admin(), await _made(cloud, "projects", name="p", tags=[str(n) for n in range(80)])
    assert (await cloud.ask("PUT", f"/projects/{project}/tags/more", admin)).status == 400
    assert (await cloud.ask("PUT", f"/projects/{project}/tags/{'x' * 256}", admin)).status == 400
    body = {"tags": [str(n) for n in range(81)]}
    assert (await cloud.ask("PUT", f"/projects/{project}/tags", admin, json=body)).status == 400


_FAMILIES = ("parents_as_list", "parents_as_ids", "subtree_as_list", "subtree_as_ids")


@pytest.mark.parametrize("garbage", ["nothing", "%C3%BC", "%00", "'", "x" * 5000, "%F0%9F%A6%8A", "config"])
async def test_ids_that_make_no_sense(cloud: IdentityCloud, garbage: str) -> None:
    admin = await cloud.admin()
    for path in (
        f"/projects/{garbage}?{'&'.join(_FAMILIES[1::2])}",
        f"/projects/{garbage}/tags",
        f"/projects/{garbage}/tags/{garbage}",
        f"/domains/{garbage}/config",
        f"/domains/{garbage}/config/ldap",
        f"/domains/default/config/{garbage}/{garbage}",
        f"/domains/config/{garbage}/default",
        f"/domains/config/{garbage}/{garbage}/default",
        f"/projects?tags={garbage}&not-tags-any={garbage}",
        f"/projects?parent_id={garbage}&name__icontains={garbage}",
        f"/projects?marker={garbage}&is_domain=true",
    ):
        for method in ("GET", "PUT", "PATCH", "DELETE"):
            body = {"tags": [], "config": {"ldap": {"url": "u"}}} if method in ("PUT", "PATCH") else None
            answer = await cloud.ask(method, path, admin, json=body)
            assert answer.status < 500, (method, path, answer)
