"""Revocations on both databases: numbered in the order of commits, told once, forgotten when they are over."""

from __future__ import annotations

import asyncio

from kilostack.identity.store import tokens
from kilostack.store.database import Tx
from kilostack.wire.identity_calls import Revocation, TokenRules
from tests.identity.conftest import Site

_LATER = 2_000_000_000_000_000


async def _revoke(site: Site, *subjects: str, until: int = _LATER) -> None:
    async def unit(tx: Tx) -> None:
        await tokens.revoke(tx, subjects, until)

    await site.db.write(unit)


async def _rules(site: Site, after: int = 0, now: int = 1) -> TokenRules:
    return await site.db.read(lambda tx: tokens.rules(tx, after, now))


async def test_followers_get_what_they_do_not_have(site: Site) -> None:
    await _revoke(site, "user a", "user b")
    first = await _rules(site)
    assert {one.subject for one in first.revocations} == {"user a", "user b"}
    assert {one.before for one in first.revocations} == {first.last}
    await _revoke(site, "user b")
    second = await _rules(site, first.last)
    assert second.revocations == (Revocation(subject="user b", before=second.last, until=_LATER),)
    assert second.last == first.last + 1
    assert (await _rules(site, second.last)).revocations == ()


async def test_what_was_read_before_is_void_and_what_is_read_after_is_not(site: Site) -> None:
    before = await site.db.read(tokens.number)
    await _revoke(site, "user a")
    after = await site.db.read(tokens.number)

    async def void(number: int, *subjects: str) -> bool:
        return await site.db.read(lambda tx: tokens.is_void(tx, subjects, number))

    assert await void(before, "project p", "user a")
    assert not await void(after, "user a")
    assert not await void(before, "user A", "user", "user a ")


async def test_nothing_to_revoke_raises_no_number(site: Site) -> None:
    await _revoke(site, "user a")
    last = (await _rules(site)).last
    await _revoke(site)
    assert (await _rules(site)).last == last


async def test_many_at_once_get_numbers_of_their_own(site: Site) -> None:
    await asyncio.gather(*(_revoke(site, f"user {at}", "user all") for at in range(8)))
    rules = await _rules(site)
    numbers = sorted(one.before for one in rules.revocations if one.subject != "user all")
    assert len(set(numbers)) == 8
    (common,) = [one.before for one in rules.revocations if one.subject == "user all"]
    assert common == numbers[-1] == rules.last


async def test_what_is_over_is_not_told_and_is_forgotten(site: Site) -> None:
    await _revoke(site, "user a", until=100)
    await _revoke(site, "user b", until=200)
    assert [one.subject for one in (await _rules(site, now=100)).revocations] == ["user b"]

    async def prune(tx: Tx) -> int:
        return await tokens.prune(tx, 100 + tokens.LATE)

    assert await site.db.write(prune) == 1
    assert [one.subject for one in (await _rules(site, now=1)).revocations] == ["user b"]
