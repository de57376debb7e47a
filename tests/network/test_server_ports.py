"""What compute asks: may be asked twice, may come late, and says why not in words for the owner of a server."""

from __future__ import annotations

from typing import Any

import pytest

from kilostack.core import errors
from kilostack.core.world import RealWorld
from kilostack.network.app.quotas import Quotas
from kilostack.network.reconcilers.orphans import Orphans
from kilostack.network.store.tables import NETWORKS, PORTS
from kilostack.wire.network_calls import (
    ADDRESSES,
    CHANGE_GROUP,
    CHECK_NICS,
    DESCRIBE_SERVER,
    UNBIND_PORTS,
    AddressesAsked,
    CheckNics,
    GroupChange,
    ServerPorts,
    WantedNic,
)
from tests.http.cloud import OTHER_PROJECT, PROJECT
from tests.network.checks import check_rows
from tests.network.cloud import ADMIN, MEMBER, OTHER, Cloud

_SERVER = "5ea7e55e-0000-4000-8000-000000000001"
_SAGA = "5a6a5a6a-0000-4000-8000-000000000001"


async def test_binding_twice_gives_the_same_ports(any_cloud: Cloud) -> None:
    network_id, _ = await any_cloud.network()
    first = await any_cloud.bind(_SERVER, "h1", network_id, saga=(_SAGA, "bind_ports", 1))
    again = await any_cloud.bind(_SERVER, "h1", network_id, saga=(_SAGA, "bind_ports", 2))
    assert first == again
    assert first.ports[0].created
    assert first.ports[0].mtu == 1450
    moved = await any_cloud.bind(_SERVER, "h2", network_id, saga=(_SAGA, "bind_ports", 2))
    assert moved == first
    port = await any_cloud.db.read(lambda tx: PORTS.get(tx, id=first.ports[0].port_id))
    assert (port.host, port.device_owner, port.hostname) == ("h2", "compute:nova", _SERVER[:8])
    await any_cloud.db.read(check_rows)


async def test_a_late_call_finds_the_tombstone(any_cloud: Cloud) -> None:
    network_id, _ = await any_cloud.network()
    await any_cloud.call(UNBIND_PORTS, ServerPorts(_SERVER), (_SAGA, "bind_ports", 3))
    with pytest.raises(errors.Refused, match="was undone"):
        await any_cloud.bind(_SERVER, "h1", network_id, saga=(_SAGA, "bind_ports", 3))
    with pytest.raises(errors.Refused, match="epoch 3"):
        await any_cloud.bind(_SERVER, "h1", network_id, saga=(_SAGA, "bind_ports", 2))
    assert await any_cloud.db.read(lambda tx: PORTS.where(tx, device_id=_SERVER)) == []
    await any_cloud.db.read(check_rows)


async def test_unbinding_removes_what_was_made_and_frees_what_was_given(cloud: Cloud) -> None:
    network_id, _ = await cloud.network()
    (given,) = await cloud.service.ports.create(MEMBER, [{"network_id": network_id, "project_id": PROJECT}])
    nics = (WantedNic(port_id=given.id), WantedNic(network_id=network_id))
    bound = await cloud.bind(_SERVER, "h1", network_id, nics=nics)
    assert [port.created for port in bound.ports] == [False, True]
    for _ in range(2):
        await cloud.call(UNBIND_PORTS, ServerPorts(_SERVER))
        left = await cloud.db.read(lambda tx: PORTS.where(tx, network_id=network_id, device_owner=""))
        assert [(port.id, port.device_id, port.host, port.slot) for port in left] == [(given.id, "", "", None)]
    await cloud.db.read(check_rows)


