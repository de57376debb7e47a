"""What compute asks for a server: bind its ports, let go of them, tell its addresses, change its groups."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

import msgspec

from kilostack.core import errors
from kilostack.core.errors import BadRequest, NotFound, Refused
from kilostack.network.app.parts import Drawn, Parts
from kilostack.network.app.ports import make_port
from kilostack.network.app.removals import remove_port
from kilostack.network.app.server_nics import find_groups, group_names
from kilostack.network.model import port as model
from kilostack.network.model.records import Network, Port
from kilostack.network.store import networks, ports, projects
from kilostack.network.store.changes import Change
from kilostack.network.store.tables import FENCE, FLOATING_IPS, NETWORKS, PORTS
from kilostack.store.database import Tx
from kilostack.wire.calls import Actor, Nothing
from kilostack.wire.network_calls import (
    Address,
    AddressesAsked,
    BindPorts,
    BoundPort,
    BoundPorts,
    GroupChange,
    ServerNetworking,
    ServerPorts,
    WantedNic,
)

#: what a port that no server has looks like
_FREE = {
    "device_id": "",
    "device_owner": "",
    "host": "",
    "slot": None,
    "made_for_server": False,
    "hostname": "",
    "status": "DOWN",
}


class ServerPortsOf:
    """Answers compute's calls."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def bind(self, asked: BindPorts, actor: Actor) -> BoundPorts:
        """Every nic of the server has its port, bound to the host. Raises `Refused` when that cannot be."""
        drawn = [self._parts.draw(ids=1, macs=1) for _ in asked.nics]
        now = self._parts.world.now()

        async def unit(tx: Tx) -> BoundPorts:
            change = Change(tx)
            await projects.lock(tx, asked.project_id)
            again = await FENCE.enter(tx, actor, now)
            mine = {port.slot: port for port in await _cards(tx, asked.server_id)}
            if again and asked.nics and not mine:
                raise Refused("The server's ports were removed since.")
            bound = []
            for slot, (nic, one) in enumerate(zip(asked.nics, drawn, strict=True)):
                bound.append(await self._bound(change, asked, (slot, nic, mine.get(slot)), one))
            await change.close()
            return BoundPorts(tuple(bound))

        try:
            return await self._parts.db.write(unit)
        except (errors.NotFound, errors.BadRequest, errors.Conflict, errors.OverQuota) as error:
            raise Refused(await self._words(error), kind=error.kind) from None

    async def _words(self, error: errors.Error) -> str:
        """Why not, for the owner of the server."""
        if isinstance(error, errors.OverQuota):
            return "Maximum number of ports exceeded"
        if (network_id := error.facts.get("network_id")) is None:
            return error.message
        network = await self._parts.db.read(lambda tx: NETWORKS.find(tx, id=network_id))
        return f"No more IP addresses are available on network {network.name or network.id if network else network_id}."

    async def _bound(
        self, change: Change, asked: BindPorts, place: tuple[int, WantedNic, Port | None], drawn: Drawn
    ) -> BoundPort:
        slot, nic, old = place
        if old is None and nic.port_id is None:
            network = await networks.get(change.tx, str(nic.network_id))
            port = await self._made(change, asked, (slot, nic), network, drawn)
        else:
            port = await self._taken(change, asked, place, drawn.now)
            network = await networks.get(change.tx, port.network_id)
        return BoundPort(
            port_id=port.id,
            network_id=network.id,
            mac=port.mac_address,
            mtu=network.mtu,
            created=port.made_for_server,
        )

    async def _made(
        self, change: Change, asked: BindPorts, place: tuple[int, WantedNic], network: Network, drawn: Drawn
    ) -> Port:
        slot, nic = place
        await projects.take(change.tx, asked.project_id, port=1)
        item = {
            "project_id": asked.project_id,
            "device_id": asked.server_id,
            "device_owner": model.COMPUTE_PREFIX + asked.availability_zone,
            "security_groups": asked.security_groups if network.port_security_enabled else (),
            "binding:host_id": asked.host,
            "slot": slot,
            "made_for_server": True,
            "hostname": asked.hostname,
        }
        if nic.fixed_ip is not None:
            item["fixed_ips"] = ({"ip_address": nic.fixed_ip},)
        return await make_port(change, network, item, drawn, admin=False)

    async def _taken(
        self, change: Change, asked: BindPorts, place: tuple[int, WantedNic, Port | None], now: int
    ) -> Port:
        """A port that is there already: the user's, or one that an earlier try has made or bound."""
        slot, nic, old = place
        if old is None:
            old = await ports.get(change.tx, str(nic.port_id))
            if old.device_id not in ("", asked.server_id):
                raise Refused(f"Port {old.id} is still in use.")
        new = msgspec.structs.replace(
            old,
            device_id=asked.server_id,
            device_owner=model.COMPUTE_PREFIX + asked.availability_zone,
            host=asked.host,
            slot=slot,
            hostname=asked.hostname,
        )
        if new == old:
            return old
        await change.lock(f"port/{old.id}")
        return await ports.update(change, old, msgspec.structs.replace(new, status="DOWN", updated_at=now))

    async def unbind(self, asked: ServerPorts, actor: Actor) -> Nothing:
        """Nothing of the server is left: its own ports are removed, those of users are free."""
        now = self._parts.world.now()

        async def unit(tx: Tx) -> Nothing:
            change = Change(tx)
            await FENCE.bury(tx, actor, now)
            await release(change, await _cards(tx, asked.server_id), now)
            await change.close()
            return Nothing()

        return await self._parts.db.write(unit)

    async def addresses(self, asked: AddressesAsked, actor: Actor) -> dict[str, ServerNetworking]:
        async def unit(tx: Tx) -> dict[str, ServerNetworking]:
            return await _networking(tx, asked.server_ids)

        return await self._parts.db.read(unit)

    async def change_group(self, asked: GroupChange, actor: Actor) -> Nothing:
        now = self._parts.world.now()

        async def unit(tx: Tx) -> Nothing:
            change = Change(tx)
            found = await _cards(tx, asked.server_id)
            usable = [port for port in found if port.port_security_enabled]
            if not usable:
                raise BadRequest(f"Server {asked.server_id} has no port that can have security groups.")
            (group_id,) = await find_groups(tx, usable[0].project_id, [asked.group])
            holders = [port for port in usable if group_id in port.security_groups]
            if not asked.add and not holders:
                raise NotFound(f"Security group {asked.group} not associated with the instance {asked.server_id}")
            for port in usable:
                await self._change_group(change, port, group_id, asked.add, now)
            await change.close()
            return Nothing()

        return await self._parts.db.write(unit)

    async def _change_group(self, change: Change, port: Port, group_id: str, add: bool, now: int) -> None:
        has = group_id in port.security_groups
        if has == add:
            return
        await change.lock(f"port/{port.id}", f"group/{group_id}")
        left = tuple(other for other in port.security_groups if other != group_id)
        new = (*left, group_id) if add else left
        await ports.update(change, port, msgspec.structs.replace(port, security_groups=new, updated_at=now))


