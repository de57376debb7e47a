"""What is asked of passwords and of those who use them, decided without looking anything up."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from kilostack.identity.model.users import User

_SECOND = 1_000_000
_DAY = 24 * 3600 * _SECOND


class PasswordRules(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator may ask of passwords; 0 and None ask for nothing. Days are whole days.

    Raises `ValueError` for what makes no sense.
    """

    #: how many passwords of a user, the present one included, a new one must differ from
    unique_last_password_count: int = 2
    #: how old a password that its user has chosen must be before they choose another
    minimum_password_age_s: int = 0
    password_expires_days: int = 0
    #: what a password must match, from its beginning
    password_regex: str | None = None
    #: told to whoever chose one that does not match
    password_regex_description: str = ""
    #: one that an administrator has set is good for one thing: choosing another
    change_password_upon_first_use: bool = False
    #: wrong passwords in a row that lock an account
    lockout_failure_attempts: int = 2
    #: how long it stays locked after the last one; 0: until an administrator changes the user
    lockout_duration_s: int = 5
    #: whoever has not logged in for so long is disabled
    disable_user_account_days_inactive: int = 0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, int) and value < 0:
                raise ValueError(f"{name} is {value}: it must be 0 or more")
        if self.password_regex is not None:
            try:
                re.compile(self.password_regex)
            except re.error as error:
                raise ValueError(f"password_regex {self.password_regex!r} is no pattern: {error}") from None

    def is_strong(self, password: str) -> bool:
        return self.password_regex is None or re.match(self.password_regex, password) is not None

    @property
    def remembered(self) -> int:
        """How many former passwords are kept."""
        return max(self.unique_last_password_count - 1, 0)


class Failures(msgspec.Struct, frozen=True, kw_only=True):
    """Wrong passwords in a row for one user, and when the last of them came."""

    user_id: str
    failures: int
    failed_at: int


def counts_failures(rules: PasswordRules, user: User) -> bool:
    """Whether wrong passwords can lock this account."""
    return rules.lockout_failure_attempts > 0 and user.options.get("ignore_lockout_failure_attempts") is not True


def is_locked(rules: PasswordRules, user: User, failures: Failures | None, now: int) -> bool:
    if failures is None or not counts_failures(rules, user) or failures.failures < rules.lockout_failure_attempts:
        return False
    return rules.lockout_duration_s == 0 or now < failures.failed_at + rules.lockout_duration_s * _SECOND


def lock_ended_before(rules: PasswordRules, now: int) -> int:
    """A lock whose last failure is not after this is over."""
    return now - rules.lockout_duration_s * _SECOND if rules.lockout_duration_s else -1


def expires_at(rules: PasswordRules, options: Mapping[str, Any], now: int, *, self_chosen: bool) -> int | None:
    """When a password that is set now expires; to the second, as upstream."""
    if (
        rules.change_password_upon_first_use
        and not self_chosen
        and options.get("ignore_change_password_upon_first_use") is not True
    ):
        return now
    if not rules.password_expires_days or options.get("ignore_password_expiry") is True:
        return None
    return (now + rules.password_expires_days * _DAY) // _SECOND * _SECOND


def is_expired(user: User, now: int) -> bool:
    if user.password_expires_at is None or user.options.get("ignore_password_expiry") is True:
        return False
    return now >= user.password_expires_at


def too_young_s(rules: PasswordRules, user: User, now: int) -> int:
    """Seconds until the user may choose another password; 0: now. What an administrator has set may go at once."""
    if not user.password_self_chosen or user.password_created_at is None:
        return 0
    left = user.password_created_at + rules.minimum_password_age_s * _SECOND - now
    return max(-(-left // _SECOND), 0)


def is_enabled(rules: PasswordRules, user: User, now: int) -> bool:
    """Whether the user may log in at all: enabled, and seen not too long ago."""
    if not user.enabled or not rules.disable_user_account_days_inactive:
        return user.enabled
    seen = user.created_at if user.active_at is None else user.active_at
    if not seen or user.options.get("ignore_user_inactivity") is True:
        return True
    return now // _DAY - seen // _DAY < rules.disable_user_account_days_inactive


def is_another_day(user: User, now: int) -> bool:
    """Whether `active_at` says less than that the user is there now."""
    return user.active_at is None or now // _DAY != user.active_at // _DAY
