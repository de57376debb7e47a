"""Keys that tokens are signed with, changed while processes run: on both databases, as two processes see it."""

from __future__ import annotations

import asyncio

import pytest

from kilostack.core.token import Claims, PublicKeys, Receipt, UnknownKey
from kilostack.core.vault import Vault
from kilostack.core.world import Micros, RealWorld
from kilostack.identity.app.ground import Ground, IdentityParts
from kilostack.identity.app.signing import Signing
from kilostack.identity.store import tokens as store
from tests.identity.conftest import Site

_HOUR = 3600 * 1_000_000


class Shifted(RealWorld):
    """A machine whose clock goes wrong."""

    def __init__(self, by: int) -> None:
        super().__init__()
        self.by = by

    def now(self) -> Micros:
        return Micros(super().now() + self.by)


async def _process(site: Site, by: int = 0) -> Signing:
    parts = IdentityParts(db=site.db, world=Shifted(by) if by else site.world, vault=Vault(b"m" * 32))
    signing = Signing(Ground(parts))
    await signing.prepare()
    return signing


async def _claims(site: Site) -> Claims:
    """As a token is made: what it says, as of the feed's number in the same transaction."""
    now = site.world.now()
    return Claims(
        number=await site.db.read(store.number),
        issued_at=now,
        expires_at=now + _HOUR,
        audit_ids=("a",),
        methods=("password",),
        user_id="u",
        user_name="n",
        user_domain_id="d",
        user_domain_name="D",
    )


async def _publics(site: Site) -> dict[str, PublicKeys]:
    """What every key by itself can read."""
    rules = await site.db.read(lambda tx: store.rules(tx, 0, 1))
    keys = await site.db.read(lambda tx: store.KEYS.where(tx))
    assert len(rules.keys) == len(keys)
    return {key.id: PublicKeys.of(public.public) for key, public in zip(keys, rules.keys, strict=True)}


def _reads(keys: PublicKeys, token: str) -> bool:
    try:
        keys.read(token)
    except UnknownKey:
        return False
    return True


async def test_the_next_token_of_every_process_has_the_new_key(site: Site) -> None:
    here, there = await _process(site), await _process(site)
    before = await there.sign(await _claims(site))
    made = await here.rotate()
    for process in (here, there):
        after = await process.sign(await _claims(site))
        assert [key for key, public in (await _publics(site)).items() if _reads(public, after)] == [made]
        for other in (here, there):
            assert (await other.read(before)).user_id == (await other.read(after)).user_id == "u"


async def test_receipts_are_signed_with_it_as_well(site: Site) -> None:
    here, there = await _process(site), await _process(site)
    await here.rotate()
    number = await site.db.read(store.number)
    receipt = Receipt(number=number, issued_at=1, expires_at=2, user_id="u", methods=("totp",))
    text = await here.sign_receipt(receipt)
    assert await there.read_receipt(text) == receipt


async def test_many_may_rotate_at_the_same_time(site: Site) -> None:
    processes = [await _process(site) for _ in range(3)]
    made = await asyncio.gather(*(process.rotate() for process in processes))
    assert len(set(made)) == 3
    tokens = [await process.sign(await _claims(site)) for process in processes]
    publics = await _publics(site)
    assert len(publics) == 4
    signed_with = {key for key, public in publics.items() for token in tokens if _reads(public, token)}
    assert len(signed_with) == 1
    for process in processes:
        for token in tokens:
            await process.read(token)


async def test_a_clock_that_is_behind_makes_a_key_that_is_used(site: Site) -> None:
    here, behind = await _process(site), await _process(site, -24 * _HOUR)
    made = await behind.rotate()
    token = await here.sign(await _claims(site))
    assert _reads((await _publics(site))[made], token)


@pytest.mark.parametrize(("hours", "kept"), [(0, 2), (48, 2), (51, 1)])
async def test_a_key_is_kept_as_long_as_its_tokens_are_looked_at(site: Site, hours: int, kept: int) -> None:
    here = await _process(site)
    token = await here.sign(await _claims(site))
    await here.rotate()
    later = await _process(site, hours * _HOUR)
    assert await later.prune() == 2 - kept
    assert len(await _publics(site)) == kept
    assert any(_reads(public, token) for public in (await _publics(site)).values()) is (kept == 2)
    assert await later.prune() == 0
    await later.sign(await _claims(site))