async def test_what_cannot_be_is_refused_in_words(cloud: Cloud) -> None:
    network_id, _ = await cloud.network("10.1.0.0/30", name="tiny-net")
    with pytest.raises(errors.Refused, match=r"^No more IP addresses are available on network tiny-net\.$"):
        await cloud.bind(_SERVER, "h1", network_id)
    big, _ = await cloud.network("10.2.0.0/24")
    await Quotas(cloud.service._parts, cloud.service._rights).update(ADMIN, PROJECT, {"port": 2}, force=True)
    with pytest.raises(errors.Refused, match="Maximum number of ports exceeded"):
        await cloud.bind(_SERVER, "h1", big)
    with pytest.raises(errors.Refused, match="could not be found"):
        await cloud.bind(_SERVER, "h1", cloud.world.new_id())
    await cloud.db.read(check_rows)


async def test_a_refused_bind_leaves_nothing(cloud: Cloud) -> None:
    network_id, _ = await cloud.network()
    full, _ = await cloud.network("10.2.0.0/30")
    nics = (WantedNic(network_id=network_id), WantedNic(network_id=full))
    with pytest.raises(errors.Refused):
        await cloud.bind(_SERVER, "h1", network_id, nics=nics)
    assert await cloud.db.read(lambda tx: PORTS.where(tx, device_id=_SERVER)) == []
    await cloud.db.read(check_rows)


async def _check(cloud: Cloud, *nics: WantedNic, default: bool = False, groups: tuple[str, ...] = ()) -> Any:
    asked = CheckNics(project_id=PROJECT, nics=None if default else nics, security_groups=groups)
    return await cloud.call(CHECK_NICS, asked)


async def test_nics_are_checked_before_anything_is_written(cloud: Cloud) -> None:
    network_id, _ = await cloud.network()
    checked = await _check(cloud, WantedNic(network_id=network_id, fixed_ip="10.1.0.9"))
    assert checked.nics == (WantedNic(network_id=network_id, fixed_ip="10.1.0.9"),)
    default = await cloud.service.groups.ensure_default(PROJECT)
    assert checked.security_groups == (default,)
    (other,) = await cloud.service.networks.create(OTHER, [{"name": "o", "project_id": OTHER_PROJECT}])
    for wrong in (
        WantedNic(network_id=other.id),
        WantedNic(network_id=cloud.world.new_id()),
        WantedNic(port_id=cloud.world.new_id()),
        WantedNic(network_id=network_id, fixed_ip="10.9.0.9"),
        WantedNic(network_id=network_id, fixed_ip="10.1.0.1"),
    ):
        if wrong.fixed_ip == "10.1.0.1":
            item = {"network_id": network_id, "project_id": PROJECT, "fixed_ips": ({"ip_address": "10.1.0.1"},)}
            await cloud.service.ports.create(MEMBER, [item])
        with pytest.raises(errors.BadRequest):
            await _check(cloud, wrong)
    with pytest.raises(errors.BadRequest, match="Security group nope not found"):
        await _check(cloud, WantedNic(network_id=network_id), groups=("nope",))


async def test_the_default_network_is_the_only_one(cloud: Cloud) -> None:
    assert (await _check(cloud, default=True)).nics == ()
    await cloud.bootstrap()
    (nic,) = (await _check(cloud, default=True)).nics
    assert nic.network_id
    await cloud.network("10.7.0.0/24")
    with pytest.raises(errors.Conflict, match="Multiple possible networks"):
        await _check(cloud, default=True)


async def test_a_port_in_use_is_a_conflict(cloud: Cloud) -> None:
    network_id, _ = await cloud.network()
    bound = await cloud.bind(_SERVER, "h1", network_id)
    with pytest.raises(errors.Conflict, match="still in use"):
        await _check(cloud, WantedNic(port_id=bound.ports[0].port_id))


