"""Logging in with a request that a consumer of OAuth 1 has signed."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from kilostack.core.errors import BadRequest, NotFound, Unauthenticated
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.oauth1 import Secrets
from kilostack.identity.app.proof import REJECTED, Proof, expecting
from kilostack.identity.model.oauth1 import AccessToken, Consumer
from kilostack.identity.model.oauth1_signatures import Unsigned, read
from kilostack.identity.store.oauth1 import ACCESS_TOKENS, CONSUMERS
from kilostack.store.database import Tx


class _Part(msgspec.Struct, frozen=True):
    """What of the request is signed: all that this method shows is in its head."""

    url: str
    authorization: str | None = None


class OAuth1Method:
    """An access token, shown by a signature with its secret and that of the consumer."""

    name: ClassVar[str] = "oauth1"
    part: ClassVar[type[msgspec.Struct]] = _Part

    def __init__(self, ground: Ground) -> None:
        self._ground, self._secrets = ground, Secrets(ground)

    async def prove(self, part: _Part, address: str) -> Proof:
        try:
            signed = read(part.url, part.authorization)
        except Unsigned as error:
            raise BadRequest(f"{error}.", field="Authorization") from None
        token_id = signed.parameters.get("oauth_token")
        if not token_id:
            raise expecting("oauth_token", "request")
        token, consumer = await self._ground.db.read(lambda tx: _known(tx, token_id))
        try:
            signed.check_form(self._ground.world.now() // 1_000_000)
        except Unsigned:
            raise Unauthenticated(REJECTED) from None
        # whether it has ended is looked at when the token is made
        if consumer is None or consumer.id != signed.parameters["oauth_consumer_key"]:
            raise Unauthenticated(REJECTED)
        opened = self._secrets.opened
        if not signed.is_signed_by(opened(consumer.secret_sealed), opened(token.secret_sealed)):
            raise Unauthenticated(REJECTED)
        return Proof(methods=(self.name,), user_id=token.authorizing_user_id, access_token_id=token.id)


async def _known(tx: Tx, token_id: str) -> tuple[AccessToken, Consumer | None]:
    token = await ACCESS_TOKENS.find(tx, id=token_id)
    if token is None:
        # ids are long and random: who asks for one knows it
        raise NotFound("Access token not found")
    return token, await CONSUMERS.find(tx, id=token.consumer_id)
