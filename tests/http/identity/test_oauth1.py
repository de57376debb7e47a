"""OAuth 1.0a, with the client half of a library that others wrote."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest
from oauthlib.oauth1 import Client

from tests.http.cloud import ROOT, Answer, cases, play
from tests.http.identity.conftest import ADMIN, IdentityCloud, on_project

_BASE = f"{ROOT}/identity/v3"
_REJECTED = "The request you have made requires authentication."


class Grant(msgspec.Struct, frozen=True):
    """A token and its secret."""

    key: str
    secret: str


class Program:
    """A consumer, as programs are."""

    def __init__(self, cloud: IdentityCloud, key: str, secret: str, project: str) -> None:
        self.cloud, self.key, self.secret, self.project = cloud, key, secret, project

    async def send(self, path: str, grant: Grant | None = None, body: Any = None, **more: Any) -> Answer:
        """A signed request; `more` are arguments of the client."""
        client = Client(
            more.pop("key", self.key),
            client_secret=more.pop("secret", self.secret),
            resource_owner_key=None if grant is None else grant.key,
            resource_owner_secret=None if grant is None else grant.secret,
            **{"timestamp": str(self.cloud.world.now() // 1_000_000), **more},
        )
        project = {} if "request_token" not in path else {"Requested-Project-Id": self.project}
        _, headers, _ = client.sign(_BASE + path, http_method="POST", headers=project)
        return await self.cloud.ask("POST", path, json=body, headers=headers)

    async def ask(self, **more: Any) -> Answer:
        return await self.send("/OS-OAUTH1/request_token", callback_uri="oob", **more)

    async def wish(self) -> Grant:
        answer = await self.ask()
        assert answer.status == 201, answer.body
        return grant_of(answer)

    async def fetch(self, wish: Grant, verifier: str, **more: Any) -> Answer:
        return await self.send("/OS-OAUTH1/access_token", wish, verifier=verifier, **more)

    async def log_in(self, grant: Grant, scope: Any = None, **more: Any) -> Answer:
        auth: dict[str, Any] = {"identity": {"methods": ["oauth1"], "oauth1": {}}}
        body = {"auth": auth if scope is None else auth | {"scope": scope}}
        return await self.send("/auth/tokens?nocatalog", grant, body, **more)


def grant_of(answer: Answer) -> Grant:
    found = dict(parse_qsl(answer.body.decode()))
    assert answer.headers["content-type"] == "application/x-www-form-urlencoded"
    assert set(found) == {"oauth_token", "oauth_token_secret", "oauth_expires_at"}
    return Grant(found["oauth_token"], found["oauth_token_secret"])


@pytest.fixture
async def program(cloud: IdentityCloud) -> Program:
    made = (await cloud.ask("POST", "/OS-OAUTH1/consumers", await cloud.admin())).json()["consumer"]
    return Program(cloud, made["id"], made["secret"], await cloud.id_of("projects", "admin"))


async def _authorize(program: Program, wish: Grant, *roles: str) -> str:
    """The verifier that the administrator is told."""
    body = {"roles": [{"name": name} for name in roles]}
    path = f"/OS-OAUTH1/authorize/{wish.key}"
    answer = await program.cloud.ask("PUT", path, await program.cloud.admin(), json=body)
    assert answer.status == 200, answer.body
    return str(answer.json()["token"]["oauth_verifier"])


async def _let_in(program: Program, *roles: str) -> Grant:
    wish = await program.wish()
    answer = await program.fetch(wish, await _authorize(program, wish, *roles))
    assert answer.status == 201, answer.body
    return grant_of(answer)


async def test_consumers(cloud: IdentityCloud) -> None:
    kept = {"admin": await cloud.admin(), "demo": await cloud.demo()}
    for case in cases(Path(__file__).with_name("oauth1.yaml")):
        await play(cloud.client, case, kept)


async def test_a_program_is_let_in(program: Program) -> None:
    cloud = program.cloud
    grant = await _let_in(program, "member")
    # whatever it asks for, it is on the project that was granted
    for scope in (None, "unscoped", {"system": {"all": True}}):
        answer = await program.log_in(grant, scope)
        assert answer.status == 201, answer.body
        token = answer.json()["token"]
        assert token["methods"] == ["oauth1"]
        assert (token["user"]["name"], token["project"]["name"]) == ("admin", "admin")
        assert [role["name"] for role in token["roles"]] == ["member", "reader"]
        assert token["OS-OAUTH1"] == {"access_token_id": grant.key, "consumer_id": program.key}
    text = answer.headers["x-subject-token"]
    shown = await cloud.ask("GET", "/auth/tokens?nocatalog", await cloud.admin(), headers={"X-Subject-Token": text})
    assert shown.json()["token"] == token


@pytest.mark.parametrize("method", ["HMAC-SHA1", "HMAC-SHA256", "HMAC-SHA512"])
async def test_signature_methods(program: Program, method: str) -> None:
    assert (await program.ask(signature_method=method)).status == 201


async def test_wishes_that_are_refused(program: Program) -> None:
    late = str(program.cloud.world.now() // 1_000_000 - 700)
    for more, status in (
        ({"secret": "wrong"}, 401),
        ({"key": "nobody"}, 404),
        ({"signature_method": "PLAINTEXT"}, 400),
        ({"timestamp": late}, 400),
        ({"timestamp": "soon"}, 400),
        ({"timestamp": "1"}, 400),
        ({"realm": "here"}, 400),
    ):
        assert (await program.ask(**more)).status == status, more
    assert (await program.send("/OS-OAUTH1/request_token")).status == 400
    program.project = "nothing"
    assert (await program.ask()).status == 404
    program.project = ""
    assert (await program.ask()).status == 400


@pytest.mark.parametrize("method", ["POST /OS-OAUTH1/request_token", "POST /OS-OAUTH1/access_token", "log in"])
@pytest.mark.parametrize(
    "header",
    [
        *(
            None,
            "",
            "OAuth",
            "OAuth ",
            "OAuth x",
            "OAuth =",
            'OAuth "',
            "Basic eDp5",
            "OAuth a=b",
            "OAuth " + "x" * 9000,
        ),
        *('OAuth oauth_consumer_key="a", oauth_token="b", oauth_verifier="c"', "OAuth oauth_token=%ZZ", "OAuth ,,,=,"),
    ],
)
async def test_headers_that_make_no_sense(cloud: IdentityCloud, method: str, header: str | None) -> None:
    headers = {"Requested-Project-Id": await cloud.id_of("projects", "admin")}
    if header is not None:
        headers["Authorization"] = header
    if method == "log in":
        body = {"auth": {"identity": {"methods": ["oauth1"], "oauth1": {}}}}
        answer = await cloud.ask("POST", "/auth/tokens", json=body, headers=headers)
    else:
        answer = await cloud.ask(*method.split(), headers=headers)
    assert answer.status in (400, 401, 404), answer


async def test_who_may_grant_what(program: Program) -> None:
    cloud, wish = program.cloud, await program.wish()
    path = f"/OS-OAUTH1/authorize/{wish.key}"
    admin = await cloud.admin()
    # nothing to fetch before
    assert (await program.fetch(wish, "abcdefgh")).status == 401
    for roles, status in (([{"id": "nothing"}], 401), ([{"name": "nothing"}], 404), ([{"name": "service"}], 401)):
        assert (await cloud.ask("PUT", path, admin, json={"roles": roles})).status == status, roles
    system = (await cloud.log_in("admin", ADMIN, {"system": {"all": True}})).headers["x-subject-token"]
    assert (await cloud.ask("PUT", path, system, json={"roles": []})).status == 403
    program_token = (await program.log_in(await _let_in(program, "admin"))).headers["x-subject-token"]
    assert (await cloud.ask("PUT", path, program_token, json={"roles": [{"name": "member"}]})).status == 403


async def test_fetching_what_was_granted(program: Program) -> None:
    wish = await program.wish()
    verifier = await _authorize(program, wish, "member")
    assert len(verifier) == 8
    other = verifier[::-1] if verifier != verifier[::-1] else "abcdefgh"
    for more, status in (
        ({"verifier": other}, 401),
        ({"verifier": "short"}, 400),
        ({"verifier": "lO01lO01"}, 400),
        ({"verifier": verifier, "secret": "wrong"}, 401),
        ({"verifier": verifier, "key": "nobody"}, 401),
    ):
        assert (await program.fetch(wish, more.pop("verifier"), **more)).status == status, more
    assert (await program.fetch(Grant(wish.key, "wrong"), verifier)).status == 401
    assert (await program.fetch(Grant("nothing", wish.secret), verifier)).status == 404
    assert (await program.send("/OS-OAUTH1/access_token", verifier=verifier)).status == 400
    assert (await program.fetch(wish, verifier)).status == 201
    assert (await program.fetch(wish, verifier)).status == 404


async def test_another_programs_wish(program: Program) -> None:
    cloud = program.cloud
    made = (await cloud.ask("POST", "/OS-OAUTH1/consumers", await cloud.admin())).json()["consumer"]
    other = Program(cloud, made["id"], made["secret"], program.project)
    wish = await program.wish()
    verifier = await _authorize(program, wish, "member")
    assert (await other.fetch(wish, verifier)).status == 401
    grant = grant_of(await program.fetch(wish, verifier))
    assert (await other.log_in(grant)).status == 401
    assert (await program.log_in(grant)).status == 201


async def test_logins_that_are_refused(program: Program) -> None:
    grant = await _let_in(program, "member")
    assert (await program.log_in(Grant(grant.key, "wrong"))).json()["error"]["message"] == _REJECTED
    assert (await program.log_in(grant, secret="wrong")).status == 401
    assert (await program.log_in(grant, key="nobody")).status == 401
    assert (await program.log_in(grant, timestamp="1")).status == 401
    assert (await program.log_in(Grant("nothing", grant.secret))).status == 404
    assert (await program.send("/auth/tokens", grant, {"auth": {"identity": {"methods": ["oauth1"]}}})).status == 400
    # a granted role is none when it was taken from the user
    none = await _let_in(program)
    assert (await program.log_in(none)).status == 401


async def test_wishes_and_grants_end(program: Program) -> None:
    cloud = program.cloud
    wish, grant = await program.wish(), await _let_in(program, "member")
    verifier = await _authorize(program, wish, "member")
    cloud.world.ahead_s = 28_801
    assert (await program.fetch(wish, verifier)).status == 401
    path = f"/OS-OAUTH1/authorize/{wish.key}"
    assert (await cloud.ask("PUT", path, await cloud.admin(), json={"roles": []})).status == 401
    assert (await program.log_in(grant)).status == 201
    cloud.world.ahead_s = 86_401
    assert (await program.log_in(grant)).status == 401


async def test_nobody_gets_out_of_a_grant(program: Program) -> None:
    cloud = program.cloud
    user = await cloud.id_of("users", "admin")
    text = (await program.log_in(await _let_in(program, "admin"))).headers["x-subject-token"]
    for scope in ({}, {"scope": on_project("admin")}):
        auth = {"identity": {"methods": ["token"], "token": {"id": text}}, **scope}
        refused = await cloud.ask("POST", "/auth/tokens", json={"auth": auth})
        assert refused.status == 403
        assert "Using OAuth-scoped token to create another token" in refused.json()["error"]["message"]
    trust = {"trustor_user_id": user, "trustee_user_id": user, "impersonation": True}
    granted = f"/users/{user}/OS-OAUTH1/access_tokens"
    for method, path, body in (
        ("POST", "/OS-TRUST/trusts", {"trust": trust}),
        ("POST", f"/users/{user}/application_credentials", {"application_credential": {"name": "x"}}),
        ("GET", granted, None),
        ("DELETE", f"{granted}/nothing", None),
    ):
        assert (await cloud.ask(method, path, text, json=body)).status == 403, path


async def test_what_was_granted_is_shown(program: Program) -> None:
    cloud, grant = program.cloud, await _let_in(program, "member")
    admin, user = await cloud.admin(), await cloud.id_of("users", "admin")
    path = f"/users/{user}/OS-OAUTH1/access_tokens"
    one = f"{path}/{grant.key}"
    shown = (await cloud.ask("GET", one, admin)).json()["access_token"]
    assert (shown["consumer_id"], shown["project_id"]) == (program.key, program.project)
    assert shown["links"] == {"self": f"{_BASE}{one}", "roles": f"{_BASE}{one}/roles"}
    assert set(shown) == {"id", "consumer_id", "project_id", "authorizing_user_id", "expires_at", "links"}
    assert (await cloud.ask("GET", path, admin)).json()["access_tokens"] == [shown]
    (role,) = (await cloud.ask("GET", f"{one}/roles", admin)).json()["roles"]
    assert role["name"] == "member"
    assert "description" not in role
    assert (await cloud.ask("GET", f"{one}/roles/{role['id']}", admin)).json()["role"] == role
    others = "/users/nobody/OS-OAUTH1/access_tokens"
    assert (await cloud.ask("GET", others, admin)).json()["access_tokens"] == []
    for where, status in (
        *((f"{path}/nothing", 404), (f"{one}/roles/nothing", 404), (f"{path}/nothing/roles", 404)),
        *((f"{others}/{grant.key}", 404), (f"{others}/{grant.key}/roles", 404)),
        (f"{others}/{grant.key}/roles/{role['id']}", 401),
    ):
        assert (await cloud.ask("GET", where, admin)).status == status, where
    demo = await cloud.demo()
    for where in (path, one, f"{one}/roles", f"{one}/roles/{role['id']}"):
        assert (await cloud.ask("GET", where, demo)).status == 403
        assert (await cloud.ask("GET", where)).status == 401
    assert (await cloud.ask("DELETE", one, demo)).status == 403
    assert (await cloud.ask("DELETE", f"{others}/{grant.key}", admin)).status == 401


@pytest.mark.parametrize("ending", ["grant", "consumer", "role", "user"])
async def test_what_ends_a_grant_ends_its_tokens(program: Program, ending: str) -> None:
    cloud = program.cloud
    admin, user = await cloud.admin(), await cloud.id_of("users", "admin")
    role = (await cloud.ask("POST", "/roles", admin, json={"role": {"name": "extra"}})).json()["role"]["id"]
    held = f"/projects/{program.project}/users/{user}/roles/{role}"
    assert (await cloud.ask("PUT", held, admin)).status == 204
    grant = await _let_in(program, "extra")
    text = (await program.log_in(grant)).headers["x-subject-token"]
    subject = {"X-Subject-Token": text}
    assert (await cloud.ask("GET", "/auth/tokens", admin, headers=subject)).status == 200
    path = {
        "grant": f"/users/{user}/OS-OAUTH1/access_tokens/{grant.key}",
        "consumer": f"/OS-OAUTH1/consumers/{program.key}",
        "role": held,
        "user": f"/users/{user}",
    }[ending]
    looker = (await cloud.log_in("admin", ADMIN, {"system": {"all": True}})).headers["x-subject-token"]
    assert (await cloud.ask("DELETE", path, await cloud.admin())).status == 204
    assert (await program.log_in(grant)).status == (401 if ending == "role" else 404)
    if ending != "user":
        # else nobody is left to look
        assert (await cloud.ask("GET", "/auth/tokens", looker, headers=subject)).status == 404


async def test_a_token_lives_no_longer_than_what_was_granted(program: Program) -> None:
    grant = await _let_in(program, "member")
    program.cloud.world.ahead_s = 86_400 - 1200
    answer = await program.log_in(grant)
    assert answer.status == 201, answer.body
    token = answer.json()["token"]
    issued, ends = (datetime.fromisoformat(token[name]) for name in ("issued_at", "expires_at"))
    assert ends - issued <= timedelta(seconds=1200)