async def _cards(tx: Tx, server_id: str) -> list[Port]:
    """The ports that the server has for its cards."""
    return [port for port in await PORTS.where(tx, device_id=server_id) if model.server_of(port)]


async def release(change: Change, found: Iterable[Port], now: int) -> int:
    """Remove ports that were made for a server, free those that users gave it; how many."""
    count = 0
    for port in found:
        if port.device_owner.startswith("network:"):
            continue
        count += 1
        if port.made_for_server:
            await remove_port(change, port, now)
        else:
            await change.lock(f"port/{port.id}")
            await ports.update(change, port, msgspec.structs.replace(port, updated_at=now, **_FREE))
    return count


async def _networking(tx: Tx, server_ids: tuple[str, ...]) -> dict[str, ServerNetworking]:
    found = [port for port in await PORTS.within(tx, "device_id", server_ids) if model.server_of(port)]
    found.sort(key=lambda port: (port.slot is None, port.slot or 0, port.created_at, port.id))
    nets = {net.id: net for net in await NETWORKS.within(tx, "id", sorted({port.network_id for port in found}))}
    floating: dict[tuple[str | None, str | None], str] = {
        (item.port_id, item.fixed_ip_address): item.floating_ip_address
        for item in await FLOATING_IPS.within(tx, "port_id", [port.id for port in found])
    }
    names = await group_names(tx, [group_id for port in found for group_id in port.security_groups])
    shown = {}
    for server_id in server_ids:
        mine = [port for port in found if port.device_id == server_id]
        shown[server_id] = ServerNetworking(
            addresses=tuple(
                address for port in mine for address in _addresses(port, nets[port.network_id].name, floating)
            ),
            security_groups=tuple(
                dict.fromkeys(
                    names[group_id] for port in mine for group_id in port.security_groups if group_id in names
                )
            ),
        )
    return shown


def _addresses(port: Port, network: str, floating: dict[tuple[str | None, str | None], str]) -> Iterable[Address]:
    for _, fixed in port.fixed_ips:
        version = ip_address(fixed).version
        yield Address(network=network, address=fixed, version=version, mac=port.mac_address, type="fixed")
        if (outside := floating.get((port.id, fixed))) is not None:
            yield Address(network=network, address=outside, version=4, mac=port.mac_address, type="floating")
