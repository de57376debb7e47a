"""What nobody's password costs, and how failures are counted."""

from __future__ import annotations

import asyncio

import argon2
import pytest
from argon2.low_level import Type, verify_secret

from kilostack.core.errors import Forbidden
from kilostack.core.secret import Secret
from kilostack.core.world import RealWorld
from kilostack.identity.app.passwords import Attempts, HashCost, Passwords


async def test_nobodys_hash_is_one_that_takes_the_same_work(world: RealWorld) -> None:
    """A text that argon2 cannot parse would be answered at once, and so tell who exists."""
    passwords = Passwords(world, lambda size: b"s" * size)
    kept = await passwords.hashed(Secret("x"))
    assert argon2.extract_parameters(passwords.nobodys) == argon2.extract_parameters(kept)
    with pytest.raises(argon2.exceptions.VerifyMismatchError):
        verify_secret(passwords.nobodys.encode(), b"", Type.ID)


async def test_an_address_that_sends_many_waits_for_itself(world: RealWorld) -> None:
    passwords = Passwords(world, lambda size: b"s" * size, HashCost(1, 8))
    order: list[str] = []

    async def guess(address: str) -> None:
        await passwords.matches(Secret("wrong"), None, address=address)
        order.append(address)

    await asyncio.gather(*(guess("many") for _ in range(40)), guess("one"))
    assert order.index("one") < 6


class Clock(RealWorld):
    def __init__(self) -> None:
        super().__init__()
        self.at_s = 1000.0

    def monotonic(self) -> float:
        return self.at_s


def test_failures_count_within_a_minute_of_the_first() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for at in range(25):
        clock.at_s = 1000 + at * 7
        attempts.check(("u", "a"))
        attempts.failed(("u", "a"))
    for _ in range(10):
        attempts.failed(("v", "a"))
    with pytest.raises(Forbidden) as refused:
        attempts.check(("v", "a"))
    assert (refused.value.facts["status"], refused.value.facts["retry_after_s"]) == (429, 61)
    attempts.check(("v", "b"))
    attempts.succeeded(("v", "a"))
    attempts.check(("v", "a"))


def test_what_is_remembered_of_strangers_is_bounded() -> None:
    attempts = Attempts(Clock())
    for at in range(20_005):
        attempts.failed((f"stranger {at}", "a"))
    assert len(attempts._failed) == 20_000
