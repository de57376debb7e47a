"""Going on with the token of a user from elsewhere, by the name of the protocol by which they came."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from kilostack.core.errors import Unauthenticated
from kilostack.identity.app.federation_rescoping import vouching
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.proof import REJECTED, Proof, expecting
from kilostack.identity.app.tokens import Tokens


class _Part(msgspec.Struct, frozen=True):
    id: str | None = None
    identity_provider: str | None = None
    protocol: str | None = None


class MappedMethod:
    """A token that a provider vouches for. What a provider says itself is shown at the protocol's own address."""

    name: ClassVar[str] = "mapped"
    part: ClassVar[type[msgspec.Struct]] = _Part

    def __init__(self, ground: Ground, tokens: Tokens) -> None:
        self._ground, self._tokens = ground, tokens

    async def prove(self, part: _Part, address: str) -> Proof:
        if part.id is not None:
            parent = await self._tokens.parent(part.id)
            if not parent.provider_id:
                raise Unauthenticated(REJECTED)
            return Proof(methods=(self.name,), user_id=parent.user_id, parent=parent)
        provider_id, protocol_id = part.identity_provider, part.protocol
        if provider_id is None:
            raise expecting("identity_provider", self.name)
        if protocol_id is None:
            raise expecting("protocol", self.name)
        await self._ground.db.read(lambda tx: vouching(tx, provider_id, protocol_id))
        # nothing was shown here
        raise Unauthenticated(REJECTED)


class OpenidMethod(MappedMethod):
    name = "openid"


class Saml2Method(MappedMethod):
    name = "saml2"
