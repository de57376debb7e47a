"""Trusts: who may make and see them, and bodies that make no sense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.http.cloud import cases, play
from tests.http.identity.conftest import IdentityCloud
from tests.http.identity.trust_scene import TRUSTS, Scene, made_scene


@pytest.fixture
async def scene(cloud: IdentityCloud) -> Scene:
    return await made_scene(cloud)


async def test_every_operation(scene: Scene, cloud: IdentityCloud) -> None:
    taker, stranger = await scene.user("taker"), await scene.user("stranger")
    kept = {
        "admin": scene.admin,
        "giver": scene.giver.token,
        "taker": taker.token,
        "stranger": stranger.token,
        "giver_id": scene.giver.id,
        "taker_id": taker.id,
        "project": scene.project,
        "member": scene.roles["member"],
        "reader": scene.roles["reader"],
        "other_project": await cloud.id_of("projects", "service"),
    }
    for case in cases(Path(__file__).with_name("trusts.yaml")):
        await play(cloud.client, case, kept)


@pytest.mark.parametrize(
    "wrong",
    [
        {"impersonation": "no"},
        {"impersonation": None},
        {"trustee_user_id": 5},
        {"trustee_user_id": None},
        {"project_id": ["x"]},
        {"roles": {}},
        {"roles": None},
        {"roles": [{}]},
        {"roles": [{"id": "a", "name": "b"}]},
        {"roles": [{"id": "a b"}]},
        {"remaining_uses": 0},
        {"remaining_uses": -1},
        {"remaining_uses": "1"},
        {"remaining_uses": 1.5},
        {"remaining_uses": True},
        {"remaining_uses": 2**70},
        {"allow_redelegation": "true"},
        {"redelegation_count": -1},
        {"redelegation_count": "1"},
        {"expires_at": 5},
        {"expires_at": ""},
        {"expires_at": "soon"},
        {"expires_at": "2099-01-01"},
        {"expires_at": "2099-13-01T00:00:00Z"},
        {"expires_at": "2099-01-01T00:00:00+02:00"},
        {"expires_at": "２０９９-01-01T00:00:00Z"},
        {"redelegated_trust_id": {}},
    ],
)
async def test_bodies_that_make_no_sense(scene: Scene, wrong: dict[str, Any]) -> None:
    answer = await scene.give(scene.giver, **wrong)
    assert answer.status == 400, answer.body
    assert answer.json()["error"]["title"] == "Bad Request"


async def test_no_body(scene: Scene) -> None:
    for body in (b"", b"null", b"[]", b"{}", b'{"trust": null}', b'{"trust": {}}', b'{"trust": []}', b"{"):
        assert (await scene.cloud.ask("POST", TRUSTS, scene.giver.token, body=body)).status == 400


async def test_who_may_see(scene: Scene, cloud: IdentityCloud) -> None:
    taker, stranger = await scene.user("taker"), await scene.user("stranger")
    trust = await scene.given(taker)
    await cloud.ask("PUT", f"/system/users/{stranger.id}/roles/{scene.roles['reader']}", scene.admin)
    system_reader = (await cloud.log_in("stranger", "pw", {"system": {"all": True}})).headers["x-subject-token"]
    await cloud.ask("PUT", f"/domains/default/users/{stranger.id}/roles/{scene.roles['admin']}", scene.admin)
    domain_admin = (await cloud.log_in("stranger", "pw", {"domain": {"id": "default"}})).headers["x-subject-token"]
    tokens = {
        "admin": scene.admin,
        "giver": scene.giver.token,
        "taker": taker.token,
        "stranger": stranger.token,
        "system reader": system_reader,
        "domain admin": domain_admin,
    }
    one = f"{TRUSTS}/{trust}"
    viewers = {"admin", "system reader"}
    parties = viewers | {"giver", "taker"}
    for method, path, allowed in (
        ("GET", TRUSTS, viewers),
        ("GET", f"{TRUSTS}?trustor_user_id={scene.giver.id}", viewers | {"giver"}),
        ("GET", f"{TRUSTS}?trustee_user_id={taker.id}", viewers | {"taker"}),
        ("GET", one, parties),
        ("HEAD", one, parties),
        ("GET", f"{one}/roles", parties),
        ("GET", f"{one}/roles/{scene.roles['member']}", parties),
    ):
        for name, token in tokens.items():
            answer = await cloud.ask(method, path, token)
            assert (answer.status != 403) is (name in allowed), (method, path, name, answer)
        assert (await cloud.ask(method, path)).status == 401
    for name in ("taker", "stranger", "system reader", "domain admin"):
        assert (await cloud.ask("DELETE", one, tokens[name])).status == 403
    for token in tokens.values():
        for path in ("/nothing", "/nothing/roles", "/nothing/roles/nothing", "/%C3%BC", "/" + "x" * 3000):
            answer = await cloud.ask("GET", TRUSTS + path, token)
            assert answer.status == 404, (path, answer)


async def test_what_goes_with_a_user_and_a_project(scene: Scene, cloud: IdentityCloud) -> None:
    taker = await scene.user("taker")
    await scene.given(taker)
    await cloud.ask("DELETE", f"/users/{taker.id}", scene.admin)
    assert (await cloud.ask("GET", TRUSTS, scene.admin)).json()["trusts"] == []


async def test_pages(scene: Scene, cloud: IdentityCloud) -> None:
    taker = await scene.user("taker")
    made = {await scene.given(taker) for _ in range(5)}
    seen: list[str] = []
    path = f"{TRUSTS}?limit=2&trustee_user_id={taker.id}"
    while path:
        body = (await cloud.ask("GET", path, taker.token)).json()
        assert not any("roles" in trust for trust in body["trusts"])
        seen += [trust["id"] for trust in body["trusts"]]
        path = (body["links"]["next"] or "").partition("/identity/v3")[2]
    assert seen == sorted(made)
