"""Wrong passwords are counted in the database: whatever process they came to, and however many at once."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from kilostack.core.errors import Unauthenticated
from kilostack.core.secret import Secret
from kilostack.core.vault import Vault
from kilostack.identity.app.ground import Ground, IdentityParts
from kilostack.identity.app.own_password import OwnPassword
from kilostack.identity.app.password_check import PasswordCheck
from kilostack.identity.app.settings import IdentitySettings
from kilostack.identity.model.passwords import PasswordRules
from kilostack.identity.model.users import User
from kilostack.identity.store.users import (
    FORMER_PASSWORDS,
    LOGIN_FAILURES,
    USERS,
    count_failure,
    forget_default_projects,
    keep_former_password,
    named_user,
)
from kilostack.store.database import Tx
from tests.identity.conftest import Site

_RULES = PasswordRules(lockout_failure_attempts=3, lockout_duration_s=600)


def _ground(site: Site) -> Ground:
    """One process of identity."""
    settings = IdentitySettings(passwords=_RULES)
    return Ground(IdentityParts(db=site.db, world=site.world, vault=Vault(b"m" * 32), settings=settings))


async def _log_in(ground: Ground, password: str, name: str = "demo") -> bool:
    check = PasswordCheck(ground)
    try:
        await check.user(lambda tx: named_user(tx, name, "default"), Secret(password), (name, "here"))
    except Unauthenticated:
        return False
    return True


async def _failures(site: Site, user_id: str) -> int:
    found = await site.db.read(lambda tx: LOGIN_FAILURES.find(tx, user_id=user_id))
    return 0 if found is None else found.failures


async def _demo(site: Site) -> User:
    found = await site.db.read(lambda tx: named_user(tx, "demo", "default"))
    assert found is not None
    return found


async def test_failures_at_once_are_all_counted(site: Site) -> None:
    await asyncio.gather(*(count_failure(site.db, _RULES, "somebody", 1000) for _ in range(8)))
    assert await _failures(site, "somebody") == 8


@pytest.mark.parametrize(("later_s", "counted"), [(599, 4), (600, 1)])
async def test_after_a_lock_that_is_over_the_count_begins_anew(site: Site, later_s: int, counted: int) -> None:
    for _ in range(3):
        await count_failure(site.db, _RULES, "somebody", 1000)
    await count_failure(site.db, _RULES, "somebody", 1000 + later_s * 1_000_000)
    assert await _failures(site, "somebody") == counted


async def test_before_a_lock_it_goes_on(site: Site) -> None:
    await count_failure(site.db, _RULES, "somebody", 1000)
    await count_failure(site.db, _RULES, "somebody", 10**15)
    assert await _failures(site, "somebody") == 2


async def test_a_lock_holds_in_every_process(site: Site) -> None:
    await site.seed(site.service())
    first, second = _ground(site), _ground(site)
    assert [await _log_in(ground, "wrong") for ground in (first, second, first)] == [False] * 3
    assert not await _log_in(second, "demo")
    assert not await _log_in(_ground(site), "demo")
    user = await _demo(site)
    # what comes while it is locked neither lengthens the lock nor is counted
    assert await _failures(site, user.id) == 3


async def test_a_right_password_forgets_the_wrong_ones(site: Site) -> None:
    await site.seed(site.service())
    ground, user = _ground(site), await _demo(site)
    for _ in range(2):
        assert not await _log_in(ground, "wrong")
    assert await _log_in(ground, "demo")
    assert await _failures(site, user.id) == 0


async def test_a_right_guess_that_was_looked_at_while_others_locked_the_account_is_none(site: Site) -> None:
    await site.seed(site.service())
    ground, user = _ground(site), await _demo(site)
    check = PasswordCheck(ground)
    for _ in range(3):
        await count_failure(site.db, _RULES, user.id, site.world.now())
    assert not await check._still_open(user)


async def test_a_stranger_costs_what_a_user_costs(site: Site) -> None:
    """To write for one and not for the other would tell who exists."""
    await site.seed(site.service())
    ground = _ground(site)
    for expected in (1, 2):
        assert not await _log_in(ground, "wrong", "stranger")
        assert await _failures(site, "nobody") == expected
    for _ in range(3):
        await _log_in(ground, "wrong")
    assert not await _log_in(ground, "demo")
    assert await _failures(site, "nobody") == 1 + 2


async def test_two_who_choose_at_once_do_not_both_succeed(site: Site) -> None:
    await site.seed(site.service())
    user = await _demo(site)

    async def choose(password: str) -> bool:
        try:
            await OwnPassword(_ground(site)).change(user.id, Secret("demo"), Secret(password), "here")
        except Unauthenticated:
            return False
        return True

    assert sorted(await asyncio.gather(choose("one"), choose("two"))) == [False, True]


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_of_former_passwords_the_newest_are_kept(site: Site, count: int) -> None:
    async def change(number: int) -> None:
        async def unit(tx: Tx) -> None:
            user = User(id="u", name="u", domain_id="d", password_hash=f"hash {number}", password_created_at=number)
            await keep_former_password(tx, user, count)

        await site.db.write(unit)

    for number in (*range(1, 6), 5):
        await change(number)
    kept = await site.db.read(lambda tx: FORMER_PASSWORDS.where(tx, user_id="u"))
    assert [one.password_hash for one in kept] == [f"hash {number}" for number in range(6 - count, 6)]


async def test_nobody_keeps_a_default_project_that_is_gone(site: Site) -> None:
    users = [User(id=name, name=name, domain_id="d", default_project_id=f"p{name}") for name in ("1", "2")]

    async def unit(tx: Tx) -> None:
        for user in users:
            await USERS.insert(tx, user)
        await forget_default_projects(tx, ["p1"])

    await site.db.write(unit)
    changed = await site.db.read(lambda tx: USERS.find(tx, id="1"))
    assert changed == msgspec.structs.replace(users[0], default_project_id=None, generation=2, revision=2)
    assert await site.db.read(lambda tx: USERS.find(tx, id="2")) == users[1]
