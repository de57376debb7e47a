"""Who may not come in, and what they are told: one sentence, whatever was wrong."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.http.whole.simulated import (
    COMPUTE,
    IDENTITY,
    IMAGE,
    NETWORK,
    TOKENS,
    Login,
    SimulatedCloud,
    password_body,
    wait_until,
)

NO = "The request you have made requires authentication."


@pytest.fixture(scope="module")
def other_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedCloud]:
    """A second cloud of the same machine, with users of the same names."""
    made = SimulatedCloud(Path(tmp_path_factory.mktemp("other")), "other")
    made.up()
    yield made
    made.down("--wipe")


def _refused(cloud: SimulatedCloud, token: str | None) -> None:
    """Every service says the same to a token that is none."""
    for path in (f"{COMPUTE}/servers", f"{NETWORK}/networks", f"{IMAGE}/images", f"{IDENTITY}/auth/tokens"):
        answer = cloud.ask("GET", path, token=token, headers={"X-Subject-Token": token or "x"})
        assert answer.status == 401, (path, answer)
        assert answer.message == NO
        assert answer.json()["error"]["title"] == "Unauthorized"
        assert answer.headers["www-authenticate"].startswith("Keystone uri=")


def test_everything_that_can_be_wrong_gets_the_same_answer(cloud: SimulatedCloud, new_project: Callable[..., Login]):
    someone = new_project()
    name = someone.get(f"{IDENTITY}/auth/projects")["projects"][0]["name"]
    right = password_body(name, f"{name}-password", name)
    bodies = [
        password_body(name, "wrong", name),
        password_body(name, f"{name}-password ", name),
        password_body(name.upper(), f"{name}-password", name),
        password_body("nobody", "x", name),
        password_body(name, f"{name}-password", "admin"),
        password_body(name, f"{name}-password", "no-such-project"),
        right | {"auth": right["auth"] | {"scope": {"system": {"all": True}}}},
    ]
    for body in bodies:
        answer = cloud.ask("POST", TOKENS, body)
        assert answer.status == 401, (body, answer)
        assert answer.message == NO
        assert "x-subject-token" not in answer.headers
    # two of them were wrong passwords, which lock the account until an administrator says otherwise, or for a while
    admin = cloud.log_in("admin")
    assert admin.ask("PATCH", f"{IDENTITY}/users/{someone.user_id}", {"user": {"enabled": True}}).status == 200
    assert cloud.ask("POST", TOKENS, right).status == 201


def test_no_token_and_tokens_that_are_none(cloud: SimulatedCloud, demo: Login) -> None:
    _refused(cloud, None)
    middle = len(demo.token) // 2
    flipped = "A" if demo.token[middle] != "A" else "B"
    for token in (
        *("x", "x" * 60_000, "gAAAAA", "0" * 32, "=" * 10, "../../x", "a b"),
        *(demo.token[:-1], demo.token + "A", demo.token[:middle] + flipped + demo.token[middle + 1 :]),
        *(demo.token.swapcase(), demo.token[:200], f" {demo.token[1:]}"),
    ):
        answer = cloud.ask("GET", f"{COMPUTE}/servers", token=token)
        assert answer.status in (401, 400, 431), answer
        if len(token) < 10_000:
            _refused(cloud, token)


def test_a_token_of_another_cloud(cloud: SimulatedCloud, other_cloud: SimulatedCloud) -> None:
    theirs = other_cloud.log_in("admin")
    assert theirs.ask("GET", f"{COMPUTE}/servers").status == 200
    _refused(cloud, theirs.token)
    asked = cloud.log_in("admin").ask("GET", TOKENS, headers={"X-Subject-Token": theirs.token})
    assert asked.status == 404
    identity = {"methods": ["token"], "token": {"id": theirs.token}}
    assert cloud.ask("POST", TOKENS, {"auth": {"identity": identity}}).status == 404


def test_a_token_in_the_query_is_ignored(cloud: SimulatedCloud, demo: Login) -> None:
    for name in ("token", "x-auth-token", "X-Auth-Token", "auth_token", "access_token"):
        assert cloud.ask("GET", f"{COMPUTE}/servers?{name}={demo.token}").status == 401
        assert cloud.ask("GET", f"{COMPUTE}/servers", headers={"Authorization": f"Bearer {demo.token}"}).status == 401
        assert cloud.ask("GET", f"{COMPUTE}/servers", headers={"Cookie": f"{name}={demo.token}"}).status == 401
    assert demo.token not in cloud.log()


def test_a_revoked_token(cloud: SimulatedCloud) -> None:
    person = cloud.log_in("demo")
    child = cloud.ask("POST", TOKENS, {"auth": {"identity": {"methods": ["token"], "token": {"id": person.token}}}})
    assert child.status == 201
    assert person.ask("DELETE", TOKENS, headers={"X-Subject-Token": person.token}).status == 204
    wait_until(lambda: person.ask("GET", f"{COMPUTE}/servers").status == 401, "the token is void", 5)
    _refused(cloud, person.token)
    identity = {"methods": ["token"], "token": {"id": person.token}}
    assert cloud.ask("POST", TOKENS, {"auth": {"identity": identity}}).status == 404


def test_an_expired_token(cloud: SimulatedCloud) -> None:
    person = cloud.log_in("demo")
    end = (datetime.now(UTC) + timedelta(seconds=3)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    wanted = {"name": "short", "secret": "short-secret", "expires_at": end}
    path = f"{IDENTITY}/users/{person.user_id}/application_credentials"
    made = person.make(path, {"application_credential": wanted})
    shown = {
        "methods": ["application_credential"],
        "application_credential": {"id": made["id"], "secret": "short-secret"},
    }
    answer = cloud.ask("POST", TOKENS, {"auth": {"identity": shown}})
    assert answer.status == 201
    token = answer.headers["x-subject-token"]
    assert cloud.ask("GET", f"{COMPUTE}/servers", token=token).status == 200
    wait_until(lambda: cloud.ask("GET", f"{COMPUTE}/servers", token=token).status == 401, "the token is late", 10)
    _refused(cloud, token)
    assert cloud.ask("POST", TOKENS, {"auth": {"identity": shown}}).status == 401
    person.remove(f"{path}/{made['id']}")


@pytest.mark.parametrize("change", [{"enabled": False}, {"password": "another-password"}, None])
def test_a_token_ends_with_its_user(cloud: SimulatedCloud, admin: Login, change: Any, new_project: Any) -> None:
    person = new_project()
    assert person.ask("GET", f"{COMPUTE}/servers").status == 200
    user = f"{IDENTITY}/users/{person.user_id}"
    answer = admin.ask("DELETE", user) if change is None else admin.ask("PATCH", user, {"user": change})
    assert answer.status in (200, 204)
    wait_until(lambda: person.ask("GET", f"{COMPUTE}/servers").status == 401, "the token is void", 5)
    _refused(cloud, person.token)


def test_a_token_ends_with_its_role(admin: Login, new_project: Callable[..., Login]) -> None:
    person = new_project("member")
    role = next(r["id"] for r in admin.get(f"{IDENTITY}/roles")["roles"] if r["name"] == "member")
    admin.remove(f"{IDENTITY}/projects/{person.project_id}/users/{person.user_id}/roles/{role}")
    wait_until(lambda: person.ask("GET", f"{COMPUTE}/servers").status == 401, "the token is void", 5)


def test_guesses_are_counted_wherever_they_claim_to_come_from(cloud: SimulatedCloud, new_project: Any) -> None:
    person = new_project()
    name = person.get(f"{IDENTITY}/auth/projects")["projects"][0]["name"]
    statuses = []
    for number in range(12):
        forged = {
            "X-Forwarded-For": f"192.0.2.{number}",
            "Forwarded": f"for=192.0.2.{number}",
            "X-Real-IP": "192.0.2.9",
        }
        answer = cloud.ask("POST", TOKENS, password_body(name, f"guess {number}", name), headers=forged)
        statuses.append(answer.status)
    assert statuses == [401] * 10 + [429] * 2
    assert "try again in" in answer.message
    assert 0 < int(answer.headers["retry-after"]) <= 60
    # the right one has to wait, too: else the answer would tell
    assert cloud.ask("POST", TOKENS, password_body(name, f"{name}-password", name)).status == 429
    # whoever is in stays in
    assert person.ask("GET", f"{COMPUTE}/servers").status == 200


def test_many_who_log_in_block_nobody(cloud: SimulatedCloud, demo: Login) -> None:
    body = json.dumps(password_body("demo", cloud.passwords()["demo"], "demo")).encode()
    done: list[int] = []

    def log_in() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", cloud.port, timeout=60)
        connection.request("POST", TOKENS, body, {"Content-Type": "application/json"})
        done.append(connection.getresponse().status)
        connection.close()

    crowd = [threading.Thread(target=log_in) for _ in range(40)]
    for one in crowd:
        one.start()
    answered = 0
    while len(done) < len(crowd):
        assert demo.ask("GET", f"{COMPUTE}/flavors").status == 200
        answered += 1
        assert any(one.is_alive() for one in crowd) or len(done) == len(crowd)
        time.sleep(0)
    for one in crowd:
        one.join()
    assert done == [201] * len(crowd)
    # others were served all the while, not after it
    assert answered > len(crowd) // 2
