"""Whether somebody knows a password. Wrong ones are counted in this process and, per user, in the database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from kilostack.core.errors import Unauthenticated
from kilostack.core.secret import Secret
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.proof import REJECTED
from kilostack.identity.model.passwords import Failures, counts_failures, is_locked
from kilostack.identity.model.users import User
from kilostack.identity.store.users import LOGIN_FAILURES, count_failure
from kilostack.store.database import Tx

#: whose failures are counted when there is nobody to count them for: to write is what tells them from others
_NOBODY = "nobody"

Find = Callable[[Tx], Awaitable[User | None]]


class PasswordCheck:
    """Unknown users, locked ones and wrong passwords get the same answer after the same work."""

    def __init__(self, ground: Ground) -> None:
        self._ground, self._rules = ground, ground.settings.passwords

    async def user(self, find: Find, password: Secret, who: tuple[str, str]) -> User:
        """The user that `find` finds, if it is their password; `who` is the name and the address that attempt it.

        Attempts are counted for the user, in however many ways they can be named; for the name when it is nobody's.
        Raises `Unauthenticated`; `Forbidden` (429) after too many failures. Says nothing about whether the user is
        enabled or the password expired.
        """
        ground = self._ground
        user, failures = await ground.db.read(lambda tx: _found(tx, find))
        who = (who[0] if user is None else user.id, who[1])
        ground.attempts.check(who)
        locked = user is not None and is_locked(self._rules, user, failures, ground.world.now())
        kept = None if user is None else user.password_hash
        # again when its turn has come: many guesses at once must not all pass the first look
        right = await ground.passwords.matches(password, kept, lambda: ground.attempts.check(who), who[1])
        if right and user is not None and await self._still_open(user):
            ground.attempts.succeeded(who)
            return user
        ground.attempts.failed(who)
        if self._rules.lockout_failure_attempts:
            counted = user is not None and not locked and not right and counts_failures(self._rules, user)
            user_id = user.id if user is not None and counted else _NOBODY
            await count_failure(ground.db, self._rules, user_id, ground.world.now())
        raise Unauthenticated(REJECTED)

    async def _still_open(self, user: User) -> bool:
        """Whether the account has not been locked while its password was looked at; its failures are forgotten."""
        if not counts_failures(self._rules, user):
            return True
        failures = await self._ground.db.read(lambda tx: LOGIN_FAILURES.find(tx, user_id=user.id))
        if failures is None:
            return True
        if is_locked(self._rules, user, failures, self._ground.world.now()):
            return False
        await self._ground.db.write(lambda tx: LOGIN_FAILURES.delete(tx, user_id=user.id))
        return True


async def _found(tx: Tx, find: Find) -> tuple[User | None, Failures | None]:
    user = await find(tx)
    # asked for nobody, too, so that it takes as long
    return user, await LOGIN_FAILURES.find(tx, user_id=_NOBODY if user is None else user.id)
