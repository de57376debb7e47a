"""Whoever loses a role loses the tokens with it at once, however the role came; other tokens go on."""

from __future__ import annotations

from typing import Any

from tests.http.identity.conftest import DEMO, IdentityCloud


class _Scene:
    """A user in a group, and a tree of projects in a domain of its own."""

    def __init__(self, cloud: IdentityCloud, admin: str) -> None:
        self.cloud, self.admin = cloud, admin
        self.user = self.group = self.acme = self.top = self.low = self.pilot = self.steward = self.crew = ""
        self._unscoped = ""

    async def build(self) -> None:
        self.user = await self.cloud.id_of("users", "demo")
        self.acme = await self.made("domains", name="acme")
        self.top = await self.made("projects", name="top", domain_id=self.acme)
        self.low = await self.made("projects", name="low", domain_id=self.acme, parent_id=self.top)
        self.group = await self.made("groups", name="crowd")
        self.pilot, self.steward = await self.made("roles", name="pilot"), await self.made("roles", name="steward")
        self.crew = await self.made("roles", name="crew", domain_id=self.acme)
        await self.put(f"/groups/{self.group}/users/{self.user}")
        self._unscoped = (await self.cloud.log_in("demo", DEMO, "unscoped")).headers["x-subject-token"]

    async def made(self, plural: str, **fields: Any) -> str:
        answer = await self.cloud.ask("POST", f"/{plural}", self.admin, json={plural[:-1]: fields})
        assert answer.status == 201, answer.body
        return str(answer.json()[plural[:-1]]["id"])

    async def put(self, path: str) -> None:
        answer = await self.cloud.ask("PUT", path, self.admin)
        assert answer.status in (201, 204), answer.body

    async def delete(self, path: str) -> None:
        answer = await self.cloud.ask("DELETE", path, self.admin)
        assert answer.status == 204, answer.body

    async def token(self, scope: Any) -> str:
        """Of the user; empty when they have no role there, or what it would be made from has ended."""
        identity = {"methods": ["token"], "token": {"id": self._unscoped}}
        body = {"auth": {"identity": identity, "scope": scope}}
        answer = await self.cloud.ask("POST", "/auth/tokens", json=body)
        assert answer.status in (201, 401, 404), answer.body
        return answer.headers.get("x-subject-token", "")

    async def roles(self, token: str) -> set[str]:
        shown = await self.cloud.ask("GET", "/auth/tokens", self.admin, headers={"X-Subject-Token": token})
        return {role["id"] for role in shown.json()["token"]["roles"]}

    async def works(self, token: str) -> bool:
        return (await self.cloud.ask("GET", "/auth/projects", token)).status == 200

    async def ends(self, token: str) -> None:
        """Wait until it is refused; fails when that takes long."""
        await self.cloud.ended(token)


async def _scene(cloud: IdentityCloud) -> _Scene:
    scene = _Scene(cloud, await cloud.admin())
    await scene.build()
    return scene


def _project(project_id: str) -> dict[str, Any]:
    return {"project": {"id": project_id}}


async def test_each_way_to_a_role(cloud: IdentityCloud) -> None:
    scene = await _scene(cloud)
    user, group, top, low, acme = scene.user, scene.group, scene.top, scene.low, scene.acme
    ways = [
        (f"/projects/{top}/users/{user}/roles/{{0}}", _project(top)),
        (f"/projects/{top}/groups/{group}/roles/{{0}}", _project(top)),
        (f"/domains/{acme}/users/{user}/roles/{{0}}", {"domain": {"id": acme}}),
        (f"/domains/{acme}/groups/{group}/roles/{{0}}", {"domain": {"id": acme}}),
        (f"/system/users/{user}/roles/{{0}}", {"system": {"all": True}}),
        (f"/system/groups/{group}/roles/{{0}}", {"system": {"all": True}}),
        (f"/OS-INHERIT/domains/{acme}/users/{user}/roles/{{0}}/inherited_to_projects", _project(low)),
        (f"/OS-INHERIT/domains/{acme}/groups/{group}/roles/{{0}}/inherited_to_projects", _project(low)),
        (f"/OS-INHERIT/projects/{top}/users/{user}/roles/{{0}}/inherited_to_projects", _project(low)),
        (f"/OS-INHERIT/projects/{top}/groups/{group}/roles/{{0}}/inherited_to_projects", _project(low)),
    ]
    await scene.put(f"/projects/{low}/users/{user}/roles/{scene.steward}")
    for path, scope in ways:
        before = await scene.token(scope)
        await scene.put(path.format(scene.pilot))
        token = await scene.token(scope)
        assert scene.pilot in await scene.roles(token), path
        await scene.delete(path.format(scene.pilot))
        await scene.ends(token)
        # the role is all that is gone: a token without it goes on
        assert not before or await scene.works(before), path
        after = await scene.token(scope)
        assert bool(after) is (scope == _project(low)), path


