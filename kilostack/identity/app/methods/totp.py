"""Logging in by a one-time passcode."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from kilostack.core.errors import Unauthenticated
from kilostack.core.vault import WrongMasterKey
from kilostack.identity.app.credentials import PURPOSE
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.proof import REJECTED, DomainName, Named, Proof, found_user, label
from kilostack.identity.model.credentials import TOTP_TYPE, Credential
from kilostack.identity.model.totp import step_of
from kilostack.identity.model.users import User
from kilostack.identity.store.credentials import CREDENTIALS, use_step
from kilostack.store.database import Tx


class _User(msgspec.Struct, frozen=True):
    passcode: str | int | None = None
    id: str | None = None
    name: str | None = None
    domain: DomainName | None = None


class _Part(msgspec.Struct, frozen=True):
    user: _User


class TotpMethod:
    """A user by id or name, and the passcode that a device of theirs shows now; each is taken once."""

    name: ClassVar[str] = "totp"
    part: ClassVar[type[msgspec.Struct]] = _Part

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def prove(self, part: _Part, address: str) -> Proof:
        ground, shown = self._ground, part.user
        named = Named(shown.id, shown.name, shown.domain)
        user, seeds = await ground.db.read(lambda tx: _seeds(tx, named))
        # counted for the user, in however many ways they can be named; from here on nothing waits before it is counted,
        # so that many guesses at once do not all pass
        who = (f"totp {label(named) if user is None else user.id}", address)
        ground.attempts.check(who)
        passcode = shown.passcode if isinstance(shown.passcode, str) else ""
        if user is None or not await self._taken(passcode, seeds):
            ground.attempts.failed(who)
            raise Unauthenticated(REJECTED)
        ground.attempts.succeeded(who)
        return Proof(methods=(self.name,), user_id=user.id)

    async def _taken(self, passcode: str, seeds: list[Credential]) -> bool:
        """Whether one of the seeds makes the passcode; then nobody can show it again."""
        now = self._ground.world.now()
        for credential in seeds:
            try:
                seed = self._ground.vault.open(PURPOSE, credential.blob_sealed).decode()
            except (WrongMasterKey, UnicodeError):
                continue
            if (step := step_of(passcode, seed, now)) is None:
                continue
            credential_id, found = credential.id, step

            async def unit(tx: Tx, credential_id: str = credential_id, found: int = found) -> bool:
                return await use_step(tx, credential_id, found)

            if await self._ground.db.write(unit):
                return True
        return False


async def _seeds(tx: Tx, named: Named) -> tuple[User | None, list[Credential]]:
    user = await found_user(tx, named)
    # asked for nobody, too, so that it takes as long
    return user, await CREDENTIALS.where(tx, user_id="" if user is None else user.id, type=TOTP_TYPE)
