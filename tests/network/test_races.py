"""Several clients at once: the last slot, address and number go to exactly one of them, on both databases."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterable
from typing import Any

import msgspec
import pytest
from asyncmy.errors import MySQLError

from kilostack.core import errors
from kilostack.core.world import RealWorld
from kilostack.network.app.quotas import Quotas
from kilostack.network.store import addresses, networks, projects
from kilostack.network.store.changes import Change
from kilostack.network.store.tables import GROUPS, META, PORTS
from tests.databases import by_hand
from tests.http.cloud import PROJECT
from tests.network.checks import check_rows
from tests.network.cloud import ADMIN, MEMBER, Cloud


async def _outcomes(work: Iterable[Awaitable[Any]]) -> tuple[list[Any], Counter[str]]:
    """What came back, and how often each refusal came."""
    done = await asyncio.gather(*work, return_exceptions=True)
    refused: Counter[str] = Counter()
    for outcome in done:
        if isinstance(outcome, errors.Error):
            refused[outcome.kind or type(outcome).__name__] += 1
        elif isinstance(outcome, BaseException):
            raise outcome
    return [outcome for outcome in done if not isinstance(outcome, BaseException)], refused


async def test_the_last_slots_of_a_quota(any_cloud: Cloud) -> None:
    quotas = Quotas(any_cloud.service._parts, any_cloud.service._rights)
    await quotas.update(ADMIN, PROJECT, {"network": 3})
    wanted = [{"name": "n", "project_id": PROJECT}]
    made, refused = await _outcomes(any_cloud.service.networks.create(MEMBER, wanted) for _ in range(8))
    assert len(made) == 3
    assert refused == {"OverQuota": 5}
    await any_cloud.db.read(check_rows)


async def test_a_bulk_request_takes_all_or_nothing(any_cloud: Cloud) -> None:
    quotas = Quotas(any_cloud.service._parts, any_cloud.service._rights)
    await quotas.update(ADMIN, PROJECT, {"network": 3})
    wanted = [{"name": "n", "project_id": PROJECT}] * 2
    made, refused = await _outcomes(any_cloud.service.networks.create(MEMBER, wanted) for _ in range(3))
    assert (len(made), refused) == (1, Counter(OverQuota=2))
    await any_cloud.db.read(check_rows)


async def test_the_last_addresses_of_a_subnet(any_cloud: Cloud) -> None:
    # of 6 addresses the gateway and the DHCP port have two
    network_id, _ = await any_cloud.network("10.1.0.0/29")
    wanted = [{"network_id": network_id, "project_id": PROJECT}]
    made, refused = await _outcomes(any_cloud.service.ports.create(MEMBER, wanted) for _ in range(7))
    assert len({port.fixed_ips for (port,) in made}) == 4
    assert refused == {"IpAddressGenerationFailure": 3}
    await any_cloud.db.read(check_rows)


async def test_one_address_asked_for_by_many(any_cloud: Cloud) -> None:
    network_id, _ = await any_cloud.network()
    fixed = ({"ip_address": "10.1.0.77"},)
    wanted = [{"network_id": network_id, "project_id": PROJECT, "fixed_ips": fixed}]
    made, refused = await _outcomes(any_cloud.service.ports.create(MEMBER, wanted) for _ in range(4))
    assert (len(made), refused) == (1, Counter(IpAddressAlreadyAllocated=3))
    await any_cloud.db.read(check_rows)


async def test_networks_get_segments_of_their_own(any_cloud: Cloud) -> None:
    wanted = [{"name": "n", "project_id": PROJECT}]
    made, _ = await _outcomes(any_cloud.service.networks.create(MEMBER, wanted) for _ in range(8))
    assert sorted(network.segmentation_id for (network,) in made) == list(range(1001, 1009))


async def test_a_project_gets_one_default_group(any_cloud: Cloud) -> None:
    made, _ = await _outcomes(any_cloud.service.groups.ensure_default(PROJECT) for _ in range(6))
    assert len(set(made)) == 1
    assert await any_cloud.db.read(lambda tx: GROUPS.count(tx, project_id=PROJECT)) == 1


@pytest.mark.parametrize("turn", range(4))
async def test_a_network_is_removed_while_ports_are_made(any_cloud: Cloud, turn: int) -> None:
    network_id, _ = await any_cloud.network()
    wanted = [{"network_id": network_id, "project_id": PROJECT}]
    work: list[Awaitable[Any]] = [any_cloud.service.ports.create(MEMBER, wanted) for _ in range(3)]
    work.insert(turn, any_cloud.service.networks.delete(MEMBER, network_id, None))
    _, refused = await _outcomes(work)
    assert set(refused) <= {"NetworkNotFound", "NetworkInUse", "Conflict"}
    await any_cloud.db.read(check_rows)


@pytest.mark.parametrize("turn", range(3))
async def test_a_group_is_removed_while_ports_join_it(any_cloud: Cloud, turn: int) -> None:
    network_id, _ = await any_cloud.network()
    (group,) = await any_cloud.service.groups.create(MEMBER, [{"name": "g", "project_id": PROJECT}])
    wanted = [{"network_id": network_id, "project_id": PROJECT, "security_groups": (group.id,)}]
    work: list[Awaitable[Any]] = [any_cloud.service.ports.create(MEMBER, wanted) for _ in range(2)]
    work.insert(turn, any_cloud.service.groups.delete(MEMBER, group.id, None))
    _, refused = await _outcomes(work)
    assert set(refused) <= {"SecurityGroupNotFound", "SecurityGroupInUse", "Conflict"}
    await any_cloud.db.read(check_rows)


@pytest.mark.mariadb
async def test_a_second_process_waits_for_the_project(make_mariadb: Any, world: RealWorld) -> None:
    """By hand: the other process has counted its network and not committed yet."""
    cloud = Cloud(await make_mariadb(META), world)
    await Quotas(cloud.service._parts, cloud.service._rights).update(ADMIN, PROJECT, {"network": 1})
    async with by_hand(cloud.db) as other:
        await projects.take(other.tx, PROJECT, network=1)
        waiting = asyncio.ensure_future(cloud.service.networks.create(MEMBER, [{"name": "n", "project_id": PROJECT}]))
        await other.commit()
        with pytest.raises(errors.OverQuota):
            await waiting


@pytest.mark.mariadb
async def test_an_old_snapshot_cannot_hand_out_addresses(make_mariadb: Any, world: RealWorld) -> None:
    """By hand: a process looked before another took an address; its lock fails, so that it looks again."""
    cloud = Cloud(await make_mariadb(META), world)
    network_id, subnet_id = await cloud.network()
    async with by_hand(cloud.db) as other:
        await networks.get_subnet(other.tx, subnet_id)
        fixed = ({"ip_address": "10.1.0.3"},)
        wanted = {"network_id": network_id, "project_id": PROJECT, "fixed_ips": fixed}
        await cloud.service.ports.create(MEMBER, [wanted])
        with pytest.raises(MySQLError) as caught:
            await addresses.lock(other.tx, network_id)
        assert caught.value.args[0] == 1020


@pytest.mark.mariadb
async def test_who_uses_an_object_and_who_removes_it_meet(make_mariadb: Any, world: RealWorld) -> None:
    """By hand: the row of the stream is the lock between a network's removal and a port that is being made."""
    cloud = Cloud(await make_mariadb(META), world)
    network_id, _ = await cloud.network()
    async with by_hand(cloud.db) as other:
        await Change(other.tx).lock(f"network/{network_id}")
        waiting = asyncio.ensure_future(cloud.service.networks.delete(MEMBER, network_id, None))
        port = (await PORTS.where(other.tx, network_id=network_id))[0]
        await PORTS.update(other.tx, msgspec.structs.replace(port, name="renamed"))
        await other.commit()
        await waiting
    await cloud.db.read(check_rows)
