"""Following identity: what a process knows of keys and revocations, and what it does when it knows too little."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kilostack.bus.hints import LocalHints
from kilostack.core.errors import Unauthenticated, Unavailable
from kilostack.core.token import Claims, Signer, audit_subject, public_bytes
from kilostack.core.world import Micros, RealWorld
from kilostack.http.verifier import Verifier
from kilostack.wire.calls import Actor, Answers, LocalCalls
from kilostack.wire.hosts import ChangesAsked
from kilostack.wire.identity_calls import CHANGES, TOPIC, Revocation, TokenKey, TokenRules

_NOW = 1_800_000_000_000_000
_HOUR = 3_600_000_000


class StillWorld(RealWorld):
    """Clocks that stand until the test turns them on."""

    def __init__(self) -> None:
        super().__init__()
        self.wall, self.passed_s = _NOW, 0.0

    def now(self) -> Micros:
        return Micros(self.wall)

    def monotonic(self) -> float:
        return self.passed_s


class Identity:
    """Stands in for the service at its port: keys and revocations as the test sets them."""

    def __init__(self) -> None:
        self.last = 5
        self.keys: list[Ed25519PrivateKey] = [Ed25519PrivateKey.from_private_bytes(b"1" * 32)]
        self.revocations: list[Revocation] = []
        self.asked: list[int] = []
        self.stray: tuple[Revocation, ...] = ()
        self.broken: Exception | None = None

    async def changes(self, asked: ChangesAsked, actor: Actor) -> TokenRules:
        self.asked.append(asked.after)
        if self.broken is not None:
            raise self.broken
        return TokenRules(
            last=self.last,
            keys=tuple(TokenKey(public_bytes(key)) for key in self.keys),
            revocations=(*(one for one in self.revocations if one.before > asked.after), *self.stray),
        )

    def revoke(self, subject: str) -> None:
        self.last += 1
        self.revocations.append(Revocation(subject=subject, before=self.last, until=_NOW + _HOUR))

    def token(self, audit_id: str, *, key: int = 0, **fields: Any) -> str:
        values: dict[str, Any] = {"number": self.last, "issued_at": _NOW, "expires_at": _NOW + _HOUR}
        claims = Claims(
            **(values | fields),
            audit_ids=(audit_id,),
            methods=("password",),
            user_id="u",
            user_name="demo",
            user_domain_id="default",
            user_domain_name="Default",
        )
        return Signer(self.keys[key]).sign(claims)


class Site:
    def __init__(self, world: StillWorld) -> None:
        self.world, self.identity, self.hints = world, Identity(), LocalHints(world)
        calls = LocalCalls(world)
        answers = Answers()
        answers.add(CHANGES, self.identity.changes)
        calls.serve(answers)
        self.verifier = Verifier(calls, self.hints, world)

    async def refused(self, token: str) -> bool:
        try:
            await self.verifier.context(token, writing=False)
        except Unauthenticated:
            return True
        return False

    async def until_refused(self, token: str) -> None:
        async with self.world.timeout(5):
            while not await self.refused(token):
                await self.world.sleep(0)

    async def asked_again(self) -> None:
        """Hint, and wait until identity was asked (and answered) once more."""
        before = len(self.identity.asked)
        self.hints.send(TOPIC)
        async with self.world.timeout(5):
            while len(self.identity.asked) == before:
                await self.world.sleep(0)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    world = StillWorld()
    yield Site(world)
    await world.close()


async def test_it_says_who_asks_without_asking_identity(site: Site) -> None:
    await site.verifier.start()
    for _ in range(3):
        ctx = await site.verifier.context(site.identity.token("a"), writing=True)
        assert (ctx.user_name, ctx.audit_id, ctx.request_id) == ("demo", "a", "")
    assert site.identity.asked == [0]


async def test_before_identity_has_answered_nobody_is_told_no(site: Site) -> None:
    site.identity.broken = Unavailable("not yet")
    await site.verifier.start()
    with pytest.raises(Unavailable):
        await site.verifier.context(site.identity.token("a"), writing=False)
    site.identity.broken = None
    await site.asked_again()
    assert (await site.verifier.context(site.identity.token("a"), writing=False)).user_id == "u"


async def test_a_revocation_reaches_tokens_that_are_cached(site: Site) -> None:
    await site.verifier.start()
    one, other = site.identity.token("one"), site.identity.token("other")
    assert not await site.refused(one)
    site.identity.revoke(audit_subject("one"))
    site.hints.send(TOPIC)
    await site.until_refused(one)
    assert not await site.refused(other)
    site.identity.revoke("user u")
    site.hints.send(TOPIC)
    await site.until_refused(other)
    assert not await site.refused(site.identity.token("later"))


async def test_a_revocation_reaches_tokens_that_come_later(site: Site) -> None:
    token = site.identity.token("one")
    site.identity.revoke(audit_subject("one"))
    await site.verifier.start()
    assert await site.refused(token)


async def test_a_late_answer_does_not_undo_a_newer_revocation(site: Site) -> None:
    await site.verifier.start()
    before = site.identity.token("one")
    site.identity.revoke("user u")
    between = site.identity.token("two")
    older = site.identity.revocations[-1]
    site.identity.revoke("user u")
    await site.asked_again()
    site.identity.last += 1
    # told again under the old number, as a copy that lags behind would
    site.identity.stray = (older,)
    await site.asked_again()
    await site.asked_again()
    await site.until_refused(between)
    assert await site.refused(before)


async def test_tokens_expire_in_the_cache(site: Site) -> None:
    await site.verifier.start()
    token = site.identity.token("a")
    assert not await site.refused(token)
    site.world.wall = _NOW + _HOUR - 1
    assert not await site.refused(token)
    site.world.wall = _NOW + _HOUR
    assert await site.refused(token)
    assert await site.refused(token)


async def test_a_new_key_is_asked_for_once(site: Site) -> None:
    await site.verifier.start()
    site.identity.keys.append(Ed25519PrivateKey.from_private_bytes(b"2" * 32))
    site.world.passed_s = 1
    assert not await site.refused(site.identity.token("a", key=1))
    site.world.passed_s = 2
    asked = len(site.identity.asked)
    stranger = Signer(Ed25519PrivateKey.from_private_bytes(b"s" * 32))
    for name in range(20):
        claims = Claims(
            number=1,
            issued_at=_NOW,
            expires_at=_NOW + _HOUR,
            audit_ids=(str(name),),
            methods=(),
            user_id="u",
            user_name="",
            user_domain_id="",
            user_domain_name="",
        )
        assert await site.refused(stranger.sign(claims))
    assert len(site.identity.asked) == asked + 1


async def test_a_key_made_right_after_the_last_look_is_found(site: Site) -> None:
    """Nobody who was just given a token may be told that it is none."""
    await site.verifier.start()
    for number in range(2, 6):
        site.identity.keys.append(Ed25519PrivateKey.from_private_bytes(str(number).encode() * 32))
        assert not await site.refused(site.identity.token("a", key=number - 1))


async def test_many_with_a_new_key_make_one_question(site: Site) -> None:
    await site.verifier.start()
    site.identity.keys.append(Ed25519PrivateKey.from_private_bytes(b"2" * 32))
    tokens = [site.identity.token(str(number), key=1) for number in range(50)]
    assert not any(await asyncio.gather(*(site.refused(token) for token in tokens)))
    assert len(site.identity.asked) == 2


async def test_a_new_key_that_cannot_be_asked_for_is_nobodys_fault(site: Site) -> None:
    await site.verifier.start()
    site.identity.keys.append(Ed25519PrivateKey.from_private_bytes(b"2" * 32))
    site.identity.broken = Unavailable("down")
    token = site.identity.token("a", key=1)
    with pytest.raises(Unavailable):
        await site.verifier.context(token, writing=False)
    site.identity.broken = None
    assert not await site.refused(token)


async def test_a_key_that_is_gone_signs_nobody_in(site: Site) -> None:
    await site.verifier.start()
    token = site.identity.token("a")
    assert not await site.refused(token)
    site.identity.keys = [Ed25519PrivateKey.from_private_bytes(b"2" * 32)]
    site.hints.send(TOPIC)
    await site.until_refused(token)


@pytest.mark.parametrize("error", [Unavailable("down"), RuntimeError("nonsense")])
async def test_when_identity_is_silent_for_long_writes_stop_and_reads_go_on(site: Site, error: Exception) -> None:
    await site.verifier.start()
    token = site.identity.token("a")
    site.identity.broken = error
    site.world.passed_s = 29
    await site.verifier.context(token, writing=True)
    site.world.passed_s = 31
    await site.asked_again()
    with pytest.raises(Unavailable):
        await site.verifier.context(token, writing=True)
    await site.verifier.context(token, writing=False)
    site.identity.broken = None
    await site.asked_again()
    async with site.world.timeout(5):
        while True:
            try:
                await site.verifier.context(token, writing=True)
                break
            except Unavailable:
                await site.world.sleep(0)


async def test_identity_restored_from_a_backup_is_followed_anew(site: Site) -> None:
    await site.verifier.start()
    site.identity.last, site.identity.revocations = 2, []
    site.identity.revoke("user u")
    await site.asked_again()
    async with site.world.timeout(5):
        while site.identity.asked[-1] != 0:
            await site.world.sleep(0)
    await site.until_refused(site.identity.token("old", number=1))
    assert not await site.refused(site.identity.token("new", number=3))


@pytest.mark.parametrize("garbage", ["x", "", "A" * 9000, "ü"])
async def test_garbage_is_nobody(site: Site, garbage: str) -> None:
    await site.verifier.start()
    assert await site.refused(garbage)
    assert site.identity.asked == [0]
