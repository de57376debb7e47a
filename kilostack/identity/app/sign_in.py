"""Logging in: from the `identity` part of a request to a proof of who it is."""

from __future__ import annotations

import msgspec

from kilostack.core.errors import Unauthenticated
from kilostack.core.secret import Secret
from kilostack.core.vault import Vault
from kilostack.identity.app.passwords import Attempts, Passwords
from kilostack.identity.app.resources import Ground
from kilostack.identity.app.tokens import CREDENTIAL_PURPOSE, DomainName, Named, Proof, Tokens, expecting, found_domain
from kilostack.identity.model.credentials import ApplicationCredential
from kilostack.identity.model.directory import User
from kilostack.identity.store import directory as store
from kilostack.store.database import Tx

METHODS = ("password", "token", "application_credential")
_LONGEST_LABEL = 300
_REJECTED = "The request you have made requires authentication."


class PasswordUser(msgspec.Struct, frozen=True):
    password: str
    id: str | None = None
    name: str | None = None
    domain: DomainName | None = None


class PasswordMethod(msgspec.Struct, frozen=True):
    user: PasswordUser


class TokenMethod(msgspec.Struct, frozen=True):
    id: str


class CredentialMethod(msgspec.Struct, frozen=True):
    secret: str
    id: str | None = None
    name: str | None = None
    user: Named | None = None


class Shown(msgspec.Struct, frozen=True):
    """What a client shows to prove who it is: the methods it names, and one part for each."""

    methods: tuple[str, ...]
    password: PasswordMethod | None = None
    token: TokenMethod | None = None
    application_credential: CredentialMethod | None = None


class SignIn:
    """Checks what is shown. Who is wrong, unknown, disabled or late gets the same answer in the same time."""

    def __init__(self, ground: Ground, tokens: Tokens, passwords: Passwords, vault: Vault, attempts: Attempts) -> None:
        self._ground, self._tokens, self._passwords, self._vault = ground, tokens, passwords, vault
        self._attempts = attempts

    async def prove(self, shown: Shown, address: str) -> Proof:
        """Raises `Unauthenticated`; `Forbidden` (429) after too many failures; `BadRequest` when a part is missing."""
        if not shown.methods:
            raise expecting("methods", "identity")
        proof: Proof | None = None
        for method in dict.fromkeys(shown.methods):
            one = await self._prove(method, shown, address)
            if proof is not None and proof.user_id != one.user_id:
                raise Unauthenticated(_REJECTED)
            proof = one if proof is None else _both(proof, one)
        assert proof is not None
        return msgspec.structs.replace(proof, methods=tuple(name for name in METHODS if name in proof.methods))

    async def _prove(self, method: str, shown: Shown, address: str) -> Proof:
        if method not in METHODS:
            raise Unauthenticated("Attempted to authenticate with an unsupported method.")
        part = getattr(shown, method)
        if part is None:
            raise expecting(method, "identity")
        if isinstance(part, PasswordMethod):
            return await self._by_password(part.user, address)
        if isinstance(part, CredentialMethod):
            return await self._by_credential(part, address)
        parent = await self._tokens.parent(part.id)
        return Proof(methods=("token", *parent.methods), user_id=parent.user_id, parent=parent)

    async def _by_password(self, part: PasswordUser, address: str) -> Proof:
        named = Named(part.id, part.name, part.domain)
        who = (_label(named), address)
        self._attempts.check(who)
        user = await self._ground.db.read(lambda tx: _found_user(tx, named))
        kept = None if user is None else user.password_hash
        # again when its turn has come: many guesses at once must not all pass the first look
        right = await self._passwords.matches(Secret(part.password), kept, lambda: self._attempts.check(who))
        if not right or user is None:
            self._attempts.failed(who)
            raise Unauthenticated(_REJECTED)
        self._attempts.succeeded(who)
        return Proof(methods=("password",), user_id=user.id, password_hash=kept)

    async def _by_credential(self, part: CredentialMethod, address: str) -> Proof:
        if part.id is None and (part.name is None or part.user is None):
            raise expecting("id, or name and user,", "application_credential")
        label = part.id or f"{part.name} of {_label(part.user or Named())}"
        who = (label[:_LONGEST_LABEL], address)
        self._attempts.check(who)
        found = await self._ground.db.read(lambda tx: _found_credential(tx, part))
        kept = "" if found is None else found.secret_hash
        if not self._vault.recognizes(CREDENTIAL_PURPOSE, part.secret, kept) or found is None:
            self._attempts.failed(who)
            raise Unauthenticated(_REJECTED)
        self._attempts.succeeded(who)
        return Proof(
            methods=("application_credential",),
            user_id=found.user_id,
            credential_id=found.id,
            credential_secret=part.secret,
        )


def _both(first: Proof, second: Proof) -> Proof:
    """Two methods that show the same user."""
    return Proof(
        methods=(*first.methods, *second.methods),
        user_id=first.user_id,
        password_hash=first.password_hash or second.password_hash,
        parent=first.parent or second.parent,
        credential_id=first.credential_id or second.credential_id,
        credential_secret=first.credential_secret or second.credential_secret,
    )


def _label(named: Named) -> str:
    """Cut, because it is remembered and a client may send anything."""
    domain = named.domain or DomainName()
    return (named.id or f"{named.name} in {domain.id or domain.name}")[:_LONGEST_LABEL]


async def _found_user(tx: Tx, named: Named) -> User | None:
    if named.id is not None:
        return await store.USERS.find(tx, id=named.id)
    if named.name is None:
        raise expecting("id or name", "user")
    domain = await found_domain(tx, named.domain, "user")
    return None if domain is None else await store.named_user(tx, named.name, domain.id)


async def _found_credential(tx: Tx, part: CredentialMethod) -> ApplicationCredential | None:
    if part.id is not None:
        return await store.CREDENTIALS.find(tx, id=part.id)
    user = await _found_user(tx, part.user or Named())
    if user is None:
        return None
    found = await store.CREDENTIALS.where(tx, user_id=user.id, name=part.name)
    return found[0] if found else None
