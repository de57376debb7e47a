"""Logging in by password."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from kilostack.core.errors import Unauthenticated
from kilostack.core.secret import Secret
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.proof import REJECTED, DomainName, Named, Proof, found_user, label


class _User(msgspec.Struct, frozen=True):
    password: str
    id: str | None = None
    name: str | None = None
    domain: DomainName | None = None


class _Part(msgspec.Struct, frozen=True):
    user: _User


class PasswordMethod:
    """A user by id or name, and their password."""

    name: ClassVar[str] = "password"
    part: ClassVar[type[msgspec.Struct]] = _Part

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def prove(self, part: _Part, address: str) -> Proof:
        ground, shown = self._ground, part.user
        named = Named(shown.id, shown.name, shown.domain)
        who = (label(named), address)
        ground.attempts.check(who)
        user = await ground.db.read(lambda tx: found_user(tx, named))
        kept = None if user is None else user.password_hash
        # again when its turn has come: many guesses at once must not all pass the first look
        right = await ground.passwords.matches(Secret(shown.password), kept, lambda: ground.attempts.check(who))
        if not right or user is None:
            ground.attempts.failed(who)
            raise Unauthenticated(REJECTED)
        ground.attempts.succeeded(who)
        return Proof(methods=(self.name,), user_id=user.id, password_hash=kept)
