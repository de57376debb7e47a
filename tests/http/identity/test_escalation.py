"""What people try who have something in one domain and want more: nothing of it works, and nothing of it is an error.

The same requests by four of them; ids of the scene are in braces.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from tests.http.cloud import Answer
from tests.http.identity.conftest import ADMIN, IdentityCloud
from tests.http.identity.test_credentials import Pair

#: body of each attempt; None: without one
_Attempt = tuple[str, str, Any]


def _on_users() -> Iterator[_Attempt]:
    """Of people elsewhere: their attributes, what they have, and things made in their name."""
    for user in ("{root}", "{stranger}"):
        for change in (
            {"password": "x"},
            {"enabled": False},
            {"name": "z"},
            {"domain_id": "{acme}"},
            {"options": {"lock_password": True}},
            {"default_project_id": "{works}"},
        ):
            yield "PATCH", f"/users/{user}", {"user": change}
        for below in ("", "/groups", "/projects", "/credentials/OS-EC2", "/application_credentials", "/access_rules"):
            yield "GET", f"/users/{user}{below}", None
        yield "DELETE", f"/users/{user}", None
        yield "DELETE", f"/users/{user}/tokens", None
        yield "POST", f"/users/{user}/credentials/OS-EC2", {"tenant_id": "{throne}"}
        yield "POST", f"/users/{user}/application_credentials", {"application_credential": {"name": "x"}}
        for kind in ("ec2", "totp", "cert"):
            blob = '{{"access": "a", "secret": "s"}}'
            body = {"type": kind, "blob": blob, "user_id": user, "project_id": "{throne}"}
            yield "POST", "/credentials", {"credential": body}
        trust = {"trustor_user_id": user, "trustee_user_id": "{ann}", "project_id": "{throne}"}
        yield "POST", "/OS-TRUST/trusts", {"trust": trust | {"impersonation": True, "roles": [{"name": "admin"}]}}


def _on_places() -> Iterator[_Attempt]:
    """Things made in other domains, moved there, or made to be domains."""
    for kind, domain in product(("user", "group", "project"), ("default", "{far}", "", None, ["{acme}"])):
        yield "POST", f"/{kind}s", {kind: {"name": "n", "domain_id": domain}}
    for kind in ("user", "group", "project"):
        yield "POST", f"/{kind}s", {kind: {"name": "n"}}
    for parent in ("{away}", "{far}", "default", "{throne}"):
        yield "POST", "/projects", {"project": {"name": "n", "domain_id": "{acme}", "parent_id": parent}}
        yield "POST", "/projects", {"project": {"name": "n", "parent_id": parent}}
    for more in ({}, {"domain_id": "{acme}"}, {"domain_id": None}):
        yield "POST", "/projects", {"project": {"name": "n", "is_domain": True, **more}}
    for change in ({"enabled": False}, {"name": "q"}, {"options": {"immutable": True}}, {"tags": ["a"]}):
        yield "PATCH", "/domains/{acme}", {"domain": change}
        for project in ("{acme}", "{away}", "{throne}", "default"):
            yield "PATCH", f"/projects/{project}", {"project": change}
    yield "PUT", "/projects/{acme}/tags/x", None
    yield "DELETE", "/projects/{acme}", None
    yield "DELETE", "/domains/{acme}", None
    for kind, named in (("user", "ann"), ("group", "crowd"), ("project", "works")):
        for change in ({"domain_id": "{far}"}, {"id": "{root}"}):
            yield "PATCH", f"/{kind}s/{{{named}}}", {kind: change}
    yield "PATCH", "/projects/{works}", {"project": {"parent_id": "{away}"}}
    yield "PATCH", "/projects/{works}", {"project": {"is_domain": True}}


def _on_roles() -> Iterator[_Attempt]:
    """Roles made, made to imply others, and given where or to whom they must not be."""
    for document in ({"name": "x"}, {"name": "x", "domain_id": "{acme}"}, {"name": "x", "domain_id": "{far}"}):
        yield "POST", "/roles", {"role": document}
    for prior, implied in product(("{member}", "{own}"), ("{admin}", "{manager}")):
        yield "PUT", f"/roles/{prior}/implies/{implied}", None
    yield "PATCH", "/roles/{own}", {"role": {"name": "admin"}}
    yield "DELETE", "/roles/{own}", None
    actors = ("users/{ann}", "users/{boss}", "users/{stranger}", "groups/{crowd}", "groups/{others}")
    places = ("projects/{works}", "domains/{acme}", "projects/{away}", "domains/{far}", "domains/default", "system")
    for actor, place, role in product(actors, places, ("{admin}", "{service}", "{foreign}", "{manager}")):
        local = place in places[:2] and actor not in ("users/{stranger}", "groups/{others}")
        if local and role == "{manager}":
            # what managers of a domain are there for
            continue
        yield "PUT", f"/{place}/{actor}/roles/{role}", None
        yield "DELETE", f"/{place}/{actor}/roles/{role}", None
        if place != "system":
            yield "PUT", f"/OS-INHERIT/{place}/{actor}/roles/{role}/inherited_to_projects", None
    for group, user in (("{crowd}", "{stranger}"), ("{others}", "{ann}"), ("{others}", "{stranger}")):
        yield "PUT", f"/groups/{group}/users/{user}", None
        yield "DELETE", f"/groups/{group}/users/{user}", None


def _filled(value: Any, ids: dict[str, str]) -> Any:
    if isinstance(value, str):
        return value.format(**ids)
    if isinstance(value, dict):
        return {key: _filled(item, ids) for key, item in value.items()}
    return [_filled(item, ids) for item in value] if isinstance(value, list) else value


class _Scene:
    """Domain acme with a manager (boss) and a project's manager (ann), and a world around it."""

    def __init__(self, cloud: IdentityCloud, admin: str) -> None:
        self.cloud, self.admin = cloud, admin
        self.ids: dict[str, str] = {}

    async def made(self, key: str, kind: str, **fields: Any) -> None:
        answer = await self.cloud.ask("POST", f"/{kind}s", self.admin, json={kind: _filled(fields, self.ids)})
        assert answer.status == 201, answer.body
        self.ids[key] = answer.json()[kind]["id"]

    async def build(self) -> None:
        for role in ("admin", "manager", "member", "service"):
            self.ids[role] = await self.cloud.id_of("roles", role)
        self.ids["root"] = await self.cloud.id_of("users", "admin")
        self.ids["throne"] = await self.cloud.id_of("projects", "admin")
        for domain, user, group, project, role in (
            ("acme", "ann", "crowd", "works", "own"),
            ("far", "stranger", "others", "away", "foreign"),
        ):
            within = {"domain_id": f"{{{domain}}}"}
            await self.made(domain, "domain", name=domain)
            await self.made(user, "user", name=user, password="pw", **within)
            await self.made(group, "group", name="crowd", **within)
            await self.made(project, "project", name="works", **within)
            # named like one that managers may give
            await self.made(role, "role", name="manager", **within)
        await self.made("boss", "user", name="boss", password="pw", domain_id="{acme}")
        for path in ("/domains/{acme}/users/{boss}", "/projects/{works}/users/{ann}"):
            answer = await self.cloud.ask("PUT", f"{path}/roles/{{manager}}".format(**self.ids), self.admin)
            assert answer.status == 204

    async def token(self, user: str, scope: Any) -> str:
        identity = {"methods": ["password"], "password": {"user": {"id": self.ids[user], "password": "pw"}}}
        body = {"auth": {"identity": identity, "scope": _filled(scope, self.ids)}}
        return (await self.cloud.ask("POST", "/auth/tokens", json=body)).headers["x-subject-token"]

    async def tried(self, token: str, attempt: _Attempt) -> Answer:
        method, path, body = attempt
        path = path.format(**self.ids)
        return await self.cloud.ask(method, path, token, **({"json": _filled(body, self.ids)} if body else {}))


