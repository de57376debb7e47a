"""What requests cost in statements: the same with two things as with twelve, for every list and every removal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from tests.conftest import MakeDatabase
from tests.counting import CountingDatabase
from tests.http.identity.conftest import IdentityCloud

FEW, MANY = 2, 12


@pytest.fixture
def make_sqlite(make_database: MakeDatabase) -> MakeDatabase:
    """Databases of either kind, which count."""

    async def make(*given: Any, **more: Any) -> CountingDatabase:
        return CountingDatabase(await make_database(*given, **more))

    return make


class Scene(msgspec.Struct):
    """A cloud, its administrator's token, and ids that things refer to."""

    cloud: IdentityCloud
    token: str
    ids: dict[str, str]

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self.cloud.ask(method, path.format(**self.ids), self.token, json=body)
        assert answer.status < 300, (method, path, answer.status, answer.body)
        return answer.json()

    async def made(self, plural: str, **fields: Any) -> str:
        singular = plural.rsplit("/", 1)[-1].removesuffix("s").replace("policie", "policy")
        return str((await self.ask("POST", f"/{plural}", {singular: fields}))[singular]["id"])

    async def cost(self, method: str, path: str) -> int:
        """Statements of one request, when what processes remember has been read."""
        db = self.cloud.db
        assert isinstance(db, CountingDatabase)
        if method == "GET":
            await self.ask(method, path)
        return await db.cost(self.ask(method, path))


@pytest.fixture
async def scene(cloud: IdentityCloud) -> Scene:
    token = await cloud.admin()
    found = {name: await cloud.id_of("users", name) for name in ("admin", "demo")}
    ids = {"me": found["admin"], "you": found["demo"]}
    for name in ("member", "reader"):
        ids[name] = await cloud.id_of("roles", name)
    for plural, name in (("projects", "admin"), ("projects", "demo")):
        ids[f"project_{name}"] = await cloud.id_of(plural, name)
    return Scene(cloud, token, ids)


async def _fill(scene: Scene, at: int) -> None:
    """One more of everything, where lists find it."""
    name = f"thing{at}"
    domain = await scene.made("domains", name=name)
    project = await scene.made("projects", name=name, tags=[name])
    group = await scene.made("groups", name=name)
    role = await scene.made("roles", name=name)
    service = await scene.made("services", type=name)
    endpoint = await scene.made("endpoints", service_id=service, interface="public", url="http://x.test")
    user = await scene.made("users", name=name)
    await scene.made("regions", id=name)
    await scene.made("credentials", user_id="{me}".format(**scene.ids), type="cert", blob="x")
    policy = await scene.made("policies", type="text", blob="x")
    consumer: dict[str, Any] = {"consumer": {}}
    await scene.ask("POST", "/OS-OAUTH1/consumers", consumer)
    filtered = await scene.made("OS-EP-FILTER/endpoint_groups", name=name, filters={"interface": "public"})
    limit = {"service_id": service, "resource_name": name}
    await scene.ask("POST", "/registered_limits", {"registered_limits": [limit | {"default_limit": 1}]})
    owned = limit | {"resource_limit": 1, "project_id": project}
    await scene.ask("POST", "/limits", {"limits": [owned]})
    first = scene.ids.setdefault("group", group), scene.ids.setdefault("policy", policy)
    scene.ids.setdefault("endpoint", endpoint)
    scene.ids.setdefault("endpoint_group", filtered)
    for method, path in (
        ("PUT", f"/groups/{first[0]}/users/{user}"),
        ("PUT", f"/groups/{group}/users/{{me}}"),
        ("PUT", f"/projects/{project}/users/{{me}}/roles/{{member}}"),
        ("PUT", f"/projects/{{project_demo}}/users/{{me}}/roles/{role}"),
        ("PUT", f"/projects/{{project_demo}}/groups/{group}/roles/{role}"),
        ("PUT", f"/domains/{domain}/users/{{me}}/roles/{{member}}"),
        ("PUT", f"/system/users/{{me}}/roles/{role}"),
        ("PUT", f"/OS-INHERIT/domains/default/users/{{me}}/roles/{role}/inherited_to_projects"),
        ("PUT", f"/roles/{{reader}}/implies/{role}"),
        ("PUT", f"/OS-EP-FILTER/projects/{{project_demo}}/endpoints/{endpoint}"),
        ("PUT", f"/OS-EP-FILTER/projects/{project}/endpoints/{{endpoint}}"),
        ("PUT", f"/OS-EP-FILTER/endpoint_groups/{filtered}/projects/{{project_demo}}"),
        ("PUT", f"/OS-EP-FILTER/endpoint_groups/{{endpoint_group}}/projects/{project}"),
        ("PUT", f"/policies/{{policy}}/OS-ENDPOINT-POLICY/endpoints/{endpoint}"),
    ):
        await scene.ask(method, path)
    await scene.ask("POST", "/users/{me}/credentials/OS-EC2", {"tenant_id": scene.ids["project_admin"]})
    await _delegate(scene, name)
    await _federate(scene, name)


