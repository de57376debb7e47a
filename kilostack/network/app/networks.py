"""What callers may do to networks."""

from __future__ import annotations

from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import Conflict
from kilostack.network import failures
from kilostack.network.app import access
from kilostack.network.app.access import Access
from kilostack.network.app.parts import Parts
from kilostack.network.app.removals import remove_port
from kilostack.network.model import port as port_model
from kilostack.network.model.records import Network
from kilostack.network.store import addresses, networks, projects, routers
from kilostack.network.store.changes import Change
from kilostack.network.store.tables import FLOATING_IPS, NETWORKS, PORTS
from kilostack.store.database import Tx

#: attributes that are fields of another name in the record
_FIELDS = {
    "router:external": "external",
    "provider:network_type": "network_type",
    "provider:physical_network": "physical_network",
    "provider:segmentation_id": "segmentation_id",
}
_PROVIDER = tuple(field for name, field in _FIELDS.items() if name.startswith("provider:"))


class Networks:
    """Use cases of networks."""

    def __init__(self, parts: Parts, rights: Access) -> None:
        self._parts, self._rights = parts, rights

    async def create(self, ctx: Context, wanted: list[dict[str, Any]]) -> list[Network]:
        """All of them or none."""
        for item in wanted:
            self._rights.check_attributes(ctx, "create_network", _given(item), access.of_project(item["project_id"]))
        drawn = self._parts.draw(ids=len(wanted))
        made = [self._made(item, network_id, drawn.now) for item, network_id in zip(wanted, drawn.ids, strict=True)]

        async def unit(tx: Tx) -> list[Network]:
            change = Change(tx)
            for project_id in sorted({network.project_id for network in made}):
                await projects.take(tx, project_id, network=sum(n.project_id == project_id for n in made))
            written = []
            for network in made:
                if network.network_type == "vxlan" and network.segmentation_id is None:
                    segment = await networks.next_segment(tx)
                    network = msgspec.structs.replace(network, segmentation_id=segment)
                written.append(await networks.insert_network(change, network))
            await change.close()
            return written

        return await self._parts.db.write(unit)

    def _made(self, item: dict[str, Any], network_id: str, now: int) -> Network:
        values = _fields(item)
        settings = self._parts.settings
        kind = values.pop("network_type", None) or "vxlan"
        physical, segment = values.pop("physical_network", None), values.pop("segmentation_id", None)
        check_provider(kind, physical, segment, settings.physical_network)
        most = settings.external_mtu if kind == "flat" else settings.tenant_mtu
        mtu = values.pop("mtu", None) or most
        check_mtu(mtu, most)
        return Network(
            id=network_id,
            mtu=mtu,
            network_type=kind,
            physical_network=settings.physical_network if kind == "flat" else None,
            segmentation_id=segment,
            audience="",
            created_at=now,
            updated_at=now,
            **values,
        )

    async def update(self, ctx: Context, network_id: str, given: dict[str, Any], expect: int | None) -> Network:
        now = self._parts.world.now()

        async def unit(tx: Tx) -> Network:
            change = Change(tx)
            old = await self._own(ctx, tx, network_id)
            self._rights.check_attributes(ctx, "update_network", given, access.of_network(old))
            check_revision(old.revision, expect)
            await change.lock(f"network/{network_id}")
            values = _fields(given)
            if any(values.get(field, getattr(old, field)) != getattr(old, field) for field in _PROVIDER):
                raise failures.bad("networks", "Plugin does not support updating provider attributes")
            most = self._parts.settings.external_mtu if old.network_type == "flat" else self._parts.settings.tenant_mtu
            check_mtu(values.get("mtu", old.mtu), most)
            new = msgspec.structs.replace(old, updated_at=now, **values)
            await self._check_audience(tx, old, new)
            written = await networks.update_network(change, old, new)
            await change.close()
            return written

        return await self._parts.db.write(unit)

    async def _check_audience(self, tx: Tx, old: Network, new: Network) -> None:
        if old.external and not new.external:
            owners = {port.device_owner for port in await PORTS.where(tx, network_id=old.id)}
            floating = await FLOATING_IPS.count(tx, floating_network_id=old.id)
            if port_model.ROUTER_GATEWAY in owners or floating:
                raise Conflict(
                    f"External network {old.id} cannot be updated to be made non-external, since it has existing "
                    "gateway ports.",
                    kind="ExternalNetworkInUse",
                )
        if old.shared and not new.shared:
            strangers = [
                port
                for port in await PORTS.where(tx, network_id=old.id)
                if port.project_id not in (old.project_id, "") and not (new.external and not port.project_id)
            ]
            if strangers:
                raise Conflict(
                    f"Unable to reconfigure sharing settings for network {old.id}. Multiple projects are using it.",
                    kind="InvalidSharedSetting",
                )

    async def _own(self, ctx: Context, tx: Tx, network_id: str) -> Network:
        found = await networks.get(tx, network_id)
        self._rights.check_seen(ctx, "network", access.of_network(found), failures.network_not_found(network_id))
        return found

    async def delete(self, ctx: Context, network_id: str, expect: int | None) -> None:
        """Remove the network with its subnets, DHCP port and idle floating IPs; any other port keeps it."""
        now = self._parts.world.now()

        async def unit(tx: Tx) -> None:
            change = Change(tx)
            found = await self._own(ctx, tx, network_id)
            self._rights.check(ctx, "delete_network", access.of_network(found))
            check_revision(found.revision, expect)
            await projects.give(tx, found.project_id, network=1)
            await change.lock(f"network/{network_id}")
            await addresses.lock(tx, network_id)
            ports = await PORTS.where(tx, network_id=network_id)
            floating = await FLOATING_IPS.where(tx, floating_network_id=network_id)
            loose = [floating_ip for floating_ip in floating if floating_ip.port_id is None]
            held = {floating_ip.floating_port_id for floating_ip in loose}
            users = [
                port.id
                for port in ports
                if port.device_owner not in port_model.AUTOMATIC_OWNERS and port.id not in held
            ]
            if users:
                raise failures.network_in_use(
                    network_id,
                    "There are one or more ports still in use on the network, id for these ports is: "
                    + ",".join(users[:20]),
                )
            for floating_ip in loose:
                await projects.give(tx, floating_ip.project_id, floatingip=1)
                await routers.delete_floating_ip(change, floating_ip)
            for port in ports:
                await remove_port(change, port, now)
            # read again: the locks were taken after the first look
            network = await NETWORKS.get(tx, id=network_id)
            for subnet in await networks.subnets_of(tx, network):
                await projects.give(tx, subnet.project_id, subnet=1)
                network = await networks.delete_subnet(change, network, subnet, now)
            await networks.delete_network(change, network)
            await change.close()

        await self._parts.db.write(unit)


def _given(item: dict[str, Any]) -> list[str]:
    """The attributes that differ from what they are when nobody asks for them."""
    return [name for name, value in item.items() if value not in (False, None, "", (), [])]


def _fields(item: dict[str, Any]) -> dict[str, Any]:
    return {_FIELDS.get(name, name): value for name, value in item.items()}


def check_provider(kind: str, physical: str | None, segment: int | None, offered: str) -> None:
    """Raise unless the provider attributes of a new network go together."""
    if kind == "flat":
        if segment is not None:
            raise failures.invalid("segmentation_id specified for flat network")
        if physical not in (None, offered):
            raise failures.invalid(f"physical_network '{physical}' unknown for flat provider network")
    elif kind == "vxlan":
        if physical is not None:
            raise failures.invalid("physical_network specified for vxlan network")
    else:
        raise failures.invalid(f"network_type value '{kind}' not supported")


def check_mtu(mtu: int, most: int) -> None:
    if mtu > most:
        raise failures.invalid(f"Requested MTU is too big, maximum is {most}")


def check_revision(found: int, expect: int | None) -> None:
    """Raise unless the record is at the revision that the caller's If-Match names."""
    if expect is not None and found != expect:
        raise failures.wrong_revision(found, expect)
