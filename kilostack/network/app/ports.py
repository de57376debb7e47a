"""What callers may do to ports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, Conflict
from kilostack.network import failures
from kilostack.network.app import access
from kilostack.network.app.access import Access
from kilostack.network.app.networks import check_revision
from kilostack.network.app.parts import Drawn, Parts
from kilostack.network.app.port_addresses import choose
from kilostack.network.app.removals import remove_port
from kilostack.network.model import port as model
from kilostack.network.model.records import Network, Port
from kilostack.network.store import addresses, groups, networks, ports, projects
from kilostack.network.store.changes import Change
from kilostack.network.store.tables import FLOATING_IPS, GROUPS, SUBNETS
from kilostack.store.database import Tx

MOST_ADDRESS_PAIRS = 10
_RENAMED = {"binding:host_id": "host", "binding:profile": "profile"}
_OURS = model.SERVICE_OWNERS | model.AUTOMATIC_OWNERS


class Ports:
    """Use cases of ports."""

    def __init__(self, parts: Parts, rights: Access) -> None:
        self._parts, self._rights = parts, rights

    async def create(self, ctx: Context, wanted: list[dict[str, Any]]) -> list[Port]:
        """All of them or none."""
        drawn = [self._parts.draw(ids=1, macs=1) for _ in wanted]

        async def unit(tx: Tx) -> list[Port]:
            change = Change(tx)
            for project_id in sorted({item["project_id"] for item in wanted}):
                await projects.take(tx, project_id, port=sum(i["project_id"] == project_id for i in wanted))
            made = []
            for item, one in zip(wanted, drawn, strict=True):
                network = await networks.get(tx, item["network_id"])
                self._check_create(ctx, network, item)
                made.append(await make_port(change, network, item, one, admin=ctx.is_admin))
            await change.close()
            return made

        return await self._parts.db.write(unit)

    def _check_create(self, ctx: Context, network: Network, item: dict[str, Any]) -> None:
        seen = access.of_network(network)
        self._rights.check_seen(ctx, "network", seen, failures.network_not_found(network.id))
        if item.get("device_owner") in _OURS:
            raise unsupported_owner("create", item["device_owner"], "new")
        self._rights.check_attributes(ctx, "create_port", _asked(item), _target(network, item))

    async def update(self, ctx: Context, port_id: str, given: dict[str, Any], expect: int | None) -> Port:
        drawn = self._parts.draw()

        async def unit(tx: Tx) -> Port:
            change = Change(tx)
            old, network = await self._own(ctx, tx, port_id)
            target = access.of_port(old) | _target(network, {"project_id": old.project_id} | given)
            self._rights.check_attributes(ctx, "update_port", _asked(given), target)
            check_revision(old.revision, expect)
            _check_device(old, given)
            await change.lock(f"port/{port_id}")
            values = {_RENAMED.get(name, name): value for name, value in given.items()}
            if "fixed_ips" in given:
                values["fixed_ips"] = await self._new_addresses(tx, old, given["fixed_ips"])
            if "allowed_address_pairs" in given:
                mac = given.get("mac_address", old.mac_address)
                values["allowed_address_pairs"] = pairs(given["allowed_address_pairs"], mac)
            if "security_groups" in given:
                await check_groups(tx, given["security_groups"], old.project_id, admin=ctx.is_admin)
                await change.lock(*(f"group/{group_id}" for group_id in given["security_groups"]))
            new = msgspec.structs.replace(old, updated_at=drawn.now, **values)
            check_security(new, old)
            if old.host != new.host:
                new = msgspec.structs.replace(new, status="DOWN")
            written = await ports.update(change, old, new)
            await change.close()
            return written

        return await self._parts.db.write(unit)

    async def _new_addresses(self, tx: Tx, old: Port, asked: Sequence[dict[str, Any]]) -> tuple[tuple[str, str], ...]:
        await addresses.lock(tx, old.network_id)
        subnets = await SUBNETS.where(tx, network_id=old.network_id)
        fixed_ips = await choose(tx, old.network_id, subnets, asked, port_id=old.id, had=old.fixed_ips)
        if old.device_owner == model.ROUTER_INTERFACE and {s for s, _ in fixed_ips} != {s for s, _ in old.fixed_ips}:
            raise failures.bad("port", f"Router port {old.id} must keep an address on each of its subnets")
        lost = {address for _, address in set(old.fixed_ips) - set(fixed_ips)}
        floating = await FLOATING_IPS.where(tx, port_id=old.id) if lost else []
        if any(floating_ip.fixed_ip_address in lost for floating_ip in floating):
            raise failures.bad(
                "port",
                f"Cannot update the fixed_ips of the port {old.id}, because its original fixed_ip has been associated "
                "to a floating ip",
            )
        return fixed_ips

    async def _own(self, ctx: Context, tx: Tx, port_id: str) -> tuple[Port, Network]:
        found = await ports.get(tx, port_id)
        self._rights.check_seen(ctx, "port", access.of_port(found), failures.port_not_found(port_id))
        return found, await networks.get(tx, found.network_id)

    async def delete(self, ctx: Context, port_id: str, expect: int | None) -> None:
        """Remove the port; floating IPs that lead to it are free afterwards."""
        now = self._parts.world.now()

        async def unit(tx: Tx) -> None:
            change = Change(tx)
            found, _ = await self._own(ctx, tx, port_id)
            self._rights.check(ctx, "delete_port", access.of_port(found))
            check_revision(found.revision, expect)
            if found.device_owner in _OURS:
                raise failures.service_port_in_use(port_id, found.device_owner)
            if found.project_id:
                await projects.lock(tx, found.project_id)
            await remove_port(change, found, now)
            await change.close()

        await self._parts.db.write(unit)


async def make_port(change: Change, network: Network, item: dict[str, Any], drawn: Drawn, *, admin: bool) -> Port:
    """Insert a port that has been counted; `item` holds the API's attributes. Uses the first id and MAC of `drawn`."""
    tx, port_id = change.tx, drawn.ids[0]
    project_id = item["project_id"]
    security = item.get("port_security_enabled", network.port_security_enabled)
    owner = item.get("device_owner", "")
    if "security_groups" in item:
        group_ids: tuple[str, ...] = item["security_groups"]
        await check_groups(tx, group_ids, project_id, admin=admin)
    elif security and not owner.startswith("network:"):
        group_ids = (await groups.ensure_default(change, project_id, drawn.group_ids, drawn.now),)
    else:
        group_ids = ()
    await change.lock(f"network/{network.id}", *(f"group/{group_id}" for group_id in group_ids))
    await addresses.lock(tx, network.id)
    subnets = await networks.subnets_of(tx, network)
    fixed_ips = await choose(tx, network.id, subnets, item.get("fixed_ips"), port_id=port_id)
    mac = item.get("mac_address") or await ports.free_mac(tx, network.id, drawn.macs[0])
    port = Port(
        id=port_id,
        project_id=project_id,
        network_id=network.id,
        network_project_id=network.project_id,
        name=item.get("name", ""),
        description=item.get("description", ""),
        mac_address=mac,
        admin_state_up=item.get("admin_state_up", True),
        device_id=item.get("device_id", ""),
        device_owner=owner,
        fixed_ips=fixed_ips,
        security_groups=group_ids,
        port_security_enabled=security,
        allowed_address_pairs=pairs(item.get("allowed_address_pairs", ()), mac),
        host=item.get("binding:host_id", ""),
        profile=item.get("binding:profile", {}),
        slot=item.get("slot"),
        made_for_server=item.get("made_for_server", False),
        hostname=item.get("hostname", ""),
        created_at=drawn.now,
        updated_at=drawn.now,
    )
    check_security(port, None)
    return await ports.insert(change, port)


