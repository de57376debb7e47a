"""Trusts in use: what their tokens are good for, what ends them, and how far they are handed on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.identity.conftest import ADMIN, DEMO, IdentityCloud, on_project, somebody
from tests.http.identity.trust_scene import TRUSTS, Party, Scene, made_scene


@pytest.fixture
async def scene(cloud: IdentityCloud) -> Scene:
    return await made_scene(cloud)


async def test_a_trustee_acts_with_the_roles_of_the_trust_alone(scene: Scene) -> None:
    taker = await scene.user("taker")
    token = (await scene.use(taker, await scene.given(taker, roles=[{"name": "reader"}]))).json()["token"]
    assert token["user"]["id"] == taker.id
    assert [role["name"] for role in token["roles"]] == ["reader"]
    assert token["project"]["name"] == "demo"
    assert "is_domain" not in token
    assert token["methods"] == ["token", "password"]
    assert token["OS-TRUST:trust"] == {
        "id": token["OS-TRUST:trust"]["id"],
        "impersonation": False,
        "trustor_user": {"id": scene.giver.id},
        "trustee_user": {"id": taker.id},
    }


async def test_a_trustee_in_the_trustors_place(scene: Scene, cloud: IdentityCloud) -> None:
    taker = await scene.user("taker")
    trust = await scene.given(taker, impersonation=True)
    issued = await scene.use(taker, trust)
    token, text = issued.json()["token"], issued.headers["x-subject-token"]
    assert token["user"] == {
        "id": scene.giver.id,
        "name": "demo",
        "domain": {"id": "default", "name": "Default"},
        "password_expires_at": None,
    }
    assert sorted(role["name"] for role in token["roles"]) == ["member", "reader"]
    shown = await cloud.ask("GET", "/auth/tokens?nocatalog", scene.admin, headers={"X-Subject-Token": text})
    assert shown.json()["token"] == token
    # the token is the trustee's to look at and to end
    for asker, status in ((text, 403), (taker.token, 200)):
        answer = await cloud.ask("GET", "/auth/tokens", asker, headers={"X-Subject-Token": text})
        assert answer.status == status
    by_password = await cloud.log_in("taker", "pw", {"OS-TRUST:trust": {"id": trust}})
    assert by_password.json()["token"]["user"]["id"] == scene.giver.id


async def test_who_may_not_use_it(scene: Scene) -> None:
    taker, stranger = await scene.user("taker"), await scene.user("stranger")
    trust = await scene.given(taker)
    assert (await scene.use(stranger, trust)).status == 403
    assert (await scene.use(scene.giver, trust)).status == 403
    assert (await scene.use(taker, "nothing")).status == 401
    assert (await scene.use(taker, "")).status == 400
    nothing = await scene.given(taker, project_id=None, roles=[])
    assert (await scene.use(taker, nothing)).status == 404
    for scope in ({"OS-TRUST:trust": {}}, {"OS-TRUST:trust": "x"}, {"OS-TRUST:trust": {"id": 5}}):
        assert (await scene.cloud.log_in("taker", "pw", scope)).status == 400
    both = {"OS-TRUST:trust": {"id": trust}, **on_project("demo")}
    assert (await scene.cloud.log_in("taker", "pw", both)).status == 400


@pytest.mark.parametrize("impersonation", [True, False])
async def test_nobody_gets_out_of_a_trust(scene: Scene, cloud: IdentityCloud, impersonation: bool) -> None:
    taker = await scene.user("taker")
    trust = await scene.given(taker, impersonation=impersonation)
    text = (await scene.use(taker, trust)).headers["x-subject-token"]
    inside = Party("inside", scene.giver.id if impersonation else taker.id, text)
    for scope in (None, on_project("demo"), {"OS-TRUST:trust": {"id": trust}}, "unscoped"):
        auth: dict[str, Any] = {"identity": {"methods": ["token"], "token": {"id": text}}}
        refused = await cloud.ask("POST", "/auth/tokens", json={"auth": auth | ({"scope": scope} if scope else {})})
        assert refused.status == 403
        assert "Using trust-scoped token to create another token" in refused.json()["error"]["message"]
    path = f"/users/{inside.id}/application_credentials"
    assert (await cloud.ask("POST", path, text, json={"application_credential": {"name": "x"}})).status == 403
    # it may not be handed on
    assert (await scene.give(taker, inside)).status in (403, 404)


async def test_application_credentials_keep_away_from_trusts(scene: Scene, cloud: IdentityCloud) -> None:
    path = f"/users/{scene.giver.id}/application_credentials"
    new = {"application_credential": {"name": "robot", "secret": "s", "unrestricted": True}}
    credential = (await cloud.ask("POST", path, scene.giver.token, json=new)).json()["application_credential"]["id"]
    shown = {"methods": ["application_credential"], "application_credential": {"id": credential, "secret": "s"}}
    issued = await cloud.ask("POST", "/auth/tokens", json={"auth": {"identity": shown}})
    robot = Party("robot", scene.giver.id, issued.headers["x-subject-token"])
    taker = await scene.user("taker")
    trust = await scene.given(taker)
    refused = await scene.give(taker, robot)
    assert refused.status == 403
    assert "Delegated tokens cannot manage trusts" in refused.json()["error"]["message"]
    for method, path in (
        ("GET", f"?trustor_user_id={scene.giver.id}"),
        ("GET", f"/{trust}"),
        ("GET", f"/{trust}/roles"),
        ("DELETE", f"/{trust}"),
    ):
        assert (await cloud.ask(method, TRUSTS + path, robot.token)).status == 403


async def test_uses_run_out(scene: Scene, cloud: IdentityCloud) -> None:
    taker, stranger = await scene.user("taker"), await scene.user("stranger")
    trust = await scene.given(taker, remaining_uses=2)
    assert (await scene.use(stranger, trust)).status == 403
    issued = []
    for left in (1, 0):
        issued.append((await scene.use(taker, trust)).headers["x-subject-token"])
        (listed,) = (await cloud.ask("GET", TRUSTS, scene.admin)).json()["trusts"]
        assert listed["remaining_uses"] == left
    assert (await scene.use(taker, trust)).status == 401
    for method in ("GET", "DELETE"):
        assert (await cloud.ask(method, f"{TRUSTS}/{trust}", scene.giver.token)).status == 404
    # what it was used for goes on
    assert [await scene.holds(token) for token in issued] == [True, True]


async def test_a_trust_ends_when_it_says(scene: Scene, cloud: IdentityCloud) -> None:
    taker = await scene.user("taker")
    issued_at = (await cloud.log_in("taker", "pw")).json()["token"]["expires_at"]
    end = issued_at[:17] + "00.000000Z"
    trust = await scene.given(taker, expires_at=end)
    issued = await scene.use(taker, trust)
    assert issued.json()["token"]["expires_at"] <= end
    cloud.world.ahead_s = 3700
    assert (await cloud.log_in("taker", "pw", {"OS-TRUST:trust": {"id": trust}})).status == 401
    scene.admin = await cloud.admin()
    assert (await cloud.ask("GET", f"{TRUSTS}/{trust}", scene.admin)).status == 404
    assert [found["id"] for found in (await cloud.ask("GET", TRUSTS, scene.admin)).json()["trusts"]] == [trust]


async def _disabled(scene: Scene, kind: str, one_id: str, enabled: bool = False) -> None:
    body = {kind: {"enabled": enabled}}
    assert (await scene.cloud.ask("PATCH", f"/{kind}s/{one_id}", scene.admin, json=body)).status == 200


@pytest.mark.parametrize("impersonation", [True, False])
@pytest.mark.parametrize(
    ("change", "status"),
    [
        *(("trustor disabled", 403), ("trustor deleted", 401), ("trust deleted", 401), ("domain disabled", 404)),
        *(("role lost", 403), ("role deleted", 403), ("project disabled", 401), ("project deleted", 401)),
    ],
)
async def test_what_ends_a_trust_ends_its_tokens(scene: Scene, change: str, status: int, impersonation: bool) -> None:
    cloud = scene.cloud
    domain = (await cloud.ask("POST", "/domains", scene.admin, json={"domain": {"name": "far"}})).json()["domain"]["id"]
    role = (await cloud.ask("POST", "/roles", scene.admin, json={"role": {"name": "extra"}})).json()["role"]["id"]
    giver_id = await somebody(cloud, "giver", domain_id=domain)
    path = f"/projects/{scene.project}/users/{giver_id}/roles/{role}"
    await cloud.ask("PUT", path, scene.admin)
    taker = await scene.user("taker")
    identity = {"methods": ["password"], "password": {"user": {"id": giver_id, "password": "pw"}}}
    issued = await cloud.ask("POST", "/auth/tokens", json={"auth": {"identity": identity}})
    giver = Party("giver", giver_id, issued.headers["x-subject-token"])
    trust = await scene.given(taker, giver, impersonation=impersonation, roles=[{"id": role}])
    token = (await scene.use(taker, trust)).headers["x-subject-token"]
    assert await scene.holds(token)
    if change == "trustor disabled":
        await _disabled(scene, "user", giver_id)
    elif change == "trustor deleted":
        await cloud.ask("DELETE", f"/users/{giver_id}", scene.admin)
    elif change == "role lost":
        await cloud.ask("DELETE", path, scene.admin)
    elif change == "role deleted":
        await cloud.ask("DELETE", f"/roles/{role}", scene.admin)
    elif change == "project disabled":
        await _disabled(scene, "project", scene.project)
    elif change == "project deleted":
        await cloud.ask("DELETE", f"/projects/{scene.project}", scene.admin)
    elif change == "trust deleted":
        assert (await cloud.ask("DELETE", f"{TRUSTS}/{trust}", scene.admin)).status == 204
    else:
        await _disabled(scene, "domain", domain)
    taker.token = await scene.log_in("taker")
    assert (await scene.use(taker, trust)).status == status
    assert not await scene.holds(token)


async def test_a_disabled_trustee_is_nobody(scene: Scene) -> None:
    taker = await scene.user("taker")
    trust = await scene.given(taker, impersonation=True)
    token = (await scene.use(taker, trust)).headers["x-subject-token"]
    await _disabled(scene, "user", taker.id)
    assert (await scene.cloud.log_in("taker", "pw", {"OS-TRUST:trust": {"id": trust}})).status == 401
    assert not await scene.holds(token)


async def _hand_on(scene: Scene, takers: list[Party]) -> list[tuple[str, str]]:
    """A trust handed on from one to the next; the ids, and a token of each."""
    chain = []
    giver = scene.giver
    for taker in takers:
        trust = await scene.given(taker, giver, impersonation=True, allow_redelegation=True)
        token = (await scene.use(taker, trust)).headers["x-subject-token"]
        chain.append((trust, token))
        giver = Party("inside", scene.giver.id, token)
    return chain


async def test_handing_on_ends(scene: Scene, cloud: IdentityCloud) -> None:
    takers = [await scene.user(f"taker-{at}") for at in range(5)]
    chain = await _hand_on(scene, takers[:4])
    shown = [(await cloud.ask("GET", f"{TRUSTS}/{trust}", scene.admin)).json()["trust"] for trust, _ in chain]
    assert [trust["redelegation_count"] for trust in shown] == [3, 2, 1, 0]
    assert [trust["redelegated_trust_id"] for trust in shown] == [None, *(trust for trust, _ in chain[:3])]
    last = Party("inside", scene.giver.id, chain[-1][1])
    assert (await scene.give(takers[4], last, impersonation=True)).status == 403
    # an agent in the middle stands for all that follow
    await _disabled(scene, "user", takers[1].id)
    assert [await scene.holds(token) for _, token in chain] == [True, False, False, False]
    assert (await scene.use(takers[3], chain[3][0])).status == 403
    assert (await cloud.ask("GET", f"{TRUSTS}/{chain[2][0]}", scene.admin)).status == 403
    await _disabled(scene, "user", takers[1].id, enabled=True)
    assert (await scene.use(takers[3], chain[3][0])).status == 201
    assert (await cloud.ask("DELETE", f"{TRUSTS}/{chain[0][0]}", scene.giver.token)).status == 204
    assert (await cloud.ask("GET", TRUSTS, scene.admin)).json()["trusts"] == []
    assert not await scene.holds(chain[0][1])


@pytest.mark.parametrize("what", ["user", "domain"])
@pytest.mark.parametrize("impersonation", [True, False])
async def test_handing_on_ends_with_everybody_in_between(scene: Scene, what: str, impersonation: bool) -> None:
    cloud = scene.cloud
    domain = (await cloud.ask("POST", "/domains", scene.admin, json={"domain": {"name": "far"}})).json()["domain"]["id"]
    agent_id = await somebody(cloud, "agent", domain_id=domain)
    identity = {"methods": ["password"], "password": {"user": {"id": agent_id, "password": "pw"}}}
    logged = await cloud.ask("POST", "/auth/tokens", json={"auth": {"identity": identity, "scope": "unscoped"}})
    agent, last = Party("agent", agent_id, logged.headers["x-subject-token"]), await scene.user("last")
    trust = await scene.given(agent, impersonation=impersonation, allow_redelegation=True)
    giver = scene.giver.id if impersonation else agent_id
    inside = Party("inside", giver, (await scene.use(agent, trust)).headers["x-subject-token"])
    handed = await scene.given(last, inside, impersonation=impersonation, redelegated_trust_id=trust)
    token = (await scene.use(last, handed)).headers["x-subject-token"]
    assert await scene.holds(token)
    # of two people in between one is enough: the first to give, too, when nobody acts in their name
    first = scene.giver.id if what == "user" and not impersonation else agent_id
    await _disabled(scene, what, first if what == "user" else domain)
    assert not await scene.holds(token)
    assert (await scene.use(last, handed)).status == 403
    await _disabled(scene, what, first if what == "user" else domain, enabled=True)
    assert (await scene.use(last, handed)).status == 201


async def test_what_is_handed_on_is_never_more(scene: Scene) -> None:
    one, two = await scene.user("one"), await scene.user("two")
    end = {"expires_at": "2099-01-01T00:00:00.000000Z"}
    trust = await scene.given(one, allow_redelegation=True, impersonation=True, **end)
    inside = Party("inside", scene.giver.id, (await scene.use(one, trust)).headers["x-subject-token"])
    for more, status in (
        ({"roles": [{"name": "admin"}]}, 404),
        ({"roles": [{"name": "reader"}]}, 403),
        ({"remaining_uses": 1}, 403),
        ({"expires_at": "2100-01-01T00:00:00Z"}, 403),
        ({"allow_redelegation": True, "redelegation_count": 1}, 403),
        ({"redelegated_trust_id": "nothing"}, 404),
    ):
        assert (await scene.give(two, inside, impersonation=True, **more)).status == status, more
    handed = (await scene.give(two, inside)).json()["trust"]
    assert (handed["redelegated_trust_id"], handed["redelegation_count"]) == (trust, 0)
    assert handed["expires_at"] == end["expires_at"]
    shorter = await scene.give(two, inside, impersonation=True, expires_at="2098-01-01T00:00:00Z")
    assert shorter.json()["trust"]["expires_at"] == "2098-01-01T00:00:00.000000Z"


async def test_who_is_not_in_the_trustors_place_does_not_hand_that_on(scene: Scene) -> None:
    one, two = await scene.user("one"), await scene.user("two")
    trust = await scene.given(one, allow_redelegation=True)
    inside = Party("inside", one.id, (await scene.use(one, trust)).headers["x-subject-token"])
    # the trustee's own roles count, and there are none
    assert (await scene.give(two, inside)).status == 404
    named = {"redelegated_trust_id": trust}
    assert (await scene.give(two, inside, impersonation=True, **named)).status == 403
    handed = await scene.given(two, inside, **named)
    assert (await scene.use(two, handed)).status == 403


async def test_a_trust_of_an_administrator_gives_what_it_names(scene: Scene, cloud: IdentityCloud) -> None:
    """The trustee of an administrator is no administrator."""
    taker = await scene.user("taker")
    admin = Party("admin", await cloud.id_of("users", "admin"), scene.admin)
    project = await cloud.id_of("projects", "admin")
    trust = await scene.given(taker, admin, impersonation=True, project_id=project, roles=[{"name": "member"}])
    token = (await scene.use(taker, trust)).headers["x-subject-token"]
    assert (await cloud.ask("POST", "/users", token, json={"user": {"name": "n"}})).status == 403
    assert (await cloud.log_in("admin", ADMIN)).status == 201
    assert (await cloud.log_in("demo", DEMO)).status == 201
