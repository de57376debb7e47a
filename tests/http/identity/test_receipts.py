"""One-time passcodes, and users who must show more than one thing."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from kilostack.core.token import Receipt
from kilostack.identity.model.totp import passcode_at, step_of
from tests.http.cloud import Answer
from tests.http.identity.conftest import IdentityCloud, somebody

_KEY = b"12345678901234567890"
_SEED = base64.b32encode(_KEY).decode()


@pytest.mark.parametrize(("second", "passcode"), [(59, "287082"), (1111111109, "081804"), (20000000000, "353130")])
def test_the_examples_of_rfc_6238(second: int, passcode: str) -> None:
    """Those of its appendix B, of which we show the last six digits."""
    assert passcode_at(_KEY, second // 30) == passcode


def test_the_current_step_and_the_one_before_are_taken() -> None:
    now = 1_000_000 * 30 * 100 + 5
    for step, taken in ((98, None), (99, 99), (100, 100), (101, None)):
        assert step_of(passcode_at(_KEY, step), _SEED, now) == taken
    assert step_of(passcode_at(_KEY, 100), _SEED.rstrip("=").lower(), now) is None
    assert step_of(passcode_at(_KEY + b"1", 100), base64.b32encode(_KEY + b"1").decode().rstrip("="), now) == 100
    assert step_of(passcode_at(b"short", 100), base64.b32encode(b"short").decode(), now) is None
    assert step_of(passcode_at(b"", 100), "", now) is None


class Somebody:
    """A user with a device."""

    def __init__(self, cloud: IdentityCloud, user_id: str, admin: str) -> None:
        self.cloud, self.id, self.admin = cloud, user_id, admin

    def passcode(self, steps: int = 0) -> str:
        return passcode_at(_KEY, self.cloud.world.now() // 30_000_000 + steps)

    async def show(self, *methods: str, receipt: str | None = None, **parts: Any) -> Answer:
        shown: dict[str, Any] = {
            "password": {"user": {"id": self.id, "password": "pw"}},
            "totp": {"user": {"id": self.id, "passcode": self.passcode()}},
        }
        identity = {"methods": list(methods)} | {name: (shown | parts)[name] for name in methods}
        headers = {} if receipt is None else {"Openstack-Auth-Receipt": receipt}
        return await self.cloud.ask("POST", "/auth/tokens", json={"auth": {"identity": identity}}, headers=headers)

    async def rules(self, *rules: list[str], **options: Any) -> None:
        options |= {"multi_factor_auth_rules": list(rules)}
        changed = await self.cloud.ask("PATCH", f"/users/{self.id}", self.admin, json={"user": {"options": options}})
        assert changed.status == 200, changed.body


@pytest.fixture
async def user(cloud: IdentityCloud) -> Somebody:
    # in the middle of a step, so that none ends between a request and the next
    cloud.world.ahead_s = 15 - cloud.world.now() // 1_000_000 % 30
    user_id, admin = await somebody(cloud, "careful"), await cloud.admin()
    body = {"credential": {"type": "totp", "blob": _SEED, "user_id": user_id}}
    assert (await cloud.ask("POST", "/credentials", admin, json=body)).status == 201
    return Somebody(cloud, user_id, admin)


async def test_a_passcode_lets_in_once(user: Somebody) -> None:
    answer = await user.show("totp")
    assert answer.status == 201
    assert answer.json()["token"]["methods"] == ["totp"]
    assert (await user.show("totp")).status == 401
    before = {"user": {"id": user.id, "passcode": user.passcode(-1)}}
    assert (await user.show("totp", totp=before)).status == 401
    user.cloud.world.ahead_s += 30
    assert (await user.show("totp")).status == 201


async def test_the_passcode_before_is_taken_too(user: Somebody) -> None:
    before = {"user": {"name": "careful", "domain": {"id": "default"}, "passcode": user.passcode(-1)}}
    assert (await user.show("totp", totp=before)).status == 201
    assert (await user.show("totp")).status == 201


@pytest.mark.parametrize("passcode", ["000000", "", None, 5, "x" * 10_000, "٣٣٣٣٣٣"])
async def test_wrong_passcodes(user: Somebody, passcode: Any) -> None:
    assert (await user.show("totp", totp={"user": {"id": user.id, "passcode": passcode}})).status == 401
    assert (await user.show("totp", totp={"user": {"id": "nobody", "passcode": passcode}})).status == 401


@pytest.mark.parametrize("part", [{}, {"user": 5}, {"user": {}}, 5, {"user": {"id": "x", "passcode": {}}}])
async def test_broken_parts(user: Somebody, part: Any) -> None:
    assert (await user.show("totp", totp=part)).status == 400


async def test_seeds_that_are_none_let_nobody_in(cloud: IdentityCloud, user: Somebody) -> None:
    for blob in ("not base32!", "", "é"):
        body = {"credential": {"type": "totp", "blob": blob, "user_id": user.id}}
        assert (await cloud.ask("POST", "/credentials", user.admin, json=body)).status == 201
    assert (await user.show("totp", totp={"user": {"id": user.id, "passcode": "000000"}})).status == 401
    assert (await user.show("totp")).status == 201


async def test_guesses_are_limited(user: Somebody) -> None:
    wrong = {"user": {"id": user.id, "passcode": "000000"}}
    assert [(await user.show("totp", totp=wrong)).status for _ in range(11)][-2:] == [401, 429]


async def test_a_part_is_worth_a_receipt(user: Somebody) -> None:
    await user.rules(["password", "totp"], ["totp", "token"])
    answer = await user.show("password")
    assert answer.status == 401
    body = answer.json()
    assert sorted(body) == ["receipt", "required_auth_methods"]
    assert body["required_auth_methods"] == [["password", "totp"]]
    receipt = body["receipt"]
    assert sorted(receipt) == ["expires_at", "issued_at", "methods", "user"]
    assert receipt["methods"] == ["password"]
    assert receipt["user"] == {"id": user.id, "name": "careful", "domain": {"id": "default", "name": "Default"}}
    done = await user.show("totp", receipt=answer.headers["openstack-auth-receipt"])
    assert done.status == 201
    assert sorted(done.json()["token"]["methods"]) == ["password", "totp"]
    again = {"methods": ["token"], "token": {"id": done.headers["x-subject-token"]}}
    assert (await user.cloud.ask("POST", "/auth/tokens", json={"auth": {"identity": again}})).status == 201


async def test_both_at_once(user: Somebody) -> None:
    await user.rules(["password", "totp"])
    assert (await user.show("password", "totp")).status == 201


async def test_a_receipt_is_no_token_and_a_token_no_receipt(user: Somebody) -> None:
    token = (await user.show("password")).headers["x-subject-token"]
    await user.rules(["password", "totp"])
    receipt = (await user.show("password")).headers["openstack-auth-receipt"]
    assert (await user.cloud.ask("GET", "/users", receipt)).status == 401
    for wrong in (token, "garbage", receipt[:-4], receipt + "A" * 9000, "é"):
        answer = await user.show("totp", receipt=wrong)
        assert answer.status == 401
        assert "receipt" in answer.json()["error"]["message"]
        user.cloud.world.ahead_s += 30


async def test_a_receipt_is_of_one_user_for_five_minutes(cloud: IdentityCloud, user: Somebody) -> None:
    await user.rules(["password", "totp"])
    receipt = (await user.show("password")).headers["openstack-auth-receipt"]
    other = Somebody(cloud, await somebody(cloud, "other"), user.admin)
    assert (await other.show("password", receipt=receipt)).status == 401
    assert (await other.show("password")).status == 201
    cloud.world.ahead_s += 301
    assert (await user.show("totp", receipt=receipt)).status == 401


async def test_a_new_password_ends_receipts(user: Somebody) -> None:
    await user.rules(["password", "totp"])
    receipt = (await user.show("password")).headers["openstack-auth-receipt"]
    changed = await user.cloud.ask(
        "PATCH", f"/users/{user.id}", user.admin, json={"user": {"password": "another password"}}
    )
    assert changed.status == 200
    answer = await user.show("totp", receipt=receipt)
    assert (answer.status, answer.headers.get("openstack-auth-receipt")) == (401, None)


async def test_rules_that_do_not_hold(user: Somebody) -> None:
    await user.rules(["carrier pigeon"])
    assert (await user.show("password")).status == 201
    await user.rules(["totp"])
    answer = await user.show("password")
    assert (answer.status, answer.json()["required_auth_methods"]) == (401, [])
    await user.rules(["totp"], multi_factor_auth_enabled=False)
    assert (await user.show("password")).status == 201


def test_a_receipt_keeps_its_form() -> None:
    """The next release has to read what this one has given out."""
    assert Receipt.__struct_fields__ == ("number", "issued_at", "expires_at", "user_id", "methods")
