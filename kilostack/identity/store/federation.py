"""Records of identity providers, mappings, service providers and of users from elsewhere."""

from __future__ import annotations

from kilostack.identity.model.federation import (
    FederatedUser,
    FederationProtocol,
    GroupVisit,
    IdentityProvider,
    Mapping,
    RemoteId,
    ServiceProvider,
)
from kilostack.identity.store.tables import federation as tables
from kilostack.store.database import Tx
from kilostack.store.lists import Collection
from kilostack.store.records import Records

IDENTITY_PROVIDERS = Records(IdentityProvider, tables.IDENTITY_PROVIDERS, noun="identity provider")


REMOTE_IDS = Records(RemoteId, tables.REMOTE_IDS, noun="remote id", key=("remote_id",))


FEDERATION_PROTOCOLS = Records(
    FederationProtocol, tables.FEDERATION_PROTOCOLS, noun="federated protocol", key=("provider_id", "id")
)


MAPPINGS = Records(Mapping, tables.MAPPINGS, noun="mapping")


SERVICE_PROVIDERS = Records(ServiceProvider, tables.SERVICE_PROVIDERS, noun="service provider")


FEDERATED_USERS = Records(
    FederatedUser,
    tables.FEDERATED_USERS,
    noun="federated user",
    key=("provider_id", "protocol_id", "unique_id"),
)


GROUP_VISITS = Records(
    GroupVisit, tables.GROUP_VISITS, noun="group membership", key=("user_id", "group_id", "provider_id")
)


_BY_ID = (("id", False),)


_IDS = {"id": "id"}


IDENTITY_PROVIDER_LIST = Collection(
    IDENTITY_PROVIDERS, filters={"id": "id", "enabled": "enabled"}, sorts=_IDS, default_sort=_BY_ID
)


MAPPING_LIST = Collection(MAPPINGS, filters={}, sorts=_IDS, default_sort=_BY_ID)


SERVICE_PROVIDER_LIST = Collection(
    SERVICE_PROVIDERS, filters={"id": "id", "enabled": "enabled"}, sorts=_IDS, default_sort=_BY_ID
)


async def write_remote_ids(tx: Tx, provider: IdentityProvider) -> None:
    """The provider has these names from now on. Raises `Duplicate` for one that another has."""
    await REMOTE_IDS.delete_where(tx, provider_id=provider.id)
    for name in provider.issuers():
        await REMOTE_IDS.insert(tx, RemoteId(remote_id=name, provider_id=provider.id))


async def visited_groups(tx: Tx, user_id: str, now: int, default_minutes: int) -> list[tuple[GroupVisit, int]]:
    """The groups that a user is in because a provider said so not too long ago, and when that ends."""
    visits = await GROUP_VISITS.where(tx, user_id=user_id)
    names = sorted({visit.provider_id for visit in visits})
    minutes = {
        provider.id: provider.authorization_ttl or default_minutes
        for provider in await IDENTITY_PROVIDERS.within(tx, "id", names)
    }
    ends = [(visit, visit.expires_at(minutes.get(visit.provider_id, 0))) for visit in visits]
    return [(visit, end) for visit, end in ends if end > now]
