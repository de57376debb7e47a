"""Choosing another password by whoever knows the present one, and what a password must be like."""

from __future__ import annotations

from typing import Final

import msgspec

from kilostack.core.errors import BadRequest, Unauthenticated
from kilostack.core.secret import Secret
from kilostack.core.token import user_subject
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.password_check import PasswordCheck
from kilostack.identity.app.proof import LONGEST_LABEL, REJECTED
from kilostack.identity.model.passwords import PasswordRules, expires_at, is_enabled, too_young_s
from kilostack.identity.model.users import User
from kilostack.identity.store import tokens
from kilostack.identity.store.users import FORMER_PASSWORDS, USERS, keep_former_password
from kilostack.store.database import Tx

_DAY_S: Final = 24 * 3600


def check_strong(rules: PasswordRules, password: str | None) -> None:
    """Raise `BadRequest` for a password that the operator does not want."""
    if rules.password_regex is None or (password is not None and rules.is_strong(password)):
        return
    why = rules.password_regex_description or "it must match the pattern that the operator has set"
    raise BadRequest(f"The password does not match the requirements: {why}.", field="password")


class OwnPassword:
    """What users do about their passwords themselves; it needs no token, for it may be why there is none."""

    def __init__(self, ground: Ground) -> None:
        self._ground, self._check, self._rules = ground, PasswordCheck(ground), ground.settings.passwords

    async def change(self, user_id: str, old: Secret, new: Secret, address: str) -> None:
        """Set a new password and end all tokens of the user.

        Raises `Unauthenticated`; `Forbidden` (429) after too many failures; `BadRequest` for a password that may not be
        chosen, or not now.
        """
        who = (user_id[:LONGEST_LABEL], address)
        user = await self._check.user(lambda tx: USERS.find(tx, id=user_id), old, who)
        if not is_enabled(self._rules, user, self._ground.world.now()):
            raise Unauthenticated(REJECTED)
        check_strong(self._rules, new.reveal())
        self._check_allowed(user)
        await self._check_history(user, old, new)
        now = self._ground.world.now()
        fresh = {
            "password_hash": await self._ground.passwords.hashed(new),
            "password_created_at": now,
            "password_expires_at": expires_at(self._rules, user.options, now, self_chosen=True),
            "password_self_chosen": True,
        }
        until = self._ground.until()

        async def unit(tx: Tx) -> None:
            current = await USERS.find(tx, id=user_id)
            if current is None or current.password_hash != user.password_hash:
                raise Unauthenticated(REJECTED)
            await keep_former_password(tx, current, self._rules.remembered)
            await USERS.update(tx, msgspec.structs.replace(current, **fresh))
            await tokens.revoke(tx, [user_subject(user_id)], until)

        await self._ground.db.write(unit)

    def _check_allowed(self, user: User) -> None:
        if user.options.get("lock_password") is True:
            raise BadRequest(
                "You cannot change your password: an administrator has locked it. Ask them to set another.",
                field="password",
            )
        if left_s := too_young_s(self._rules, user, self._ground.world.now()):
            days = -(-left_s // _DAY_S)
            raise BadRequest(
                "You cannot change your password at this time due to the minimum password age of "
                f"{self._rules.minimum_password_age_s} seconds. Try again in {days} day(s), more exactly in {left_s} "
                "seconds, or ask an administrator to set another.",
                field="password",
            )

    async def _check_history(self, user: User, old: Secret, new: Secret) -> None:
        count = self._rules.unique_last_password_count
        if not count:
            return
        same = new.reveal() == old.reveal()
        if not same and self._rules.remembered:
            kept = await self._ground.db.read(lambda tx: FORMER_PASSWORDS.where(tx, user_id=user.id))
            for former in kept[-self._rules.remembered :]:
                same = same or await self._ground.passwords.matches(new, former.password_hash)
        if same:
            raise BadRequest(
                "The new password cannot be identical to a previous password: it must differ from the last "
                f"{count}, the present one included.",
                field="password",
            )
