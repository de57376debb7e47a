"""Every kind of token against every way to lose what it was made from: it ends at once, and no other does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from kilostack.drivers.web.memory import MemoryWeb
from kilostack.identity.store import tokens as store
from tests.http.cloud import Answer
from tests.http.identity.conftest import IdentityCloud
from tests.http.identity.openid import Provider, known
from tests.http.identity.test_credentials import Pair
from tests.http.identity.test_oauth1 import Program, grant_of

_OWN = "unscoped yard works domain system"
_LENT = "robot lent shown oauth ec2"
_ANN = f"{_OWN} {_LENT}"
_WORKS = f"works {_LENT} visit-works visit-robot"
_VISITS = "visit visit-works visit-robot"

#: (how the basis is lost, the tokens that end); `METHOD /path {what changes}`, names in braces are ids of the scene
LOSSES: list[tuple[str, str]] = [
    ("PATCH /users/{ann} user enabled=False", _ANN),
    ("PATCH /users/{ann} user password=other", _ANN),
    ("DELETE /users/{ann}", _ANN),
    ("DELETE /users/{ann}/tokens", _ANN),
    ("PATCH /domains/{acme} domain enabled=False", f"{_ANN} visit-works visit-robot"),
    ("PATCH /users/{bob} user enabled=False", "lent shown"),
    ("PATCH /users/{bob} user password=other", "lent shown"),
    ("DELETE /users/{bob}", "lent shown"),
    ("PATCH /domains/{afar} domain enabled=False", "lent shown"),
    ("PATCH /projects/{works} project enabled=False", _WORKS),
    ("DELETE /projects/{works}", _WORKS),
    ("PATCH /projects/{yard} project enabled=False", "yard"),
    ("DELETE /projects/{works}/users/{ann}/roles/{pilot}", "works ec2 robot lent"),
    ("DELETE /domains/{acme}/users/{ann}/roles/{pilot}", "domain"),
    ("DELETE /system/users/{ann}/roles/{pilot}", "system"),
    ("DELETE /roles/{pilot}/implies/{steward}", "works ec2 robot lent domain system"),
    ("DELETE /roles/{pilot}", "works ec2 robot lent domain system"),
    ("DELETE /roles/{steward}", "works ec2 robot lent domain system"),
    ("DELETE /groups/{crowd}/users/{ann}", _ANN),
    ("DELETE /projects/{works}/groups/{crowd}/roles/{crew}", "works ec2 shown visit-works visit-robot"),
    ("DELETE /groups/{crowd}", "works ec2 shown visit-works visit-robot"),
    ("DELETE /OS-INHERIT/projects/{top}/users/{ann}/roles/{guest}/inherited_to_projects", "works ec2 oauth"),
    ("DELETE /OS-TRUST/trusts/{lent}", "lent"),
    ("DELETE /users/{ann}/application_credentials/{robot}", "robot"),
    ("DELETE /users/{ann}/OS-OAUTH1/access_tokens/{access}", "oauth"),
    ("DELETE /OS-OAUTH1/consumers/{consumer}", "oauth"),
    ("PATCH /OS-FEDERATION/identity_providers/acme identity_provider enabled=False", _VISITS),
    ("DELETE /OS-FEDERATION/identity_providers/acme", _VISITS),
    ("DELETE /OS-FEDERATION/identity_providers/acme/protocols/openid", _VISITS),
    ("DELETE /OS-FEDERATION/mappings/rules", _VISITS),
    ("DELETE /auth/tokens {unscoped}", _OWN),
    ("DELETE /auth/tokens {works}", "works"),
]


@pytest.fixture
def web() -> MemoryWeb:
    return MemoryWeb()


class _Scene:
    """One token of each kind, and the ids of what they were made from."""

    def __init__(self, cloud: IdentityCloud, provider: Provider, admin: str) -> None:
        self.cloud, self.provider, self.admin = cloud, provider, admin
        self.ids: dict[str, str] = {}
        self.tokens: dict[str, str] = {}

    async def ask(self, method: str, path: str, token: str = "", **more: Any) -> Answer:
        answer = await self.cloud.ask(method, path.format(**self.ids), token or self.admin, **more)
        assert answer.status < 300, (method, path, answer.body)
        return answer

    async def made(self, name: str, path: str, body: Any, token: str = "") -> dict[str, Any]:
        (found,) = (await self.ask("POST", path, token, json=body)).json().values()
        self.ids[name] = found["id"]
        return dict(found)

    async def logged(self, name: str, identity: Mapping[str, Any], scope: Any = None) -> str:
        identity = {"methods": list(identity), **identity}
        body = {"auth": {"identity": identity, "scope": "unscoped" if scope is None else scope}}
        if "application_credential" in identity:
            del body["auth"]["scope"]
        self.tokens[name] = (await self.ask("POST", "/auth/tokens?nocatalog", json=body)).headers["x-subject-token"]
        return self.tokens[name]

    async def build(self) -> None:
        await self._places()
        await self._own()
        await self._lent()
        await self._visits()

    async def _places(self) -> None:
        for domain in ("acme", "afar"):
            await self.made(domain, "/domains", {"domain": {"name": f"{domain} inc."}})
        acme = {"domain_id": self.ids["acme"]}
        for name, domain in (("ann", "acme"), ("bob", "afar")):
            body = {"name": name, "password": name, "domain_id": self.ids[domain]}
            await self.made(name, "/users", {"user": body})
        await self.made("crowd", "/groups", {"group": {"name": "crowd"} | acme})
        for project in ("top", "yard"):
            await self.made(project, "/projects", {"project": {"name": project} | acme})
        await self.made("works", "/projects", {"project": {"name": "w", "parent_id": self.ids["top"]} | acme})
        for role in ("pilot", "steward", "crew", "guest"):
            await self.made(role, "/roles", {"role": {"name": role}})
        self.ids["boss"] = await self.cloud.id_of("roles", "admin")
        for path in (
            "/groups/{crowd}/users/{ann}",
            "/roles/{pilot}/implies/{steward}",
            "/projects/{works}/users/{ann}/roles/{pilot}",
            "/projects/{works}/groups/{crowd}/roles/{crew}",
            "/OS-INHERIT/projects/{top}/users/{ann}/roles/{guest}/inherited_to_projects",
            "/projects/{yard}/users/{ann}/roles/{boss}",
            "/domains/{acme}/users/{ann}/roles/{pilot}",
            "/system/users/{ann}/roles/{pilot}",
        ):
            await self.ask("PUT", path)

    async def _own(self) -> None:
        unscoped = await self.logged("unscoped", {"password": {"user": {"id": self.ids["ann"], "password": "ann"}}})
        self.ids["unscoped"] = unscoped
        for name, scope in (
            ("yard", {"project": {"id": self.ids["yard"]}}),
            ("works", {"project": {"id": self.ids["works"]}}),
            ("domain", {"domain": {"id": self.ids["acme"]}}),
            ("system", {"system": {"all": True}}),
        ):
            self.tokens[name] = await self.logged(name, {"token": {"id": unscoped}}, scope)

    async def _lent(self) -> None:
        works, ann = self.tokens["works"], self.ids["ann"]
        robot = {"name": "robot", "secret": "s", "roles": [{"name": "pilot"}]}
        path = "/users/{ann}/application_credentials"
        await self.made("robot", path, {"application_credential": robot}, works)
        await self.logged("robot", {"application_credential": {"id": self.ids["robot"], "secret": "s"}})
        bob = {"password": {"user": {"id": self.ids["bob"], "password": "bob"}}}
        for name, role in (("lent", "pilot"), ("shown", "crew")):
            trust = {
                "trustor_user_id": ann,
                "trustee_user_id": self.ids["bob"],
                "impersonation": name == "lent",
                "project_id": self.ids["works"],
                "roles": [{"name": role}],
            }
            await self.made(name, "/OS-TRUST/trusts", {"trust": trust}, works)
            await self.logged(name, bob, {"OS-TRUST:trust": {"id": self.ids[name]}})
        consumer = await self.made("consumer", "/OS-OAUTH1/consumers", {"consumer": {}})
        program = Program(self.cloud, consumer["id"], consumer["secret"], self.ids["works"])
        wish = await program.wish()
        roles = {"roles": [{"name": "guest"}]}
        allowed = await self.ask("PUT", f"/OS-OAUTH1/authorize/{wish.key}", self.tokens["yard"], json=roles)
        grant = grant_of(await program.fetch(wish, allowed.json()["token"]["oauth_verifier"]))
        self.ids["access"] = grant.key
        self.tokens["oauth"] = (await program.log_in(grant)).headers["x-subject-token"]
        body = {"tenant_id": self.ids["works"]}
        pair = (await self.ask("POST", "/users/{ann}/credentials/OS-EC2", json=body)).json()["credential"]
        self.tokens["ec2"] = (await Pair(self.cloud, self.admin, pair).ec2()).headers["x-subject-token"]

    async def _visits(self) -> None:
        local = [{"user": {"name": "{0}"}}, {"group": {"id": self.ids["crowd"]}}]
        await known(self.cloud, self.admin, local=local)
        ttl = {"identity_provider": {"authorization_ttl": 60}}
        await self.ask("PATCH", "/OS-FEDERATION/identity_providers/acme", json=ttl)
        visit = self.tokens["visit"] = (await self.provider.log_in(self.provider.token())).headers["x-subject-token"]
        scope = {"project": {"id": self.ids["works"]}}
        scoped = await self.logged("visit-works", {"token": {"id": visit}}, scope)
        shown = await self.ask("GET", "/auth/tokens?nocatalog", headers={"X-Subject-Token": visit})
        self.ids["alice"] = shown.json()["token"]["user"]["id"]
        body = {"application_credential": {"name": "robot", "secret": "s"}}
        await self.made("visit-robot", "/users/{alice}/application_credentials", body, scoped)
        await self.logged("visit-robot", {"application_credential": {"id": self.ids["visit-robot"], "secret": "s"}})

    async def lose(self, how: str) -> None:
        method, path, *rest = how.split(" ")
        if path == "/auth/tokens":
            await self.ask(method, path, headers={"X-Subject-Token": self.tokens[rest[0].strip("{}")]})
        elif rest:
            name, _, value = rest[1].partition("=")
            await self.ask(method, path, json={rest[0]: {name: False if value == "False" else value}})
        else:
            await self.ask(method, path)

    async def holding(self, query: str = "nocatalog") -> set[str]:
        """Of the tokens those that identity still takes."""
        found = set()
        for name, token in self.tokens.items():
            answer = await self.cloud.ask(
                "GET", f"/auth/tokens?{query}", self.admin, headers={"X-Subject-Token": token}
            )
            assert answer.status in (200, 404), answer.body
            if answer.status == 200:
                found.add(name)
        return found


@pytest.fixture
async def scene(cloud: IdentityCloud, web: MemoryWeb) -> _Scene:
    made = _Scene(cloud, Provider(web, cloud), await cloud.admin())
    await made.build()
    return made


@pytest.mark.parametrize(("how", "ended"), LOSSES, ids=[how for how, _ in LOSSES])
async def test_what_ends_with_its_basis(scene: _Scene, how: str, ended: str) -> None:
    assert await scene.holding() == set(scene.tokens)
    await scene.lose(how)
    assert set(scene.tokens) - await scene.holding() == set(ended.split())


async def test_what_was_revoked_is_not_taken_late_either(scene: _Scene) -> None:
    cloud = scene.cloud
    await scene.lose("PATCH /users/{ann} user enabled=False")
    cloud.world.ahead_s = 3700
    now = cloud.world.now()
    await cloud.db.write(lambda tx: store.prune(tx, now))
    scene.admin = await cloud.admin()
    assert await scene.holding("nocatalog&allow_expired=1") == {"visit", "visit-works", "visit-robot"}
