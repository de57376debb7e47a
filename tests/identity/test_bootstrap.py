"""A new cloud is seeded once, whoever comes first, and later changes stay."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kilostack.core.secret import Secret
from kilostack.core.vault import WrongMasterKey
from kilostack.identity.app.bootstrap import PERSONAS, ServicePlace
from kilostack.identity.store import tokens
from kilostack.identity.store.catalog import ENDPOINTS, REGIONS, SERVICES
from kilostack.identity.store.projects import DOMAINS, PROJECTS
from kilostack.identity.store.roles import ASSIGNMENTS, IMPLICATIONS, ROLES
from kilostack.identity.store.users import USERS, named_user
from kilostack.store.database import Tx
from tests.identity.conftest import PLACES, Site


async def _everything(site: Site) -> list[Any]:
    kinds = (
        *(DOMAINS, PROJECTS, USERS, ROLES, IMPLICATIONS, ASSIGNMENTS),
        *(REGIONS, SERVICES, ENDPOINTS),
    )

    async def unit(tx: Tx) -> list[Any]:
        return [record for kind in kinds for record in await kind.where(tx)]

    return await site.db.read(unit)


async def test_a_new_cloud(site: Site) -> None:
    await site.seed(site.service())
    names = {type(one).__name__: set[str]() for one in await _everything(site)}
    for one in await _everything(site):
        names[type(one).__name__].add(getattr(one, "name", getattr(one, "id", "")))
    assert names["Role"] == set(PERSONAS)
    assert names["Project"] == {"admin", "demo", "service"}
    assert names["User"] == {"admin", "demo"}
    assert names["Domain"] == {"Default"}
    assert names["Region"] == {"RegionOne"}
    assert names["Service"] == {"keystone", "nova"}
    assert len([one for one in await _everything(site) if type(one).__name__ == "Endpoint"]) == 6


async def test_seeding_again_changes_nothing(site: Site) -> None:
    await site.seed(site.service())
    before = await _everything(site)
    await site.seed(site.service(), "another password")
    assert await _everything(site) == before


async def test_what_an_operator_removed_stays_removed(site: Site) -> None:
    await site.seed(site.service())

    async def remove(tx: Tx) -> None:
        (demo,) = await USERS.where(tx, name="demo")
        await USERS.delete(tx, id=demo.id)

    await site.db.write(remove)
    await site.seed(site.service())
    assert await site.db.read(lambda tx: named_user(tx, "demo", "default")) is None


async def test_a_service_of_a_later_release_is_added(site: Site) -> None:
    service = site.service()
    await site.seed(service)
    before = await _everything(site)
    await service.bootstrap(Secret("a"), Secret("b"), (*PLACES, ServicePlace("image", "glance", "/image")))
    added = [one for one in await _everything(site) if one not in before]
    assert sorted(type(one).__name__ for one in added) == ["Endpoint", "Endpoint", "Endpoint", "Service"]


async def test_two_at_once_seed_one_cloud(site: Site) -> None:
    await asyncio.gather(*(site.seed(site.service(), f"password {at}") for at in range(3)))
    found = await _everything(site)
    assert len([one for one in found if type(one).__name__ == "User"]) == 2
    assert len([one for one in found if type(one).__name__ == "Role"]) == len(PERSONAS)


async def test_processes_share_their_keys(site: Site) -> None:
    one, other = site.service(), site.service()
    await one.start()
    await other.start()
    assert len(await site.db.read(lambda tx: tokens.KEYS.where(tx))) == 1


async def test_another_master_key_is_noticed_at_start(site: Site) -> None:
    await site.service().start()
    with pytest.raises(WrongMasterKey):
        await site.service(b"x" * 32).start()
