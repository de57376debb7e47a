"""Who users are to identity providers: as requests describe it, and as lists ask for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kilostack.core.errors import BadRequest
from kilostack.identity.model.federation import FederatedUser
from kilostack.identity.model.users import User
from kilostack.identity.store.federation import FEDERATED_USERS, FEDERATION_PROTOCOLS, IDENTITY_PROVIDERS
from kilostack.store.database import Tx
from kilostack.store.lists import Where

#: filters of a list of users that look at who they are elsewhere, and the columns that these are
FILTERS = {"idp_id": "provider_id", "protocol_id": "protocol_id", "unique_id": "unique_id"}


def described(user: User, federated: list[dict[str, Any]] | None) -> tuple[FederatedUser, ...]:
    """The identities that the `federated` of a checked document gives a user, each once."""
    found = (
        FederatedUser(
            provider_id=provider["idp_id"],
            protocol_id=protocol["protocol_id"],
            unique_id=protocol["unique_id"],
            user_id=user.id,
            display_name=user.name,
        )
        for provider in federated or ()
        for protocol in provider["protocols"]
    )
    return tuple(dict.fromkeys(found))


async def check_providers(tx: Tx, identities: Iterable[FederatedUser]) -> None:
    """Raise `BadRequest` unless all providers and protocols are there."""
    for identity in identities:
        provider_id, protocol_id = identity.provider_id, identity.protocol_id
        if await IDENTITY_PROVIDERS.find(tx, id=provider_id) is None:
            raise BadRequest(f"Could not find Identity Provider: {provider_id}", field="idp_id")
        if await FEDERATION_PROTOCOLS.find(tx, provider_id=provider_id, id=protocol_id) is None:
            raise BadRequest(
                f"Could not find federated protocol {protocol_id} for Identity Provider: {provider_id}.",
                field="protocol_id",
            )


async def replace_identities(tx: Tx, user_id: str, identities: Iterable[FederatedUser]) -> None:
    """Give a user these identities and no others. Raises `Duplicate` when one is another user's."""
    await FEDERATED_USERS.delete_where(tx, user_id=user_id)
    for identity in identities:
        await FEDERATED_USERS.insert(tx, identity)


async def matching_users(tx: Tx, wanted: Iterable[Where]) -> list[str]:
    """Ids of users with one identity that meets all these conditions."""
    equal: dict[str, str] = {}
    for where in wanted:
        if where.op != "eq" or len(set(where.values)) != 1:
            return []
        equal[FILTERS[where.name]] = where.values[0]
    found = await FEDERATED_USERS.where(tx, **equal)
    return sorted({identity.user_id for identity in found})