async def test_addresses_and_groups_of_servers(cloud: Cloud) -> None:
    await cloud.bootstrap()
    (nic,) = (await _check(cloud, default=True)).nics
    group = await cloud.service.groups.ensure_default(PROJECT)
    bound = await cloud.bind(_SERVER, "h1", str(nic.network_id), security_groups=(group,))
    (public,) = await cloud.db.read(lambda tx: NETWORKS.where(tx, external=True))
    item = {"floating_network_id": public.id, "project_id": PROJECT, "port_id": bound.ports[0].port_id}
    (floating,) = await cloud.service.floating_ips.create(MEMBER, [item])
    shown = await cloud.call(ADDRESSES, AddressesAsked((_SERVER, "nobody")))
    fixed, outside = shown[_SERVER].addresses
    assert (fixed.network, fixed.type, fixed.version) == ("private", "fixed", 4)
    assert (outside.type, outside.address, outside.mac) == ("floating", floating.floating_ip_address, fixed.mac)
    assert shown[_SERVER].security_groups == ("default",)
    assert shown["nobody"].addresses == ()


async def test_groups_come_and_go(cloud: Cloud) -> None:
    network_id, _ = await cloud.network()
    group = await cloud.service.groups.ensure_default(PROJECT)
    await cloud.bind(_SERVER, "h1", network_id, security_groups=(group,))
    (web,) = await cloud.service.groups.create(MEMBER, [{"name": "web", "project_id": PROJECT}])
    for _ in range(2):
        await cloud.call(CHANGE_GROUP, GroupChange(server_id=_SERVER, group="web", add=True))
    shown = await cloud.call(ADDRESSES, AddressesAsked((_SERVER,)))
    assert shown[_SERVER].security_groups == ("default", "web")
    await cloud.call(CHANGE_GROUP, GroupChange(server_id=_SERVER, group=web.id, add=False))
    with pytest.raises(errors.NotFound, match="not associated"):
        await cloud.call(CHANGE_GROUP, GroupChange(server_id=_SERVER, group="web", add=False))
    with pytest.raises(errors.NotFound, match="not found"):
        await cloud.call(CHANGE_GROUP, GroupChange(server_id=_SERVER, group="nope", add=True))
    await cloud.db.read(check_rows)


async def test_ports_of_unknown_servers_are_let_go_of(cloud: Cloud, world: RealWorld) -> None:
    network_id, _ = await cloud.network()
    await cloud.bind(_SERVER, "h1", network_id)
    orphans = Orphans(cloud.service._parts, cloud.calls, patience_s=0.0)
    assert await orphans.due() == []
    cloud.known_servers.clear()
    patient = Orphans(cloud.service._parts, cloud.calls, patience_s=600.0)
    assert await patient.due() == []
    assert await orphans.due() == [_SERVER]
    await orphans.work(_SERVER)
    assert orphans.removed == 1
    assert await orphans.due() == []
    await cloud.db.read(check_rows)


async def test_a_port_of_somebody_else_that_names_the_server_is_none_of_its_cards(cloud: Cloud) -> None:
    network_id, _ = await cloud.network()
    await cloud.bind(_SERVER, "h1", network_id)
    (theirs,) = await cloud.service.networks.create(OTHER, [{"name": "theirs", "project_id": OTHER_PROJECT}])
    wanted = {"network_id": theirs.id, "project_id": OTHER_PROJECT, "cidr": "10.9.0.0/24", "ip_version": 4}
    await cloud.service.subnets.create(OTHER, [wanted])
    false = {"device_id": _SERVER, "device_owner": "compute:nova"}
    item = {"network_id": theirs.id, "project_id": OTHER_PROJECT}
    (port,) = await cloud.service.ports.create(OTHER, [item | false])
    shown = await cloud.call(ADDRESSES, AddressesAsked((_SERVER,)))
    assert [address.network for address in shown[_SERVER].addresses] == ["n"]
    described = await cloud.call(DESCRIBE_SERVER, ServerPorts(_SERVER))
    assert port.id not in [shown.port_id for shown in described.ports]
    await cloud.call(UNBIND_PORTS, ServerPorts(_SERVER))
    assert (await cloud.db.read(lambda tx: PORTS.get(tx, id=port.id))).device_id == _SERVER
    with pytest.raises(errors.BadRequest, match="has no port"):
        await cloud.call(CHANGE_GROUP, GroupChange(server_id=_SERVER, group="default", add=True))
    await cloud.db.read(check_rows)
