"""Users from elsewhere on a database of either kind: many first visits at once, and statements that do not grow."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from kilostack.core.errors import Duplicate
from kilostack.core.vault import Vault
from kilostack.identity.app.federation_users import FederatedUsers, Visit
from kilostack.identity.app.ground import Ground, IdentityParts
from kilostack.identity.model.federation import FederatedUser, FederationProtocol, IdentityProvider
from kilostack.identity.model.federation_rules import Mapped, MappedDomain, MappedProject, MappedRole, MappedUser
from kilostack.identity.model.groups import Group
from kilostack.identity.store.federation import (
    FEDERATED_USERS,
    FEDERATION_PROTOCOLS,
    GROUP_VISITS,
    IDENTITY_PROVIDERS,
    visited_groups,
    write_remote_ids,
)
from kilostack.identity.store.groups import GROUPS
from kilostack.identity.store.projects import PROJECTS
from kilostack.identity.store.roles import ASSIGNMENTS
from kilostack.identity.store.users import USERS
from kilostack.store.database import Tx
from tests.identity.conftest import Site

_PROVIDER = IdentityProvider(id="acme", domain_id="default", enabled=True, remote_ids=("https://idp.test", "aud:x"))
_PROJECTS = (MappedProject("shared", (MappedRole("member"), MappedRole("reader"))),)


@pytest.fixture
async def users(site: Site) -> FederatedUsers:
    """Those of a provider that is known, in a domain that has a group `g`."""
    await site.seed(site.service())

    async def unit(tx: Tx) -> None:
        await IDENTITY_PROVIDERS.insert(tx, _PROVIDER)
        await write_remote_ids(tx, _PROVIDER)
        await FEDERATION_PROTOCOLS.insert(tx, FederationProtocol(provider_id="acme", id="openid", mapping_id="m"))
        await GROUPS.insert(tx, Group(id="g", name="g", domain_id="default"))

    await site.db.write(unit)
    return FederatedUsers(Ground(IdentityParts(db=site.db, world=site.world, vault=Vault(b"m" * 32))))


def _visit(name: str, unique: str, *groups: str, version: str = "1.0") -> Visit:
    user = MappedUser(id=unique, name=name, domain=MappedDomain(id="default"))
    return Visit(
        provider=_PROVIDER,
        protocol_id="openid",
        schema_version=version,
        mapped=Mapped(user, groups, (), _PROJECTS),
        remote_user=name,
    )


async def test_many_first_visits_at_once(site: Site, users: FederatedUsers) -> None:
    visits = [_visit("Smith", f"smith-{at % 3}", "g") for at in range(9)]
    admitted = await asyncio.gather(*(users.admit(visit) for visit in visits))
    assert len({one.user_id for one in admitted}) == 3
    assert all(one.group_ids == ("g",) for one in admitted)

    async def look(tx: Tx) -> tuple[list[str], int, int, int]:
        found = await FEDERATED_USERS.where(tx, provider_id="acme")
        names = [(await USERS.get(tx, id=one.user_id)).name for one in found]
        places = await PROJECTS.where(tx, name="shared")
        given = await ASSIGNMENTS.where(tx, scope_kind="project", scope_id=places[0].id)
        return names, len(places), len(given), await GROUP_VISITS.count(tx)

    names, places, given, visited = await site.db.read(look)
    assert len(set(names)) == 3 and "Smith" in names
    assert (places, given, visited) == (1, 6, 3)


async def test_what_holds_for_how_long(site: Site, users: FederatedUsers) -> None:
    user_id = (await users.admit(_visit("Smith", "s", "g"))).user_id
    (visit,) = await site.db.read(lambda tx: GROUP_VISITS.where(tx, user_id=user_id))
    minute = 60_000_000

    async def names(at: int, default: int) -> list[str]:
        found = await site.db.read(lambda tx: visited_groups(tx, user_id, visit.seen_at + at, default))
        return [one.group_id for one, _ in found]

    assert await names(0, 0) == []
    assert await names(5 * minute - 1, 5) == ["g"] and await names(5 * minute, 5) == []

    async def unit(tx: Tx) -> None:
        provider = await IDENTITY_PROVIDERS.get(tx, id="acme")
        await IDENTITY_PROVIDERS.update(tx, msgspec.structs.replace(provider, authorization_ttl=7))

    await site.db.write(unit)
    assert await names(7 * minute - 1, 5) == ["g"] and await names(7 * minute, 5) == []


async def test_a_name_belongs_to_one_provider(site: Site, users: FederatedUsers) -> None:
    other = IdentityProvider(id="other", domain_id="default", remote_ids=("aud:x", "https://idp.test"))

    async def unit(tx: Tx) -> None:
        await write_remote_ids(tx, other)

    with pytest.raises(Duplicate):
        await site.db.write(unit)


async def test_a_provider_may_know_a_user_of_ours(site: Site, users: FederatedUsers) -> None:
    (admin,) = await site.db.read(lambda tx: USERS.where(tx, name="admin"))
    link = FederatedUser(
        provider_id="acme", protocol_id="openid", unique_id="boss", user_id=admin.id, display_name="admin"
    )
    await site.db.write(lambda tx: FEDERATED_USERS.insert(tx, link))
    assert (await users.admit(_visit("The Boss", "boss"))).user_id == admin.id
    assert (await site.db.read(lambda tx: USERS.get(tx, id=admin.id))).name == "admin"