async def test_a_role_that_came_by_two_ways_is_lost_with_the_second(cloud: IdentityCloud) -> None:
    scene = await _scene(cloud)
    direct = f"/projects/{scene.low}/users/{scene.user}/roles/{scene.pilot}"
    inherited = f"/OS-INHERIT/projects/{scene.top}/groups/{scene.group}/roles/{scene.pilot}/inherited_to_projects"
    await scene.put(direct)
    await scene.put(inherited)
    token, later = await scene.token(_project(scene.low)), await scene.token(_project(scene.low))
    await scene.delete(direct)
    # what is revoked comes in order: once a later end is known, this one has had its chance
    gone = await cloud.demo()
    await cloud.ask("DELETE", "/auth/tokens", gone, headers={"X-Subject-Token": gone})
    await scene.ends(gone)
    assert await scene.works(token)
    await scene.delete(inherited)
    await scene.ends(token)
    await scene.ends(later)


async def test_what_is_no_longer_implied(cloud: IdentityCloud) -> None:
    scene = await _scene(cloud)
    await scene.put(f"/roles/{scene.crew}/implies/{scene.pilot}")
    await scene.put(f"/roles/{scene.pilot}/implies/{scene.steward}")
    await scene.put(f"/projects/{scene.top}/users/{scene.user}/roles/{scene.crew}")
    await scene.put(f"/projects/{scene.low}/users/{scene.user}/roles/{scene.steward}")
    token, other = await scene.token(_project(scene.top)), await scene.token(_project(scene.low))
    # the domain's role is in no token
    assert await scene.roles(token) == {scene.pilot, scene.steward}
    await scene.delete(f"/roles/{scene.pilot}/implies/{scene.steward}")
    await scene.ends(token)
    token = await scene.token(_project(scene.top))
    assert await scene.roles(token) == {scene.pilot}
    await scene.delete(f"/roles/{scene.crew}")
    await scene.ends(token)
    assert await scene.works(other)
    assert not await scene.token(_project(scene.top))


async def test_a_domains_role_that_brought_others_along_elsewhere(cloud: IdentityCloud) -> None:
    scene = await _scene(cloud)
    far = await scene.made("domains", name="far")
    crew = await scene.made("roles", name="crew", domain_id=far)
    await scene.put(f"/roles/{crew}/implies/{scene.pilot}")
    await scene.put(f"/domains/{scene.acme}/users/{scene.user}/roles/{crew}")
    scope = {"domain": {"id": scene.acme}}
    token = await scene.token(scope)
    assert await scene.roles(token) == {scene.pilot}
    await cloud.ask("PATCH", f"/domains/{far}", scene.admin, json={"domain": {"enabled": False}})
    await scene.delete(f"/domains/{far}")
    await scene.ends(token)
    assert not await scene.token(scope)
    given = (await cloud.ask("GET", f"/role_assignments?user.id={scene.user}", scene.admin)).json()
    assert crew not in [one["role"]["id"] for one in given["role_assignments"]]


async def test_who_leaves_a_group(cloud: IdentityCloud) -> None:
    scene = await _scene(cloud)
    await scene.put(f"/projects/{scene.top}/groups/{scene.group}/roles/{scene.pilot}")
    token = await scene.token(_project(scene.top))
    await scene.delete(f"/groups/{scene.group}/users/{scene.user}")
    await scene.ends(token)
    assert not await scene.token(_project(scene.top))


async def test_a_group_that_is_deleted(cloud: IdentityCloud) -> None:
    scene = await _scene(cloud)
    await scene.put(f"/OS-INHERIT/domains/{scene.acme}/groups/{scene.group}/roles/{scene.pilot}/inherited_to_projects")
    token = await scene.token(_project(scene.low))
    await scene.delete(f"/groups/{scene.group}")
    await scene.ends(token)
    assert not await scene.token(_project(scene.low))


async def test_what_a_user_may_turn_a_token_into(cloud: IdentityCloud) -> None:
    scene = await _scene(cloud)
    await scene.put(f"/OS-INHERIT/projects/{scene.top}/groups/{scene.group}/roles/{scene.pilot}/inherited_to_projects")
    await scene.put(f"/domains/{scene.acme}/groups/{scene.group}/roles/{scene.pilot}")
    await scene.put(f"/system/groups/{scene.group}/roles/{scene.pilot}")
    # a domain's role that implies nothing is no way in
    await scene.put(f"/projects/{scene.top}/users/{scene.user}/roles/{scene.crew}")
    token = await scene.token("unscoped")
    names = [one["name"] for one in (await cloud.ask("GET", "/auth/projects", token)).json()["projects"]]
    assert names == ["demo", "low"]
    domains = (await cloud.ask("GET", "/auth/domains", token)).json()["domains"]
    assert [domain["name"] for domain in domains] == ["acme"]
    system = (await cloud.ask("GET", "/auth/system", token)).json()
    assert system == {"system": [{"all": True}], "links": {"self": "http://cloud.test/identity/v3/auth/system"}}
    mine = (await cloud.ask("GET", f"/users/{scene.user}/projects", token)).json()["projects"]
    assert [project["name"] for project in mine] == ["demo", "low"]
    assert not await scene.token(_project(scene.top))
    for path in ("/auth/projects", "/auth/domains", "/auth/system"):
        assert (await cloud.ask("HEAD", path, token)).status == 200
        assert (await cloud.ask("GET", path)).status == 401