async def _delegate(scene: Scene, name: str) -> None:
    rule = {"service": "compute", "method": "GET", "path": f"/{name}"}
    wanted = {"name": name, "access_rules": [rule]}
    await scene.ask("POST", "/users/{me}/application_credentials", {"application_credential": wanted})
    trust = {
        "trustor_user_id": scene.ids["me"],
        "trustee_user_id": scene.ids["you"],
        "impersonation": False,
        "project_id": scene.ids["project_admin"],
        "roles": [{"name": "admin"}],
    }
    await scene.ask("POST", "/OS-TRUST/trusts", {"trust": trust})


async def _federate(scene: Scene, name: str) -> None:
    under, rules = "/OS-FEDERATION", [{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "sub"}]}]
    await scene.ask("PUT", f"{under}/mappings/{name}", {"mapping": {"rules": rules}})
    provider = {"identity_provider": {"remote_ids": [f"https://{name}.test"], "domain_id": "default"}}
    await scene.ask("PUT", f"{under}/identity_providers/{name}", provider)
    await scene.ask("PUT", f"{under}/identity_providers/thing0/protocols/{name}", {"protocol": {"mapping_id": name}})
    service = {"auth_url": "http://x.test", "sp_url": "http://x.test"}
    await scene.ask("PUT", f"{under}/service_providers/{name}", {"service_provider": service})


LISTS = (
    *("/domains", "/projects", "/users", "/groups", "/roles", "/services", "/endpoints", "/regions", "/credentials"),
    *("/policies", "/registered_limits", "/limits", "/role_inferences", "/roles/{reader}/implies"),
    *("/projects?tags=thing0", "/projects?is_domain=true", "/projects/{project_demo}/tags"),
    *("/projects/{project_demo}?parents_as_list", "/projects/{project_demo}?subtree_as_list"),
    *("/users/{me}/projects", "/users/{me}/groups", "/groups/{group}/users", "/auth/projects", "/auth/domains"),
    *("/auth/system", "/auth/catalog", "/OS-REVOKE/events"),
    *("/role_assignments", "/role_assignments?include_names", "/role_assignments?effective&include_names"),
    "/role_assignments?user.id={me}&effective",
    "/role_assignments?scope.project.id={project_demo}&include_subtree",
    *("/projects/{project_demo}/users/{me}/roles", "/system/users/{me}/roles"),
    "/OS-INHERIT/domains/default/users/{me}/roles/inherited_to_projects",
    *("/users/{me}/application_credentials", "/users/{me}/access_rules", "/users/{me}/credentials/OS-EC2"),
    *("/OS-TRUST/trusts", "/OS-OAUTH1/consumers", "/users/{me}/OS-OAUTH1/access_tokens"),
    *("/OS-EP-FILTER/endpoint_groups", "/OS-EP-FILTER/projects/{project_demo}/endpoints"),
    *("/OS-EP-FILTER/projects/{project_demo}/endpoint_groups", "/OS-EP-FILTER/endpoints/{endpoint}/projects"),
    "/OS-EP-FILTER/endpoint_groups/{endpoint_group}/projects",
    "/OS-EP-FILTER/endpoint_groups/{endpoint_group}/endpoints",
    *("/policies/{policy}/OS-ENDPOINT-POLICY/endpoints", "/endpoints/{endpoint}/OS-ENDPOINT-POLICY/policy"),
    *("/OS-FEDERATION/mappings", "/OS-FEDERATION/identity_providers", "/OS-FEDERATION/service_providers"),
    "/OS-FEDERATION/identity_providers/thing0/protocols",
)
#: what a list costs beyond the page itself: names, owners, trees
MOST = 14


