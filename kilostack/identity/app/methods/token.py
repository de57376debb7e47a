"""Making a token from another one."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from kilostack.identity.app.proof import Proof
from kilostack.identity.app.tokens import Tokens


class _Part(msgspec.Struct, frozen=True):
    id: str


class TokenMethod:
    """A token that still holds."""

    name: ClassVar[str] = "token"
    part: ClassVar[type[msgspec.Struct]] = _Part

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def prove(self, part: _Part, address: str) -> Proof:
        parent = await self._tokens.parent(part.id)
        return Proof(methods=(self.name, *parent.methods), user_id=parent.user_id, parent=parent)