async def check_groups(tx: Tx, group_ids: Sequence[str], project_id: str, *, admin: bool) -> None:
    """Raise `NotFound` unless each is a group that ports of the project may have."""
    found = {group.id: group for group in await GROUPS.within(tx, "id", group_ids)}
    for group_id in group_ids:
        if group_id not in found or (found[group_id].project_id != project_id and not admin):
            raise failures.group_not_found(group_id)


def pairs(asked: Sequence[dict[str, Any]], mac: str) -> tuple[tuple[str, str], ...]:
    """Address pairs as they are kept: with the port's own MAC where none is given."""
    made = tuple((item["ip_address"], item.get("mac_address") or mac) for item in asked)
    if len(made) > MOST_ADDRESS_PAIRS:
        raise BadRequest(
            f"The number of allowed address pair exceeds the maximum {MOST_ADDRESS_PAIRS}.",
            kind="AllowedAddressPairExhausted",
        )
    for pair in made:
        if made.count(pair) > 1:
            raise failures.invalid(
                f"Request contains duplicate address pair: mac_address {pair[1]} ip_address {pair[0]}."
            )
    return made


def check_security(new: Port, old: Port | None) -> None:
    """Raise when groups or address pairs are asked of a port whose traffic nobody looks at."""
    if new.port_security_enabled:
        return
    if new.security_groups:
        if old is not None and old.security_groups == new.security_groups:
            raise Conflict(
                "Port has security group associated. Cannot disable port security or IP address until security group "
                "is removed.",
                kind="PortSecurityPortHasSecurityGroup",
            )
        raise BadRequest(
            "Port security must be enabled and port must have an IP address in order to use security groups.",
            kind="PortSecurityAndIPRequiredForSecurityGroups",
        )
    if new.allowed_address_pairs:
        raise Conflict(
            "Port Security must be enabled in order to have allowed address pairs on a port.",
            kind="AddressPairAndPortSecurityRequired",
        )