@pytest.fixture
async def scene(cloud: IdentityCloud) -> _Scene:
    made = _Scene(cloud, await cloud.admin())
    await made.build()
    return made


@pytest.mark.parametrize(
    ("user", "scope"),
    [
        ("boss", {"domain": {"id": "{acme}"}}),
        ("ann", {"project": {"id": "{works}"}}),
        ("ann", "unscoped"),
    ],
    ids=["manager of a domain", "manager of a project", "nobody"],
)
@pytest.mark.parametrize("attempts", [_on_users, _on_places, _on_roles])
async def test_nobody_gets_more(scene: _Scene, user: str, scope: Any, attempts: Any) -> None:
    token = await scene.token(user, scope)
    for attempt in attempts():
        answer = await scene.tried(token, attempt)
        assert 400 <= answer.status < 500, (attempt, answer.body)
        assert answer.status != 401, (attempt, answer.body)
    assert (await scene.cloud.log_in("admin", ADMIN)).status == 201


async def test_nobody_changes_themselves(scene: _Scene) -> None:
    token = await scene.token("ann", {"project": {"id": "{works}"}})
    changes: list[Any] = [
        {"enabled": True},
        {"domain_id": "{far}"},
        {"password": "n"},
        {"options": {}},
        {"name": "root"},
    ]
    for change in changes:
        answer = await scene.tried(token, ("PATCH", "/users/{ann}", {"user": change}))
        assert answer.status == 403, (change, answer.body)


async def test_a_key_pair_for_a_project_of_others_opens_nothing(scene: _Scene) -> None:
    token = await scene.token("ann", {"project": {"id": "{works}"}})
    blob = '{{"access": "mine", "secret": "s"}}'
    body = {"credential": {"type": "ec2", "blob": blob, "user_id": "{ann}", "project_id": "{throne}"}}
    assert (await scene.tried(token, ("POST", "/credentials", body))).status == 201
    pair = Pair(scene.cloud, scene.admin, {"access": "mine", "secret": "s"})
    assert (await pair.ec2()).status == 401
