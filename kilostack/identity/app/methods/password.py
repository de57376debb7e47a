"""Logging in by password."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from kilostack.core.errors import Unauthenticated
from kilostack.core.secret import Secret
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.password_check import PasswordCheck
from kilostack.identity.app.proof import REJECTED, DomainName, Named, Proof, found_user, label
from kilostack.identity.model.passwords import is_another_day, is_enabled, is_expired
from kilostack.identity.store.users import mark_active


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
        self._ground, self._check = ground, PasswordCheck(ground)

    async def prove(self, part: _Part, address: str) -> Proof:
        shown, rules = part.user, self._ground.settings.passwords
        named = Named(shown.id, shown.name, shown.domain)
        who = (label(named), address)
        user = await self._check.user(lambda tx: found_user(tx, named), Secret(shown.password), who)
        now = self._ground.world.now()
        if not is_enabled(rules, user, now):
            raise Unauthenticated(REJECTED)
        if is_expired(user, now):
            # whoever knows the password may know this; clients look for these words, and then ask for a new one
            raise Unauthenticated(f"The password is expired and needs to be changed for user: {user.id}.")
        if rules.disable_user_account_days_inactive and is_another_day(user, now):
            await self._ground.db.write(lambda tx: mark_active(tx, user.id, now))
        return Proof(methods=(self.name,), user_id=user.id, password_hash=user.password_hash)
