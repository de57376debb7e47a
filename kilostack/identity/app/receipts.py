"""Receipts: what somebody has shown so far who must show more, to come back with."""

from __future__ import annotations

import msgspec

from kilostack.core.errors import Unauthenticated
from kilostack.core.token import BadToken, Receipt
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.proof import Proof
from kilostack.identity.app.signing import Signing
from kilostack.identity.model.factors import required, suffices
from kilostack.identity.model.projects import Domain
from kilostack.identity.model.users import User

_LIFE = 300 * 1_000_000
UNKNOWN = "Could not find auth receipt."


class MoreNeeded(Unauthenticated):
    """What was shown is right, and not enough."""

    def __init__(self, user: User, domain: Domain, number: int, proof: Proof) -> None:
        super().__init__("More ways to show who you are are required.")
        self.user, self.domain, self.number, self.methods = user, domain, number, proof.methods
        self.required = required(user.options, proof.methods, proof.offered)


class Made(msgspec.Struct, frozen=True):
    text: str
    receipt: Receipt


def check_factors(user: User, domain: Domain, number: int, proof: Proof) -> None:
    """Raise `MoreNeeded` unless the proof meets the rules of its user; `number` is the feed's as of the transaction."""
    if not suffices(user.options, proof.methods, proof.offered):
        raise MoreNeeded(user, domain, number, proof)


class Receipts:
    """Makes and reads receipts; they are signed as tokens are and kept nowhere."""

    def __init__(self, ground: Ground, signing: Signing) -> None:
        self._ground, self._signing = ground, signing

    async def make(self, needed: MoreNeeded) -> Made:
        now = self._ground.world.now()
        receipt = Receipt(
            number=needed.number,
            issued_at=now,
            expires_at=now + _LIFE,
            user_id=needed.user.id,
            methods=needed.methods,
        )
        return Made(await self._signing.sign_receipt(receipt), receipt)

    async def joined(self, proof: Proof, text: str) -> Proof:
        """The proof with what the receipt says was shown before. Raises `Unauthenticated`.

        Whether the receipt still holds is for the transaction to see that makes the token.
        """
        try:
            receipt = await self._signing.read_receipt(text)
        except BadToken:
            raise Unauthenticated(UNKNOWN) from None
        if receipt.user_id != proof.user_id or receipt.expires_at <= self._ground.world.now():
            raise Unauthenticated(UNKNOWN)
        methods = tuple(dict.fromkeys((*proof.methods, *receipt.methods)))
        return msgspec.structs.replace(proof, methods=methods, receipt=receipt)