def unsupported_owner(operation: str, owner: str, port_id: str) -> Conflict:
    return Conflict(
        f"Operation {operation} is not supported for device_owner {owner} on port {port_id}.",
        kind="UnsupportedPortDeviceOwner",
    )


def _check_device(old: Port, given: dict[str, Any]) -> None:
    owner = given.get("device_owner", old.device_owner)
    if owner != old.device_owner and (owner in _OURS or old.device_owner in _OURS):
        raise unsupported_owner("device owner update", owner, old.id)
    if "fixed_ips" in given and old.device_owner in _OURS - {model.ROUTER_INTERFACE}:
        raise unsupported_owner("fixed_ips update", old.device_owner, old.id)
    if given.get("device_id", old.device_id) != old.device_id and (old.slot is not None or old.device_owner in _OURS):
        raise failures.port_in_use(old.id, old.network_id, old.device_id)
    if old.host and given.get("mac_address", old.mac_address) != old.mac_address:
        raise Conflict(
            f"Unable to complete operation on port {old.id}, port is already bound, port type: bridge, "
            f"old_mac {old.mac_address}, new_mac {given['mac_address']}.",
            kind="PortBound",
        )
    if old.slot is not None and given.get("binding:host_id", old.host) != old.host:
        raise failures.port_in_use(old.id, old.network_id, old.device_id)


def _asked(item: dict[str, Any]) -> list[str]:
    """The attributes for which there may be finer rules, down to the parts of fixed_ips."""
    names = [name for name, value in item.items() if value not in ("", None)]
    for part in ("ip_address", "subnet_id"):
        if any(part in fixed for fixed in item.get("fixed_ips", ())):
            names.append(f"fixed_ips:{part}")
    return names


def _target(network: Network, item: dict[str, Any]) -> dict[str, Any]:
    owner = item.get("device_owner", "")
    return (
        access.of_network(network)
        | access.of_project(item["project_id"])
        | {"network_device": owner.startswith("network:")}
    )
