"""What is decided about passwords without looking anything up."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kilostack.identity.model.passwords import (
    Failures,
    PasswordRules,
    expires_at,
    is_another_day,
    is_enabled,
    is_expired,
    is_locked,
    lock_ended_before,
    too_young_s,
)
from kilostack.identity.model.users import OPTIONS, User, with_options

_SECOND, _DAY = 1_000_000, 24 * 3600 * 1_000_000
_NOW = 1_800_000_000 * _SECOND + 123_456
_USER = User(id="u", name="u", domain_id="default", created_at=_NOW)


def _user(**fields: object) -> User:
    return msgspec.structs.replace(_USER, **fields)


def _failed(count: int, ago_s: float) -> Failures:
    return Failures(user_id="u", failures=count, failed_at=_NOW - int(ago_s * _SECOND))


@pytest.mark.parametrize(
    ("failures", "locked"),
    [(None, False), (_failed(1, 0), False), (_failed(2, 0), True), (_failed(9, 4.9), True), (_failed(9, 5), False)],
)
def test_a_lock_holds_for_as_long_as_it_should(failures: Failures | None, locked: bool) -> None:
    rules = PasswordRules(lockout_failure_attempts=2, lockout_duration_s=5)
    assert is_locked(rules, _USER, failures, _NOW) is locked
    exempt = _user(options={"ignore_lockout_failure_attempts": True})
    assert not is_locked(rules, exempt, failures, _NOW)
    assert not is_locked(PasswordRules(lockout_failure_attempts=0), _USER, failures, _NOW)


@given(st.integers(0, 5), st.integers(0, 20), st.integers(0, 10), st.integers(0, 100 * _SECOND))
def test_the_count_begins_anew_exactly_when_a_lock_is_over(
    attempts: int, duration_s: int, count: int, ago: int
) -> None:
    rules = PasswordRules(lockout_failure_attempts=attempts, lockout_duration_s=duration_s)
    failures = Failures(user_id="u", failures=count, failed_at=_NOW - ago)
    over = count >= attempts and failures.failed_at <= lock_ended_before(rules, _NOW)
    if attempts and count >= attempts:
        assert over is not is_locked(rules, _USER, failures, _NOW)


def test_when_a_password_expires() -> None:
    rules = PasswordRules(password_expires_days=2)
    assert expires_at(PasswordRules(), {}, _NOW, self_chosen=True) is None
    assert expires_at(rules, {}, _NOW, self_chosen=True) == (_NOW + 2 * _DAY) // _SECOND * _SECOND
    assert expires_at(rules, {"ignore_password_expiry": True}, _NOW, self_chosen=True) is None
    first = PasswordRules(change_password_upon_first_use=True)
    assert expires_at(first, {}, _NOW, self_chosen=False) == _NOW
    assert expires_at(first, {}, _NOW, self_chosen=True) is None
    exempt = {"ignore_change_password_upon_first_use": True}
    assert expires_at(first, exempt, _NOW, self_chosen=False) is None


def test_whether_a_password_has_expired() -> None:
    assert not is_expired(_USER, _NOW)
    expiring = _user(password_expires_at=_NOW)
    assert is_expired(expiring, _NOW) and not is_expired(expiring, _NOW - 1)
    assert not is_expired(_user(password_expires_at=1, options={"ignore_password_expiry": True}), _NOW)


def test_how_long_a_chosen_password_stays() -> None:
    rules = PasswordRules(minimum_password_age_s=60)
    chosen = _user(password_self_chosen=True, password_created_at=_NOW)
    assert too_young_s(rules, chosen, _NOW) == 60
    assert too_young_s(rules, chosen, _NOW + 59 * _SECOND + 1) == 1
    assert too_young_s(rules, chosen, _NOW + 60 * _SECOND) == 0
    assert too_young_s(rules, _user(password_created_at=_NOW), _NOW) == 0
    assert too_young_s(PasswordRules(), chosen, _NOW) == 0


def test_who_was_away_for_too_long() -> None:
    rules = PasswordRules(disable_user_account_days_inactive=10)
    assert is_enabled(rules, _USER, _NOW + 9 * _DAY)
    assert not is_enabled(rules, _USER, _NOW + 10 * _DAY)
    assert is_enabled(rules, _user(active_at=_NOW + 5 * _DAY), _NOW + 10 * _DAY)
    assert is_enabled(rules, _user(options={"ignore_user_inactivity": True}), _NOW + 99 * _DAY)
    assert is_enabled(rules, _user(created_at=0), _NOW)
    assert is_enabled(PasswordRules(), _USER, _NOW + 9999 * _DAY)
    assert not is_enabled(rules, _user(enabled=False), _NOW)
    assert is_another_day(_USER, _NOW) and not is_another_day(_user(active_at=_NOW), _NOW)
    assert is_another_day(_user(active_at=_NOW), _NOW + _DAY)


_SOME = st.dictionaries(st.sampled_from([*OPTIONS, "bogus"]), st.sampled_from([None, True, False, [["password"]]]))


@given(_SOME, _SOME)
def test_options_keep_what_is_not_named_and_lose_what_is_null(
    before: dict[str, object], wanted: dict[str, object]
) -> None:
    kept = with_options({}, before)
    after = with_options(kept, wanted)
    assert set(after) <= set(OPTIONS) and None not in after.values()
    for name in OPTIONS:
        assert after.get(name) == (wanted[name] if name in wanted else kept.get(name))
    assert with_options(after, wanted) == after


def test_what_is_kept_of_the_past() -> None:
    assert [PasswordRules(unique_last_password_count=count).remembered for count in (0, 1, 2, 5)] == [0, 0, 1, 4]
    strong = PasswordRules(password_regex=r"\d+$")
    assert strong.is_strong("123") and not strong.is_strong("a1") and PasswordRules().is_strong("")


@pytest.mark.parametrize(
    ("fields", "named"),
    [({"password_regex": "("}, "password_regex"), ({"lockout_duration_s": -1}, "lockout_duration_s")],
)
def test_rules_that_make_no_sense_are_refused(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        PasswordRules(**fields)
