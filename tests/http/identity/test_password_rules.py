"""What an operator may ask of passwords, and what whoever does not meet it is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kilostack.identity.app.settings import IdentitySettings
from kilostack.identity.model.passwords import PasswordRules
from tests.http.cloud import Answer
from tests.http.identity.conftest import ADMIN, IdentityCloud

_DAY_S = 24 * 3600
_REJECTED = "The request you have made requires authentication."


class People:
    """Makes users and changes their passwords."""

    def __init__(self, cloud: IdentityCloud) -> None:
        self._cloud = cloud
        self.ids: dict[str, str] = {}

    async def make(self, name: str, password: str | None = "p", **more: Any) -> Answer:
        body = {"user": {"name": name, "password": password, **more}}
        answer = await self._cloud.ask("POST", "/users", await self._cloud.admin(), json=body)
        if answer.status == 201:
            self.ids[name] = answer.json()["user"]["id"]
        return answer

    async def change(self, name: str, **document: Any) -> Answer:
        """By an administrator."""
        token = await self._cloud.admin()
        return await self._cloud.ask("PATCH", f"/users/{self.ids[name]}", token, json={"user": document})

    async def choose(self, name: str, old: str, new: str) -> Answer:
        """By themselves."""
        body = {"user": {"original_password": old, "password": new}}
        return await self._cloud.ask("POST", f"/users/{self.ids[name]}/password", json=body)

    async def log_in(self, name: str, password: str = "p") -> int:
        return (await self._cloud.log_in(name, password)).status

    async def show(self, name: str) -> Any:
        token = await self._cloud.admin()
        return (await self._cloud.ask("GET", f"/users/{self.ids[name]}", token)).json()["user"]


@pytest.fixture
def people(cloud: IdentityCloud) -> People:
    return People(cloud)


def _message(answer: Answer) -> str:
    return str(answer.json()["error"]["message"])


class TestAsACloudIsMade:
    async def test_two_wrong_passwords_lock_an_account_for_five_seconds(
        self, cloud: IdentityCloud, people: People
    ) -> None:
        await people.make("u")
        for _ in range(2):
            assert await people.log_in("u", "wrong") == 401
        locked = await cloud.log_in("u", "p")
        assert (locked.status, locked.json()) == (401, (await cloud.log_in("nobody", "p")).json())
        choosing = await people.choose("u", "p", "q")
        assert (choosing.status, _message(choosing)) == (401, _REJECTED)
        cloud.world.ahead_s = 4
        assert await people.log_in("u") == 401
        cloud.world.ahead_s = 6
        assert await people.log_in("u") == 201

    async def test_a_lock_that_is_over_begins_to_count_anew(self, cloud: IdentityCloud, people: People) -> None:
        await people.make("u")
        for _ in range(2):
            await people.log_in("u", "wrong")
        cloud.world.ahead_s = 6
        assert await people.log_in("u", "wrong") == 401
        assert await people.log_in("u") == 201

    async def test_a_right_one_forgets_a_wrong_one(self, people: People) -> None:
        await people.make("u")
        for _ in range(3):
            assert await people.log_in("u", "wrong") == 401
            assert await people.log_in("u") == 201

    async def test_wrong_ones_count_however_long_ago(self, cloud: IdentityCloud, people: People) -> None:
        await people.make("u")
        await people.log_in("u", "wrong")
        cloud.world.ahead_s = 3600
        await people.log_in("u", "wrong")
        assert await people.log_in("u") == 401

    async def test_changing_ones_own_password_counts_as_well(self, people: People) -> None:
        await people.make("u")
        for _ in range(2):
            assert (await people.choose("u", "wrong", "q")).status == 401
        assert await people.log_in("u") == 401

    @pytest.mark.parametrize("document", [{"enabled": True}, {"password": "p"}, {"email": "e"}])
    async def test_an_administrator_opens_the_account(self, people: People, document: dict[str, Any]) -> None:
        await people.make("u")
        for _ in range(2):
            await people.log_in("u", "wrong")
        assert (await people.change("u", **document)).status == 200
        assert await people.log_in("u") == 201

    async def test_an_account_may_be_left_out(self, people: People) -> None:
        await people.make("u", options={"ignore_lockout_failure_attempts": True})
        for _ in range(5):
            assert await people.log_in("u", "wrong") == 401
        assert await people.log_in("u") == 201

    async def test_guesses_at_once_lock_it_too(self, cloud: IdentityCloud, people: People) -> None:
        await people.make("u")
        answers = await asyncio.gather(*(people.log_in("u", f"guess {at}") for at in range(6)))
        assert set(answers) == {401}
        assert await people.log_in("u") == 401

    async def test_whoever_is_in_stays_in(self, cloud: IdentityCloud, people: People) -> None:
        await people.make("u")
        token = (await cloud.log_in("u", "p")).headers["x-subject-token"]
        for _ in range(3):
            await people.log_in("u", "wrong")
        assert (await cloud.ask("GET", "/auth/projects", token)).status == 200

    async def test_the_last_two_passwords_are_not_chosen_again(self, people: People) -> None:
        await people.make("u", "one")
        assert (await people.choose("u", "one", "two")).status == 204
        for same in ("two", "one"):
            assert (await people.choose("u", "two", same)).status == 400
        assert (await people.choose("u", "two", "three")).status == 204
        assert (await people.choose("u", "three", "one")).status == 204
        assert await people.log_in("u", "one") == 201

    async def test_an_administrator_may_set_an_old_one_and_it_is_remembered(self, people: People) -> None:
        await people.make("u", "one")
        for password in ("two", "two", "one"):
            assert (await people.change("u", password=password)).status == 200
        assert (await people.choose("u", "one", "two")).status == 400
        assert (await people.choose("u", "one", "three")).status == 204

    async def test_a_password_that_is_taken_away(self, people: People) -> None:
        await people.make("u")
        assert (await people.change("u", password=None)).status == 200
        assert await people.log_in("u") == 401


class TestExpiry:
    @pytest.fixture
    def settings(self) -> IdentitySettings:
        return IdentitySettings(passwords=PasswordRules(password_expires_days=2))

    async def test_a_password_expires_and_its_user_chooses_another(self, cloud: IdentityCloud, people: People) -> None:
        shown = (await people.make("u")).json()["user"]["password_expires_at"]
        assert len(shown) == len("2030-01-01T00:00:00.000000") and shown.endswith(".000000")
        cloud.world.ahead_s = 2 * _DAY_S - 60
        assert await people.log_in("u") == 201
        cloud.world.ahead_s = 2 * _DAY_S + 60
        answer = await cloud.log_in("u", "p")
        assert answer.status == 401
        assert _message(answer) == f"The password is expired and needs to be changed for user: {people.ids['u']}."
        assert _message(await cloud.log_in("u", "wrong")) == _REJECTED
        assert (await people.choose("u", "p", "q")).status == 204
        assert await people.log_in("u", "q") == 201

    async def test_an_account_may_be_left_out(self, cloud: IdentityCloud, people: People) -> None:
        await people.make("never", options={"ignore_password_expiry": True})
        assert (await people.show("never"))["password_expires_at"] is None
        await people.make("later")
        await people.change("later", options={"ignore_password_expiry": True})
        await people.make("nobody", None)
        assert (await people.show("nobody"))["password_expires_at"] is None
        cloud.world.ahead_s = 3 * _DAY_S
        assert [await people.log_in(name) for name in ("never", "later")] == [201, 201]

    async def test_lists_ask_for_it(self, cloud: IdentityCloud, people: People) -> None:
        await people.make("first")
        expires = (await people.show("first"))["password_expires_at"]
        cloud.world.ahead_s = _DAY_S
        await people.make("second")
        await people.make("nobody", None)
        admin = await cloud.admin()
        for query, names in (
            (f"password_expires_at={expires}Z", ["first"]),
            (f"password_expires_at=eq:{expires}Z", ["first"]),
            (f"password_expires_at=neq:{expires}Z", ["second"]),
            (f"password_expires_at=lte:{expires}", ["first"]),
            (f"password_expires_at=lt:{expires}", []),
            (f"password_expires_at=gt:{expires}", ["second"]),
            (f"password_expires_at=gte:{expires}&password_expires_at=lte:{expires}", ["first"]),
            ("password_expires_at=lt:2000-01-01T00:00:00Z", []),
        ):
            found = (await cloud.ask("GET", f"/users?{query}", admin)).json()["users"]
            assert [one["name"] for one in found if one["name"] in ("first", "second", "nobody")] == names, query


class TestFirstUse:
    @pytest.fixture
    def settings(self) -> IdentitySettings:
        return IdentitySettings(passwords=PasswordRules(change_password_upon_first_use=True))

    async def test_what_an_administrator_has_set_is_good_for_choosing_another(self, people: People) -> None:
        await people.make("u")
        for password in ("p", "r"):
            assert await people.log_in("u", password) == 401
            assert (await people.choose("u", password, f"mine after {password}")).status == 204
            assert await people.log_in("u", f"mine after {password}") == 201
            await people.change("u", password="r")

    async def test_an_account_may_be_left_out(self, people: People) -> None:
        await people.make("u", options={"ignore_change_password_upon_first_use": True})
        assert await people.log_in("u") == 201

    async def test_those_who_made_the_cloud_are_in(self, cloud: IdentityCloud) -> None:
        assert (await cloud.log_in("admin", ADMIN)).status == 201


class TestStrength:
    @pytest.fixture
    def settings(self) -> IdentitySettings:
        rules = PasswordRules(password_regex=r"^(?=.*\d).{4,}$", password_regex_description="a digit, and four letters")
        return IdentitySettings(passwords=rules)

    async def test_a_weak_password_is_not_taken(self, people: People) -> None:
        for weak in ("pass", "p1", None):
            answer = await people.make("u", weak)
            assert answer.status == 400
            assert "a digit, and four letters" in _message(answer)
        await people.make("u", "pass1")
        assert (await people.change("u", password="weak")).status == 400
        assert (await people.choose("u", "pass1", "weak")).status == 400
        assert (await people.choose("u", "pass1", "pass2")).status == 204
        assert (await people.change("u", email="e")).status == 200


class TestAge:
    @pytest.fixture
    def settings(self) -> IdentitySettings:
        return IdentitySettings(passwords=PasswordRules(minimum_password_age_s=3600, unique_last_password_count=0))

    async def test_what_a_user_has_chosen_stays_for_a_while(self, cloud: IdentityCloud, people: People) -> None:
        await people.make("u")
        # with no count of old ones the same is as good as another
        assert (await people.choose("u", "p", "p")).status == 204
        answer = await people.choose("u", "p", "q")
        assert answer.status == 400
        assert "minimum password age" in _message(answer)
        assert (await people.change("u", password="r")).status == 200
        assert (await people.choose("u", "r", "s")).status == 204
        cloud.world.ahead_s = 3601
        assert (await people.choose("u", "s", "p")).status == 204


class TestInactivity:
    @pytest.fixture
    def settings(self) -> IdentitySettings:
        return IdentitySettings(passwords=PasswordRules(disable_user_account_days_inactive=10))

    async def test_who_stays_away_is_disabled(self, cloud: IdentityCloud, people: People) -> None:
        for name, options in (("away", {}), ("here", {}), ("exempt", {"ignore_user_inactivity": True})):
            await people.make(name, options=options)
        for days in (6, 12):
            cloud.world.ahead_s = days * _DAY_S
            assert [await people.log_in(name) for name in ("here", "admin")] == [201, 401]
            assert (await cloud.log_in("admin", ADMIN)).status == 201
        assert await people.log_in("away") == 401
        assert await people.log_in("exempt") == 201
        assert (await people.show("away"))["enabled"] is False
        assert (await people.show("here"))["enabled"] is True
        listed = (await cloud.ask("GET", "/users", await cloud.admin())).json()["users"]
        assert {one["name"]: one["enabled"] for one in listed}["away"] is False
        assert (await people.change("away", enabled=True)).json()["user"]["enabled"] is True
        assert await people.log_in("away") == 201


class TestWithoutRules:
    @pytest.fixture
    def settings(self) -> IdentitySettings:
        rules = PasswordRules(lockout_failure_attempts=0, lockout_duration_s=0, unique_last_password_count=0)
        return IdentitySettings(passwords=rules)

    async def test_nothing_is_asked(self, people: People) -> None:
        await people.make("u")
        for _ in range(5):
            assert await people.log_in("u", "wrong") == 401
        assert await people.log_in("u") == 201


class TestForEver:
    @pytest.fixture
    def settings(self) -> IdentitySettings:
        return IdentitySettings(passwords=PasswordRules(lockout_failure_attempts=1, lockout_duration_s=0))

    async def test_only_an_administrator_opens_it(self, cloud: IdentityCloud, people: People) -> None:
        await people.make("u")
        await people.log_in("u", "wrong")
        cloud.world.ahead_s = 400 * _DAY_S
        assert await people.log_in("u") == 401
        await people.change("u", enabled=True)
        assert await people.log_in("u") == 201
