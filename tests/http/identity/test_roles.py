"""Roles, grants and role assignments: every operation, every persona, and what makes no sense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.http.cloud import cases, play
from tests.http.identity.conftest import ADMIN, DEMO, IdentityCloud, on_project

_SYSTEM = {"system": {"all": True}}
_PASSWORD = "persona-password"


async def _kept(cloud: IdentityCloud) -> dict[str, str]:
    kept = {"admin": await cloud.admin(), "member": await cloud.demo()}
    for name in ("admin", "reader", "service"):
        kept[f"{name}_role"] = await cloud.id_of("roles", name)
    return kept


async def test_roles(cloud: IdentityCloud) -> None:
    kept = await _kept(cloud)
    for case in cases(Path(__file__).with_name("roles.yaml")):
        await play(cloud.client, case, kept)


async def test_grants(cloud: IdentityCloud) -> None:
    kept = await _kept(cloud)
    for case in cases(Path(__file__).with_name("grants.yaml")):
        await play(cloud.client, case, kept)


async def _persona(cloud: IdentityCloud, admin: str, path: str, role: str, scope: Any) -> str:
    """A token of a new user of the default domain who has one role on one place."""
    name = f"{path}-{role}"
    new = {"user": {"name": name, "password": _PASSWORD, "domain_id": "default"}}
    user = (await cloud.ask("POST", "/users", admin, json=new)).json()["user"]["id"]
    role_id = await cloud.id_of("roles", role)
    assert (await cloud.ask("PUT", f"{path}/users/{user}/roles/{role_id}", admin)).status == 204
    answer = await cloud.log_in(name, _PASSWORD, scope)
    assert answer.status == 201, answer.body
    return answer.headers["x-subject-token"]


async def _personas(cloud: IdentityCloud) -> dict[str, str]:
    admin = await cloud.admin()
    tokens = {"admin": admin, "unscoped": (await cloud.log_in("demo", DEMO)).headers["x-subject-token"]}
    tokens["system admin"] = (await cloud.log_in("admin", ADMIN, _SYSTEM)).headers["x-subject-token"]
    for role in ("reader", "member"):
        tokens[f"system {role}"] = await _persona(cloud, admin, "/system", role, _SYSTEM)
    for role in ("admin", "manager", "member", "reader"):
        tokens[f"domain {role}"] = await _persona(cloud, admin, "/domains/default", role, {"domain": {"id": "default"}})
    project = await cloud.id_of("projects", "demo")
    for role in ("manager", "reader"):
        tokens[f"project {role}"] = await _persona(cloud, admin, f"/projects/{project}", role, on_project("demo"))
    return tokens


_ADMINS = {"admin", "system admin"}
#: the role is all that counts where a token for a domain may ask at all
_ANY_ADMIN = _ADMINS | {"domain admin"}
_VIEWERS = _ANY_ADMIN | {"system reader", "system member"}
_DOMAIN = {"domain manager", "domain member", "domain reader"}
_MANAGES = _ANY_ADMIN | {"domain manager"}
_NOT_DOMAIN = _VIEWERS - {"domain admin"}
#: (method, path, who may)
_MATRIX: list[tuple[str, str, set[str]]] = [
    *(
        found
        for actor, foreign in (("users/{user}", "users/{stranger}"), ("groups/{group}", "groups/{strangers}"))
        for place, elsewhere in (("projects/{project}", "projects/{foreign}"), ("domains/default", "domains/{acme}"))
        for before, after in (("", ""), ("/OS-INHERIT", "/inherited_to_projects"))
        for found in (
            ("PUT", f"{before}/{place}/{actor}/roles/{{reader}}{after}", _MANAGES),
            ("PUT", f"{before}/{place}/{actor}/roles/{{pilot}}{after}", _ANY_ADMIN),
            ("PUT", f"{before}/{elsewhere}/{actor}/roles/{{reader}}{after}", _ANY_ADMIN),
            ("PUT", f"{before}/{place}/{foreign}/roles/{{reader}}{after}", _ANY_ADMIN),
            ("GET", f"{before}/{place}/{actor}/roles/{{reader}}{after}", _VIEWERS | _DOMAIN),
            ("HEAD", f"{before}/{place}/{actor}/roles/{{pilot}}{after}", _VIEWERS | _DOMAIN),
            ("GET", f"{before}/{elsewhere}/{actor}/roles/{{reader}}{after}", _VIEWERS),
            ("DELETE", f"{before}/{place}/{actor}/roles/{{pilot}}{after}", _ANY_ADMIN),
            ("DELETE", f"{before}/{place}/{actor}/roles/{{reader}}{after}", _MANAGES),
            ("DELETE", f"{before}/{elsewhere}/{actor}/roles/{{reader}}{after}", _ANY_ADMIN),
            # on projects, and where roles are inherited, what is not there is not told apart from what may not be seen
            ("PUT", f"/OS-INHERIT/{place}/{actor}/roles/nothing/inherited_to_projects", _ANY_ADMIN),
            ("PUT", f"/projects/{{project}}/{actor}/roles/nothing", _ANY_ADMIN),
            ("PUT", f"{before}/projects/{{project}}/users/nothing/roles/{{reader}}{after}", _ANY_ADMIN),
            ("PUT", f"{before}/projects/nothing/{actor}/roles/{{reader}}{after}", _ANY_ADMIN),
        )
    ),
    *(
        found
        for actor in ("users/{user}", "groups/{group}")
        for found in (
            ("GET", f"/projects/{{project}}/{actor}/roles", _VIEWERS | _DOMAIN),
            ("GET", f"/projects/{{foreign}}/{actor}/roles", _VIEWERS),
            ("GET", f"/OS-INHERIT/domains/default/{actor}/roles/inherited_to_projects", _VIEWERS | _DOMAIN),
            ("PUT", f"/system/{actor}/roles/{{reader}}", _ADMINS),
            ("GET", f"/system/{actor}/roles/{{reader}}", _NOT_DOMAIN),
            ("HEAD", f"/system/{actor}/roles", _NOT_DOMAIN),
            ("DELETE", f"/system/{actor}/roles/{{reader}}", _ADMINS),
        )
    ),
    ("GET", "/roles", _VIEWERS | {"domain manager"}),
    ("GET", "/roles/{reader}", _VIEWERS | {"domain manager", "project manager"}),
    ("GET", "/roles/{pilot}", _VIEWERS),
    ("GET", "/roles/{crew}", _NOT_DOMAIN),
    ("GET", "/roles?domain_id={acme}", _NOT_DOMAIN),
    *(
        (method, path, {"everybody"})
        for method in ("GET", "PUT", "DELETE")
        for path in (
            "/system/users/{user}/roles/nothing",
            "/domains/nothing/users/{user}/roles/{reader}",
            "/roles/nothing/implies/{reader}",
        )
    ),
    ("DELETE", "/roles/nothing", {"everybody"}),
    ("GET", "/role_inferences", _NOT_DOMAIN),
    ("GET", "/roles/{pilot}/implies", _NOT_DOMAIN),
    ("PUT", "/roles/{pilot}/implies/{pilot}", _ADMINS),
    ("GET", "/roles/{pilot}/implies/{pilot}", _NOT_DOMAIN),
    ("DELETE", "/roles/{pilot}/implies/{pilot}", _ADMINS),
    ("GET", "/role_assignments", _VIEWERS | _DOMAIN),
    ("HEAD", "/role_assignments", _VIEWERS | _DOMAIN),
    ("GET", "/role_assignments?include_subtree&scope.project.id={project}", _VIEWERS | _DOMAIN),
    ("GET", "/role_assignments?include_subtree&scope.project.id={foreign}", _VIEWERS),
    ("GET", "/role_assignments?include_subtree&scope.project.id=nothing", _VIEWERS),
]


async def _made(cloud: IdentityCloud, admin: str, plural: str, **fields: Any) -> str:
    answer = await cloud.ask("POST", f"/{plural}", admin, json={plural[:-1]: fields})
    assert answer.status == 201, answer.body
    return str(answer.json()[plural[:-1]]["id"])


async def test_who_may_what(cloud: IdentityCloud) -> None:
    tokens = await _personas(cloud)
    admin = tokens["admin"]
    acme = await _made(cloud, admin, "domains", name="acme")
    ids = {
        "acme": acme,
        "user": await _made(cloud, admin, "users", name="somebody", domain_id="default"),
        "stranger": await _made(cloud, admin, "users", name="stranger", domain_id=acme),
        "group": await _made(cloud, admin, "groups", name="group", domain_id="default"),
        "strangers": await _made(cloud, admin, "groups", name="strangers", domain_id=acme),
        "project": await _made(cloud, admin, "projects", name="home", domain_id="default"),
        "foreign": await _made(cloud, admin, "projects", name="foreign", domain_id=acme),
        "pilot": await _made(cloud, admin, "roles", name="pilot"),
        "crew": await _made(cloud, admin, "roles", name="crew", domain_id=acme),
        "reader": await cloud.id_of("roles", "reader"),
    }
    for method, path, allowed in _MATRIX:
        for persona, token in tokens.items():
            answer = await cloud.ask(method, path.format(**ids), token)
            told = f"{persona}: {method} {path} {answer.status} {answer.body[:200]!r}"
            assert (answer.status != 403) is (persona in allowed or "everybody" in allowed), told
            assert "everybody" not in allowed or answer.status == 404, told
            assert answer.status < 500, told
        assert (await cloud.ask(method, path.format(**ids))).status == 401


async def test_a_domains_reader_lists_what_is_assigned_in_that_domain_alone(cloud: IdentityCloud) -> None:
    admin = await cloud.admin()
    token = await _persona(cloud, admin, "/domains/default", "reader", {"domain": {"id": "default"}})
    acme = await _made(cloud, admin, "domains", name="acme")
    user, reader = await cloud.id_of("users", "demo"), await cloud.id_of("roles", "reader")
    await cloud.ask("PUT", f"/domains/{acme}/users/{user}/roles/{reader}", admin)
    await cloud.ask("PUT", f"/system/users/{user}/roles/{reader}", admin)
    for query in ("", f"?user.id={user}", f"?scope.domain.id={acme}", "?effective", "?scope.system=all"):
        for each in (await cloud.ask("GET", f"/role_assignments{query}", token)).json()["role_assignments"]:
            assert each["scope"].get("domain", {"id": "default"}) == {"id": "default"}, query
            assert "system" not in each["scope"], query
    seen = (await cloud.ask("GET", f"/role_assignments?user.id={user}", token)).json()["role_assignments"]
    assert len(seen) == 2
    assert all("project" in each["scope"] for each in seen)


async def test_effective_assignments_say_where_they_come_from(cloud: IdentityCloud) -> None:
    admin = await cloud.admin()
    acme = await _made(cloud, admin, "domains", name="acme")
    top = await _made(cloud, admin, "projects", name="top", domain_id=acme)
    low = await _made(cloud, admin, "projects", name="low", domain_id=acme, parent_id=top)
    user = await _made(cloud, admin, "users", name="wile", domain_id=acme)
    group = await _made(cloud, admin, "groups", name="coyotes", domain_id=acme)
    pilot, steward = [await _made(cloud, admin, "roles", name=name) for name in ("pilot", "steward")]
    crew = await _made(cloud, admin, "roles", name="crew", domain_id=acme)
    for path in (
        f"/groups/{group}/users/{user}",
        f"/roles/{crew}/implies/{pilot}",
        f"/roles/{pilot}/implies/{steward}",
        f"/OS-INHERIT/projects/{top}/groups/{group}/roles/{pilot}/inherited_to_projects",
        f"/OS-INHERIT/domains/{acme}/users/{user}/roles/{steward}/inherited_to_projects",
        f"/projects/{low}/users/{user}/roles/{crew}",
    ):
        assert (await cloud.ask("PUT", path, admin)).status in (201, 204), path

    async def told(query: str) -> set[tuple[str, ...]]:
        answer = await cloud.ask("GET", f"/role_assignments?{query}&effective", admin)
        found = set()
        for each in answer.json()["role_assignments"]:
            assert each["user"]["id"] == user
            inherited = each["scope"].get("OS-INHERIT:inherited_to", "")
            links = tuple(
                each["links"].get(name, "").replace("http://cloud.test/identity/v3", "")
                for name in ("assignment", "membership", "prior_role")
            )
            found.add((each["role"]["id"], each["scope"]["project"]["id"], inherited, *links))
        assert len(found) == len(answer.json()["role_assignments"])
        return found

    of_domain = f"/OS-INHERIT/domains/{acme}/users/{user}/roles/{steward}/inherited_to_projects"
    of_group = f"/OS-INHERIT/projects/{top}/groups/{group}/roles/{pilot}/inherited_to_projects"
    member, brought = f"/groups/{group}/users/{user}", f"/prior_role/{steward}/implies/{pilot}"
    direct = f"/projects/{low}/users/{user}/roles"
    on_low = {
        (pilot, low, "projects", of_group, member, ""),
        (steward, low, "projects", of_group, member, brought),
        (steward, low, "projects", of_domain, "", ""),
        # the domain's role is not told, but what it brings is
        (pilot, low, "", f"{direct}/{crew}", "", f"/prior_role/{pilot}/implies/{crew}"),
        (steward, low, "", f"{direct}/{pilot}", "", brought),
    }
    on_top = {(steward, top, "projects", of_domain, "", "")}
    assert await told(f"scope.project.id={low}") == on_low
    assert await told(f"scope.project.id={top}") == on_top
    assert await told(f"scope.project.id={top}&include_subtree") == on_low | on_top
    assert await told(f"user.id={user}") == on_low | on_top
    inherited = {each for each in on_low | on_top if each[2]}
    assert await told(f"user.id={user}&scope.OS-INHERIT:inherited_to=projects") == inherited


async def test_ids_that_make_no_sense(cloud: IdentityCloud) -> None:
    admin, demo = await cloud.admin(), await cloud.demo()
    for garbage in ("%C3%BC", "%00", "'", "x" * 3000, "%F0%9F%A6%8A"):
        for path in (
            "/projects/{0}/users/{0}/roles/{0}",
            "/domains/{0}/groups/{0}/roles",
            "/system/users/{0}/roles/{0}",
            "/OS-INHERIT/domains/{0}/users/{0}/roles/{0}/inherited_to_projects",
            "/roles/{0}/implies/{0}",
            "/roles?domain_id={0}",
            "/role_assignments?user.id={0}&effective",
            "/role_assignments?scope.project.id={0}",
            "/role_assignments?role.id={0}&scope.OS-INHERIT:inherited_to={0}&include_names={0}",
        ):
            for method in ("GET", "PUT", "DELETE"):
                for token in (admin, demo):
                    answer = await cloud.ask(method, path.format(garbage), token)
                    assert answer.status in (200, 400, 403, 404, 405), (method, path, garbage, answer)
