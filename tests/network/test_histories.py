"""Random histories: whatever is asked in whatever order, the rows agree and hosts are told what is true."""

from __future__ import annotations

import random
from typing import Any

import pytest

from kilostack.core import errors
from kilostack.network.store import tables
from kilostack.network.store.tables import FEED, META
from kilostack.wire.network_calls import (
    CHANGE_GROUP,
    CHECK_NICS,
    UNBIND_PORTS,
    CheckNics,
    GroupChange,
    ServerPorts,
    WantedNic,
)
from tests.http.cloud import OTHER_PROJECT, PROJECT
from tests.network.checks import Follower, check_rows
from tests.network.cloud import ADMIN, MEMBER, OTHER, Cloud

_HOSTS = ("h1", "h2", "h3")
_OWNERS = ((MEMBER, PROJECT), (OTHER, OTHER_PROJECT), (ADMIN, PROJECT))


class History:
    """One run of random requests; what is refused is fine, as long as it leaves no trace."""

    def __init__(self, cloud: Cloud, seed: int) -> None:
        self.cloud, self.chance = cloud, random.Random(seed)
        self.servers: list[str] = []
        self.accepted = 0

    async def _any(self, records: Any) -> Any:
        found = await self.cloud.db.read(records.where)
        return self.chance.choice(found) if found else None

    async def step(self) -> None:
        name = self.chance.choice([name for name in dir(self) if name.startswith("do_")])
        try:
            await getattr(self, name)()
            self.accepted += 1
        except errors.Error as error:
            assert not isinstance(error, errors.Unavailable), name

    def _owner(self) -> Any:
        return self.chance.choice(_OWNERS)

    async def do_create_network(self) -> None:
        ctx, project = self._owner()
        more = {"shared": True} if self.chance.random() < 0.2 else {}
        await self.cloud.service.networks.create(ctx, [{"name": "n", "project_id": project, **more}])

    async def do_change_network(self) -> None:
        if network := await self._any(tables.NETWORKS):
            given = {"name": self.chance.choice(["a", "b"]), "mtu": self.chance.choice([1300, 1400])}
            await self.cloud.service.networks.update(ADMIN, network.id, given, None)

    async def do_delete_network(self) -> None:
        if network := await self._any(tables.NETWORKS):
            await self.cloud.service.networks.delete(self._owner()[0], network.id, None)

    async def do_create_subnet(self) -> None:
        ctx, project = self._owner()
        if network := await self._any(tables.NETWORKS):
            version = self.chance.choice([4, 4, 6])
            block = self.chance.randrange(6)
            cidr = f"10.{block}.0.0/{self.chance.choice([24, 28, 29])}" if version == 4 else f"fd00:{block}::/64"
            item = {
                "network_id": network.id,
                "project_id": project,
                "cidr": cidr,
                "ip_version": version,
                "enable_dhcp": self.chance.random() < 0.7,
            }
            await self.cloud.service.subnets.create(ctx, [item])

    async def do_change_subnet(self) -> None:
        if subnet := await self._any(tables.SUBNETS):
            given = {"enable_dhcp": self.chance.random() < 0.5, "dns_nameservers": ()}
            await self.cloud.service.subnets.update(self._owner()[0], subnet.id, given, None)

    async def do_move_gateway(self) -> None:
        if public := await self._public():
            given = {"gateway_ip": f"172.24.4.{self.chance.randint(1, 9)}"}
            for subnet in await self.cloud.db.read(lambda tx: tables.SUBNETS.where(tx, network_id=public)):
                await self.cloud.service.subnets.update(ADMIN, subnet.id, given, None)

    async def do_delete_subnet(self) -> None:
        if subnet := await self._any(tables.SUBNETS):
            await self.cloud.service.subnets.delete(self._owner()[0], subnet.id, None)

    async def do_create_ports(self) -> None:
        ctx, project = self._owner()
        if network := await self._any(tables.NETWORKS):
            item = {"network_id": network.id, "project_id": project}
            await self.cloud.service.ports.create(ctx, [item] * self.chance.randint(1, 3))

    async def do_change_port(self) -> None:
        if port := await self._any(tables.PORTS):
            given: dict[str, Any] = {"admin_state_up": self.chance.random() < 0.5}
            if self.chance.random() < 0.5 and (subnet := await self._any(tables.SUBNETS)):
                given["fixed_ips"] = ({"subnet_id": subnet.id},) * self.chance.randint(0, 2)
            if self.chance.random() < 0.5 and (group := await self._any(tables.GROUPS)):
                given["security_groups"] = (group.id,)
            if self.chance.random() < 0.3:
                given["allowed_address_pairs"] = ({"ip_address": "10.77.0.1"},)
            await self.cloud.service.ports.update(self._owner()[0], port.id, given, None)

    async def do_move_port(self) -> None:
        port = await self._any(tables.PORTS)
        if port and port.fixed_ips:
            subnet_id, address = port.fixed_ips[0]
            if "." in address:
                moved = f"{address.rpartition('.')[0]}.{self.chance.randint(1, 60)}"
                given = {"fixed_ips": ({"subnet_id": subnet_id, "ip_address": moved},)}
                await self.cloud.service.ports.update(ADMIN, port.id, given, None)

    async def do_delete_port(self) -> None:
        if port := await self._any(tables.PORTS):
            await self.cloud.service.ports.delete(self._owner()[0], port.id, None)

    async def do_create_group(self) -> None:
        ctx, project = self._owner()
        await self.cloud.service.groups.create(ctx, [{"name": "g", "project_id": project}])

    async def do_create_rule(self) -> None:
        group, remote = await self._any(tables.GROUPS), await self._any(tables.GROUPS)
        if group:
            item = {"security_group_id": group.id, "direction": "ingress", "project_id": PROJECT}
            item |= self.chance.choice(
                [
                    {"protocol": "tcp", "port_range_min": 22, "port_range_max": 22},
                    {"remote_group_id": remote.id},
                    {"remote_ip_prefix": "10.0.0.0/8"},
                ]
            )
            await self.cloud.service.rules.create(self._owner()[0], [item])

    async def do_delete_rule(self) -> None:
        if rule := await self._any(tables.RULES):
            await self.cloud.service.rules.delete(self._owner()[0], rule.id, None)

    async def do_delete_group(self) -> None:
        if group := await self._any(tables.GROUPS):
            await self.cloud.service.groups.delete(self._owner()[0], group.id, None)

    async def do_create_router(self) -> None:
        ctx, project = self._owner()
        item: dict[str, Any] = {"name": "r", "project_id": project}
        if public := await self._public():
            item["external_gateway_info"] = {"network_id": public}
        await self.cloud.service.routers.create(ctx, [item])

    async def _public(self) -> str | None:
        found = await self.cloud.db.read(lambda tx: tables.NETWORKS.where(tx, external=True))
        return found[0].id if found else None

    async def do_change_router(self) -> None:
        if router := await self._any(tables.ROUTERS):
            public = await self._public()
            info = {"network_id": public} if public and self.chance.random() < 0.7 else None
            given = {"external_gateway_info": info, "admin_state_up": self.chance.random() < 0.8}
            await self.cloud.service.routers.update(self._owner()[0], router.id, given, None)

    async def do_add_leg(self) -> None:
        router = await self._any(tables.ROUTERS)
        if router and self.chance.random() < 0.7 and (subnet := await self._any(tables.SUBNETS)):
            await self.cloud.service.routers.add_interface(ADMIN, router.id, {"subnet_id": subnet.id})
        elif router and (port := await self._any(tables.PORTS)):
            await self.cloud.service.routers.add_interface(ADMIN, router.id, {"port_id": port.id})

    async def do_remove_leg(self) -> None:
        legs = await self.cloud.db.read(lambda tx: tables.PORTS.where(tx, device_owner="network:router_interface"))
        if legs:
            leg = self.chance.choice(legs)
            await self.cloud.service.routers.remove_interface(ADMIN, leg.device_id, {"port_id": leg.id})

    async def do_delete_router(self) -> None:
        if router := await self._any(tables.ROUTERS):
            await self.cloud.service.routers.delete(self._owner()[0], router.id, None)

    async def do_create_floating_ip(self) -> None:
        ctx, project = self._owner()
        if public := await self._public():
            item = {"floating_network_id": public, "project_id": project}
            if self.chance.random() < 0.6 and (port := await self._any(tables.PORTS)):
                item["port_id"] = port.id
            await self.cloud.service.floating_ips.create(ctx, [item])

    async def do_change_floating_ip(self) -> None:
        floating_ip, port = await self._any(tables.FLOATING_IPS), await self._any(tables.PORTS)
        if floating_ip:
            given = {"port_id": port.id if port and self.chance.random() < 0.7 else None}
            await self.cloud.service.floating_ips.update(ADMIN, floating_ip.id, given, None)

    async def do_delete_floating_ip(self) -> None:
        if floating_ip := await self._any(tables.FLOATING_IPS):
            await self.cloud.service.floating_ips.delete(self._owner()[0], floating_ip.id, None)

    async def do_bind(self) -> None:
        network = await self._any(tables.NETWORKS)
        port = await self._any(tables.PORTS) if self.chance.random() < 0.3 else None
        if network:
            server = self.cloud.world.new_id()
            self.servers.append(server)
            nic = WantedNic(port_id=port.id) if port and not port.device_id else WantedNic(network_id=network.id)
            asked = CheckNics(project_id=PROJECT, nics=(nic,))
            checked = await self.cloud.call(CHECK_NICS, asked)
            more = {"nics": checked.nics, "security_groups": checked.security_groups}
            await self.cloud.bind(server, self.chance.choice(_HOSTS), network.id, **more)

    async def do_unbind(self) -> None:
        if self.servers:
            server = self.servers.pop(self.chance.randrange(len(self.servers)))
            await self.cloud.call(UNBIND_PORTS, ServerPorts(server))

    async def do_change_server_group(self) -> None:
        if self.servers and (group := await self._any(tables.GROUPS)):
            add = self.chance.random() < 0.6
            change = GroupChange(server_id=self.chance.choice(self.servers), group=group.id, add=add)
            await self.cloud.call(CHANGE_GROUP, change)

    async def do_forget_host(self) -> None:
        if agents := await self.cloud.service.agents.every(ADMIN):
            await self.cloud.service.agents.delete(ADMIN, self.chance.choice(agents).id)

    async def do_connect(self) -> None:
        address = self.chance.choice(["192.0.2.1", "192.0.2.2"])
        await self.cloud.connect(self.chance.choice(_HOSTS), address)


async def _run(cloud: Cloud, seed: int, steps: int) -> History:
    await cloud.bootstrap()
    history = History(cloud, seed)
    followers = [Follower(host) for host in _HOSTS]
    for follower in followers:
        await cloud.connect(follower.host)
    for follower in followers:
        await follower.follow(cloud)
    seen = (await cloud.db.read(lambda tx: FEED.after(tx, 0))).last
    for _ in range(steps):
        await history.step()
        await cloud.db.read(check_rows)
        changes = await cloud.db.read(lambda tx, after=seen: FEED.after(tx, after))
        seen = changes.last
        for follower in followers:
            knew = set(follower.known)
            changed = await follower.follow(cloud)
            # a gateway asks for those hosts only that know a key of the feed, or that the feed names
            if changed:
                assert knew & set(changes.keys) or f"host/{follower.host}" in changes.keys
    return history


@pytest.mark.parametrize("seed", range(12))
async def test_random_histories(cloud: Cloud, seed: int) -> None:
    history = await _run(cloud, seed, 120)
    assert history.accepted > 30


@pytest.mark.mariadb
async def test_a_random_history_on_mariadb(make_mariadb: Any, world: Any) -> None:
    await _run(Cloud(await make_mariadb(META), world), 99, 80)
