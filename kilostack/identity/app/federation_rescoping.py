"""What becomes of the word of an identity provider after the login: in further tokens, and between two visits."""

from __future__ import annotations

import msgspec

from kilostack.core.errors import Forbidden, NotFound
from kilostack.core.token import Claims
from kilostack.identity.app.proof import Proof
from kilostack.identity.model.federation import FederationProtocol, IdentityProvider, Mapping
from kilostack.identity.store.federation import (
    FEDERATION_PROTOCOLS,
    IDENTITY_PROVIDERS,
    MAPPINGS,
    visited_groups,
)
from kilostack.identity.store.groups import GROUPS
from kilostack.store.database import Tx


async def get_protocol(tx: Tx, provider_id: str, protocol_id: str) -> FederationProtocol:
    """Raises `NotFound`."""
    found = await FEDERATION_PROTOCOLS.find(tx, provider_id=provider_id, id=protocol_id)
    if found is None:
        raise NotFound(f"Could not find federated protocol {protocol_id} for Identity Provider: {provider_id}.")
    return found


async def vouching(tx: Tx, provider_id: str, protocol_id: str) -> tuple[IdentityProvider, Mapping]:
    """A provider whose word is taken, and the mapping of its protocol. Raises `NotFound` or `Forbidden`."""
    provider = await IDENTITY_PROVIDERS.find(tx, id=provider_id)
    if provider is None:
        raise NotFound(f"Could not find Identity Provider: {provider_id}.")
    if not provider.enabled:
        raise Forbidden(f"Identity Provider {provider_id} is disabled")
    protocol = await get_protocol(tx, provider_id, protocol_id)
    mapping = await MAPPINGS.find(tx, id=protocol.mapping_id)
    if mapping is None:
        raise NotFound(f"Could not find mapping: {protocol.mapping_id}.")
    return provider, mapping


async def vouched(tx: Tx, claims: Claims, proof: Proof, default_minutes: int) -> Claims:
    """The claims of a token with the provider behind them, and the groups that it says the user is in.

    A token made from another one keeps them while the provider, the protocol and its mapping are there (`NotFound`,
    `Forbidden`). Somebody who comes by a key of their own has the groups of their last visit, for as long as they hold.
    """
    parent = proof.parent
    if parent is not None and parent.provider_id:
        await vouching(tx, parent.provider_id, parent.protocol_id)
        kept = tuple(sorted(group.id for group in await GROUPS.within(tx, "id", parent.group_ids)))
        return msgspec.structs.replace(
            claims, provider_id=parent.provider_id, protocol_id=parent.protocol_id, group_ids=kept
        )
    if proof.provider_id:
        # again: it may have been disabled since it was asked, and that ended the tokens of then
        await vouching(tx, proof.provider_id, proof.protocol_id)
        return msgspec.structs.replace(
            claims, provider_id=proof.provider_id, protocol_id=proof.protocol_id, group_ids=proof.group_ids
        )
    if parent is not None or proof.password_hash is not None:
        return claims
    return await remembered(tx, claims, default_minutes)


async def remembered(tx: Tx, claims: Claims, default_minutes: int) -> Claims:
    """The claims with the groups of the user's last visit. The token ends no later than the first of them does."""
    visits = await visited_groups(tx, claims.user_id, claims.issued_at, default_minutes)
    if not visits:
        return claims
    return msgspec.structs.replace(
        claims,
        group_ids=tuple(sorted({visit.group_id for visit, _ in visits})),
        expires_at=min(claims.expires_at, *(end for _, end in visits)),
    )
