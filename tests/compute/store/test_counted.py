"""What is counted is locked first: of clients that ask for the last slot at once, exactly one gets it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from kilostack.compute.app.server_create import NewServer, ServerCreate
from kilostack.compute.model.records import Keypair
from kilostack.compute.store import keypairs, quotas
from kilostack.compute.store.tables import FLAVORS, KEYPAIRS, META, SERVERS
from kilostack.core.context import Context
from kilostack.core.errors import Duplicate, OverQuota
from kilostack.core.world import RealWorld
from kilostack.store.database import Database
from tests.compute import stand_ins
from tests.databases import by_hand
from tests.http.cloud import PERSONAS, PROJECT


def _member(at: int) -> Context:
    """The member under a request id of its own."""
    return msgspec.structs.replace(PERSONAS["member"], request_id=f"req-{at}")


def _wanted(name: str, **fields: Any) -> NewServer:
    return NewServer(name=name, image_id=stand_ins.IMAGE, flavor_id="1", nics=None, **fields)


def _keypair(name: str) -> Keypair:
    fields = {"type": "ssh", "public_key": "k", "fingerprint": "f", "created_at": 1}
    return Keypair(user_id="u", name=name, number=0, **fields)


async def _outcomes(work: list[Awaitable[Any]]) -> tuple[int, list[type]]:
    """How many succeeded, and the kinds of the failures."""
    results = await asyncio.gather(*work, return_exceptions=True)
    failed = [type(result) for result in results if isinstance(result, BaseException)]
    return len(results) - len(failed), failed


@pytest.fixture
async def db(make_database: Callable[..., Awaitable[Database]]) -> Database:
    made = await make_database(META)

    async def unit(tx: Any) -> None:
        for flavor in stand_ins.FLAVOR_RECORDS:
            await FLAVORS.insert(tx, flavor)
        await quotas.set_limits(tx, PROJECT, {"instances": 3})

    await made.write(unit)
    return made


async def test_the_last_server_goes_to_one(db: Database, world: RealWorld) -> None:
    create = ServerCreate(stand_ins.make_parts(db, world, stand_ins.Neighbours()))
    made, failed = await _outcomes([create.create(_member(at), _wanted(f"s{at}")) for at in range(8)])
    assert (made, set(failed)) == (3, {OverQuota})
    usage = await db.read(lambda tx: quotas.usage(tx, PROJECT))
    assert (usage.servers, usage.cores, await db.read(lambda tx: SERVERS.count(tx))) == (3, 3, 3)


async def test_several_at_once_share_what_is_left(db: Database, world: RealWorld) -> None:
    create = ServerCreate(stand_ins.make_parts(db, world, stand_ins.Neighbours()))
    first = await create.create(_member(1), _wanted("a", least=1, most=2))
    second = await create.create(_member(2), _wanted("b", least=1, most=2))
    assert (len(first), len(second)) == (2, 1)
    with pytest.raises(OverQuota, match="Requested 2, but already used 3 of 3 instances"):
        await create.create(_member(3), _wanted("c", least=2, most=5))


async def test_the_last_key_pair_goes_to_one(db: Database) -> None:
    async def add(name: str) -> Keypair:
        return await db.write(lambda tx: keypairs.insert_new(tx, _keypair(name), 3))

    made, failed = await _outcomes([add(f"k{at}") for at in range(8)])
    assert (made, set(failed)) == (3, {OverQuota})
    kept = await db.read(lambda tx: KEYPAIRS.where(tx, user_id="u"))
    assert sorted(keypair.number for keypair in kept) == [1, 2, 3]
    assert await db.read(lambda tx: keypairs.used(tx, "u")) == 3


async def test_a_name_is_given_once_and_a_failure_costs_nothing(db: Database) -> None:
    async def add() -> Keypair:
        return await db.write(lambda tx: keypairs.insert_new(tx, _keypair("same"), 10))

    made, failed = await _outcomes([add() for _ in range(4)])
    assert (made, set(failed)) == (1, {Duplicate})
    assert await db.read(lambda tx: keypairs.used(tx, "u")) == 1
    assert [await db.write(lambda tx: keypairs.remove(tx, "u", "same")) for _ in range(2)] == [True, False]
    assert await db.read(lambda tx: keypairs.used(tx, "u")) == 0


async def test_numbers_are_not_given_twice(db: Database) -> None:
    for name in ("a", "b"):
        await db.write(lambda tx, name=name: keypairs.insert_new(tx, _keypair(name), -1))
        await db.write(lambda tx, name=name: keypairs.remove(tx, "u", name))
    made = await db.write(lambda tx: keypairs.insert_new(tx, _keypair("c"), -1))
    assert made.number == 3


@pytest.mark.mariadb
async def test_the_second_of_two_open_transactions_waits_for_the_first(
    make_mariadb: Callable[..., Awaitable[Database]],
) -> None:
    """Interleaved by hand: both read, both count; the one that comes second sees what the first has taken."""
    db = await make_mariadb(META)
    await db.write(lambda tx: quotas.set_limits(tx, PROJECT, {"instances": 1}))
    one = {"servers": 1, "cores": 1, "memory_mib": 1}
    async with by_hand(db) as first:
        await quotas.take(first.tx, PROJECT, **one)
        second = asyncio.ensure_future(db.write(lambda tx: quotas.take(tx, PROJECT, **one)))
        await asyncio.sleep(0.05)
        assert not second.done()
        await first.commit()
    with pytest.raises(OverQuota):
        await second
