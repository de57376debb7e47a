"""Logging in with the word of an identity provider: from a bearer token to a proof of who it is."""

from __future__ import annotations

import logging

from kilostack.core.errors import Unauthenticated
from kilostack.identity.app.federation_rescoping import vouching
from kilostack.identity.app.federation_tokens import BearerTokens
from kilostack.identity.app.federation_users import FederatedUsers, Visit
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.proof import REJECTED, Proof
from kilostack.identity.model.federation_claims import assertion_of
from kilostack.identity.model.federation_rules import MappingError, mapped

_LOG = logging.getLogger("kilostack.identity")
#: the names that protocols may have, for they become names of methods in tokens
PROTOCOLS = ("mapped", "openid", "saml2")


class FederatedSignIn:
    """Takes tokens of OpenID providers. What comes by SAML is not taken: nothing here verifies it."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        #: which bearer tokens are taken
        self.tokens = BearerTokens(ground.web, ground.world)
        self._users = FederatedUsers(ground)

    async def prove(self, provider_id: str, protocol_id: str, bearer: str, nonce: str | None = None) -> Proof:
        """Who brings `bearer`, by the mapping of a provider's protocol. It must bear `nonce` when there is one.

        Raises `Unauthenticated`; `NotFound` and `Forbidden` for a provider, protocol or mapping that is not there or is
        disabled; `Unavailable` when the provider's keys cannot be had.
        """
        if protocol_id not in PROTOCOLS:
            raise Unauthenticated("Attempted to authenticate with an unsupported method.")
        provider, mapping = await self._ground.db.read(lambda tx: vouching(tx, provider_id, protocol_id))
        claims = await self.tokens.verified(provider, bearer)
        if nonce is not None and claims.get("nonce") != nonce:
            raise Unauthenticated(REJECTED)
        try:
            found = mapped(mapping.rules, mapping.schema_version, assertion_of(claims))
        except MappingError as error:
            _LOG.warning("a mapping lets nobody in", extra={"mapping": mapping.id, "why": str(error)})
            raise Unauthenticated(REJECTED) from None
        visit = Visit(
            provider=provider,
            protocol_id=protocol_id,
            schema_version=mapping.schema_version,
            mapped=found,
            remote_user=claims["sub"],
        )
        if found.user.is_local:
            return Proof(methods=(protocol_id,), user_id=(await self._users.local(visit)).user_id)
        admitted = await self._users.admit(visit)
        return Proof(
            methods=(protocol_id,),
            user_id=admitted.user_id,
            provider_id=provider_id,
            protocol_id=protocol_id,
            group_ids=admitted.group_ids,
        )