async def test_a_list_costs_the_same_whatever_it_holds(scene: Scene) -> None:
    for at in range(FEW):
        await _fill(scene, at)
    few = {path: await scene.cost("GET", path) for path in LISTS}
    for at in range(FEW, MANY):
        await _fill(scene, at)
    many = {path: await scene.cost("GET", path) for path in LISTS}
    assert many == few
    assert max(few.values()) <= MOST, few


async def _role(scene: Scene, size: int) -> str:
    role = await scene.made("roles", name=f"role{size}")
    for at in range(size):
        project = await scene.made("projects", name=f"role{size}-{at}")
        await scene.ask("PUT", f"/projects/{project}/users/{{you}}/roles/{role}")
    return f"/roles/{role}"


async def _group(scene: Scene, size: int) -> str:
    group = await scene.made("groups", name=f"group{size}")
    await scene.ask("PUT", f"/projects/{{project_demo}}/groups/{group}/roles/{{member}}")
    for at in range(size):
        user = await scene.made("users", name=f"group{size}-{at}")
        await scene.ask("PUT", f"/groups/{group}/users/{user}")
    return f"/groups/{group}"


async def _user(scene: Scene, size: int) -> str:
    user = await scene.made("users", name=f"user{size}")
    for at in range(size):
        project = await scene.made("projects", name=f"user{size}-{at}")
        await scene.ask("PUT", f"/projects/{project}/users/{user}/roles/{{member}}")
        await scene.made("credentials", user_id=user, type="cert", blob="x")
    return f"/users/{user}"


async def _project(scene: Scene, size: int) -> str:
    project = await scene.made("projects", name=f"project{size}")
    for at in range(size):
        user = await scene.made("users", name=f"project{size}-{at}", default_project_id=project)
        await scene.ask("PUT", f"/projects/{project}/users/{user}/roles/{{member}}")
    return f"/projects/{project}"


async def _service(scene: Scene, size: int) -> str:
    service = await scene.made("services", type=f"service{size}")
    for _ in range(size):
        await scene.made("endpoints", service_id=service, interface="public", url="http://x.test")
    return f"/services/{service}"


async def _domain(scene: Scene, size: int) -> str:
    domain = await scene.made("domains", name=f"domain{size}")
    for at in range(size):
        for plural in ("projects", "users", "groups", "roles"):
            await scene.made(plural, name=f"domain{size}-{at}", domain_id=domain)
    await scene.ask("PATCH", f"/domains/{domain}", {"domain": {"enabled": False}})
    return f"/domains/{domain}"


@pytest.mark.parametrize("build", [_role, _group, _user, _project, _service, _domain])
async def test_a_removal_costs_the_same_whatever_goes_with_it(
    scene: Scene, build: Callable[[Scene, int], Awaitable[str]]
) -> None:
    few, many = await build(scene, FEW), await build(scene, MANY)
    assert await scene.cost("DELETE", many) == await scene.cost("DELETE", few)
