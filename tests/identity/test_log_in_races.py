"""What changes between the proof of who somebody is and their token is not missed."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from kilostack.core.errors import Forbidden, NotFound, Unauthenticated
from kilostack.core.secret import Secret
from kilostack.core.vault import Vault
from kilostack.identity.app.ground import Ground, IdentityParts
from kilostack.identity.app.methods.password import PasswordMethod
from kilostack.identity.app.methods.totp import TotpMethod
from kilostack.identity.app.passwords import Passwords
from kilostack.identity.app.proof import Proof
from kilostack.identity.app.receipts import Receipts
from kilostack.identity.app.sign_in import SignIn
from kilostack.identity.app.signing import Signing
from kilostack.identity.app.tokens import Tokens
from kilostack.identity.store import tokens as store_tokens
from kilostack.identity.store.users import USERS, named_user
from kilostack.store.database import Tx
from tests.identity.conftest import Site

_SHOWN = {
    "methods": ["password"],
    "password": {"user": {"name": "demo", "domain": {"id": "default"}, "password": "demo"}},
}


@pytest.fixture
async def desk(site: Site) -> tuple[SignIn, Tokens]:
    """The two halves of a login."""
    await site.seed(site.service())
    ground = Ground(IdentityParts(db=site.db, world=site.world, vault=Vault(b"m" * 32)))
    signing = Signing(ground)
    await signing.prepare()
    return SignIn([PasswordMethod(ground)], Receipts(ground, signing)), Tokens(ground, signing)


async def _change(site: Site, **fields: object) -> None:
    async def unit(tx: Tx) -> None:
        user = await named_user(tx, "demo", "default")
        assert user is not None
        await USERS.update(tx, msgspec.structs.replace(user, **fields))
        await store_tokens.revoke(tx, [f"user {user.id}"], 2_000_000_000_000_000)

    await site.db.write(unit)


async def test_a_login_as_it_should_be(desk: tuple[SignIn, Tokens]) -> None:
    sign_in, tokens = desk
    issued = await tokens.issue(await sign_in.prove(_SHOWN, "here"), None)
    assert issued.claims.user_name == "demo"


@pytest.mark.parametrize("fields", [{"password_hash": "another"}, {"enabled": False}])
async def test_a_change_after_the_proof_is_seen(
    site: Site, desk: tuple[SignIn, Tokens], fields: dict[str, object]
) -> None:
    sign_in, tokens = desk
    proof = await sign_in.prove(_SHOWN, "here")
    await _change(site, **fields)
    with pytest.raises(Unauthenticated):
        await tokens.issue(proof, None)


async def test_a_change_after_the_token_voids_it(site: Site, desk: tuple[SignIn, Tokens]) -> None:
    sign_in, tokens = desk
    claims = (await tokens.issue(await sign_in.prove(_SHOWN, "here"), None)).claims
    await _change(site, enabled=True)
    rules = await site.db.read(lambda tx: store_tokens.rules(tx, 0, 1))
    (revoked,) = rules.revocations
    assert revoked.subject in claims.subjects()
    assert claims.number < revoked.before


async def test_a_hash_from_outside_is_never_verified_as_ours(site: Site) -> None:
    """Damaged or foreign text in the column is a wrong password, not an error."""
    passwords = Passwords(site.world, lambda size: b"e" * size)
    kept = await passwords.hashed(Secret("right"))
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.matches(Secret("right"), kept)
    for wrong in (None, "", "nonsense", kept[:-4], kept.replace("argon2id", "argon2i")):
        assert not await passwords.matches(Secret("right"), wrong)
    assert not await passwords.matches(Secret("Right"), kept)


async def test_a_provider_that_goes_after_the_proof_vouches_for_nobody(site: Site, desk: tuple[SignIn, Tokens]) -> None:
    user = await site.db.read(lambda tx: named_user(tx, "demo", "default"))
    assert user is not None
    proof = Proof(methods=("openid",), user_id=user.id, provider_id="acme", protocol_id="openid")
    with pytest.raises(NotFound):
        await desk[1].issue(proof, None)


async def test_passcodes_guessed_at_once_are_counted_before_the_next_is_looked_at(site: Site) -> None:
    await site.seed(site.service())
    ground = Ground(IdentityParts(db=site.db, world=site.world, vault=Vault(b"m" * 32)))
    sign_in = SignIn([TotpMethod(ground)], Receipts(ground, Signing(ground)))
    shown = {"methods": ["totp"], "totp": {"user": {"name": "demo", "domain": {"id": "default"}, "passcode": "000000"}}}
    guesses = [sign_in.prove(shown, "here") for _ in range(40)]
    found = [type(answer) for answer in await asyncio.gather(*guesses, return_exceptions=True)]
    assert (found.count(Unauthenticated), found.count(Forbidden)) == (10, 30)
