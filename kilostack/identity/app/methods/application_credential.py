"""Logging in by application credential."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from kilostack.core.errors import Unauthenticated
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.proof import LONGEST_LABEL, REJECTED, Named, Proof, expecting, found_user, label
from kilostack.identity.app.tokens import CREDENTIAL_PURPOSE
from kilostack.identity.model.application_credentials import ApplicationCredential
from kilostack.identity.store.application_credentials import APPLICATION_CREDENTIALS
from kilostack.store.database import Tx


class _Part(msgspec.Struct, frozen=True):
    secret: str
    id: str | None = None
    name: str | None = None
    user: Named | None = None


class ApplicationCredentialMethod:
    """A credential by id, or by its name and user; and its secret."""

    name: ClassVar[str] = "application_credential"
    part: ClassVar[type[msgspec.Struct]] = _Part

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def prove(self, part: _Part, address: str) -> Proof:
        if part.id is None and (part.name is None or part.user is None):
            raise expecting("id, or name and user,", "application_credential")
        ground = self._ground
        found = await ground.db.read(lambda tx: _found(tx, part))
        named = part.id or f"{part.name} of {label(part.user or Named())}"
        # counted for the credential, in however many ways it can be named
        who = (named[:LONGEST_LABEL] if found is None else found.id, address)
        ground.attempts.check(who)
        kept = "" if found is None else found.secret_hash
        if not ground.vault.recognizes(CREDENTIAL_PURPOSE, part.secret, kept) or found is None:
            ground.attempts.failed(who)
            raise Unauthenticated(REJECTED)
        ground.attempts.succeeded(who)
        return Proof(methods=(self.name,), user_id=found.user_id, credential_id=found.id, credential_secret=part.secret)


async def _found(tx: Tx, part: _Part) -> ApplicationCredential | None:
    if part.id is not None:
        return await APPLICATION_CREDENTIALS.find(tx, id=part.id)
    user = await found_user(tx, part.user or Named())
    # asked for nobody, too, so that it takes as long
    found = await APPLICATION_CREDENTIALS.where(tx, user_id="" if user is None else user.id, name=part.name)
    return found[0] if found else None
