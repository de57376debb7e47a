"""What compute asks before anything is written: can a new server have these network cards and groups?"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, Conflict, Forbidden, NotFound, OverQuota
from kilostack.network.app import access
from kilostack.network.app.access import Access
from kilostack.network.app.groups import Groups
from kilostack.network.app.parts import Parts
from kilostack.network.model import addressing
from kilostack.network.model.quota import UNLIMITED
from kilostack.network.model.records import EVERYBODY, Network
from kilostack.network.store import networks, projects
from kilostack.network.store.tables import ADDRESSES, GROUPS, NETWORKS, PORTS, USAGE
from kilostack.store.database import Tx
from kilostack.wire.calls import Actor
from kilostack.wire.network_calls import CheckedNics, CheckNics, WantedNic


class ServerNics:
    """Answers `CHECK_NICS`, in nova's words, because a user of compute reads them."""

    def __init__(self, parts: Parts, rights: Access, security: Groups) -> None:
        self._parts, self._rights, self._security = parts, rights, security

    async def check(self, asked: CheckNics, actor: Actor) -> CheckedNics:
        default = "" if asked.security_groups else await self._security.ensure_default(asked.project_id)

        async def unit(tx: Tx) -> CheckedNics:
            nics = await self._default(tx, asked.project_id) if asked.nics is None else asked.nics
            checked = [await self._nic(actor.ctx, tx, asked, nic) for nic in nics]
            await self._check_quota(tx, asked, checked)
            group_ids = [default] if default else await find_groups(tx, asked.project_id, asked.security_groups)
            return CheckedNics(nics=tuple(checked), security_groups=tuple(group_ids))

        try:
            return await self._parts.db.read(unit)
        except NotFound as error:
            # what a create names and is not there is a fault of the request
            raise BadRequest(error.message) from None

    async def _default(self, tx: Tx, project_id: str) -> tuple[WantedNic, ...]:
        own = await NETWORKS.where(tx, project_id=project_id)
        shared = [network for network in await NETWORKS.where(tx, audience=EVERYBODY) if network.shared]
        usable = {network.id for network in [*own, *shared] if not network.external}
        if len(usable) > 1:
            raise Conflict("Multiple possible networks found, use a Network ID to be more specific.")
        return tuple(WantedNic(network_id=network_id) for network_id in usable)

    async def _nic(self, ctx: Context, tx: Tx, asked: CheckNics, nic: WantedNic) -> WantedNic:
        if nic.port_id is not None:
            return await self._port(ctx, tx, asked, nic)
        network = await NETWORKS.find(tx, id=str(nic.network_id))
        seen = msgspec.structs.replace(ctx, project_id=asked.project_id)
        if network is None or not self._rights.allows(seen, "get_network", access.of_network(network)):
            raise NotFound(f"Network {nic.network_id} could not be found.")
        if network.external and not network.shared and not ctx.is_admin:
            raise Forbidden(f"It is not allowed to create an interface on external network {network.id}")
        if not network.subnets:
            raise BadRequest(f"Network {network.id} requires a subnet in order to boot instances on.")
        if nic.fixed_ip is not None:
            await _check_fixed_ip(tx, network, nic.fixed_ip)
        return nic

    async def _port(self, ctx: Context, tx: Tx, asked: CheckNics, nic: WantedNic) -> WantedNic:
        port = await PORTS.find(tx, id=str(nic.port_id))
        if port is None or (port.project_id != asked.project_id and not ctx.is_admin):
            raise NotFound(f"Port id {nic.port_id} could not be found.")
        if port.device_id:
            raise Conflict(f"Port {port.id} is still in use.")
        if asked.servers > 1:
            raise BadRequest("Unable to launch multiple instances with a single configured port ID.")
        if not port.fixed_ips:
            raise BadRequest(f"Port {port.id} requires a FixedIP in order to be used.")
        return msgspec.structs.replace(nic, network_id=None, fixed_ip=None)

    async def _check_quota(self, tx: Tx, asked: CheckNics, nics: Sequence[WantedNic]) -> None:
        found = await USAGE.find(tx, project_id=asked.project_id)
        limit = projects.limits_of(found)["port"]
        new = asked.servers * sum(nic.port_id is None for nic in nics)
        if limit != UNLIMITED and (found.port if found else 0) + new > limit:
            raise OverQuota("Maximum number of ports exceeded", resource="port")


async def _check_fixed_ip(tx: Tx, network: Network, fixed_ip: str) -> None:
    subnets = await networks.subnets_of(tx, network)
    inside = [subnet for subnet in subnets if ip_address(fixed_ip) in ip_network(subnet.cidr)]
    if not inside or not addressing.is_usable(inside[0].cidr, fixed_ip):
        raise BadRequest(f"Fixed IP {fixed_ip} is not a valid ip address for network {network.id}.")
    if await ADDRESSES.find(tx, subnet_id=inside[0].id, number=addressing.number(fixed_ip)) is not None:
        raise BadRequest(f"Fixed IP address {fixed_ip} is already in use.")


async def find_groups(tx: Tx, project_id: str, wanted: Sequence[str]) -> list[str]:
    """Ids of the project's groups with these names or ids, in that order."""
    own = await GROUPS.where(tx, project_id=project_id)
    found: dict[str, None] = {}
    for name in wanted:
        by_id = [group.id for group in own if group.id == name]
        matching = by_id or [group.id for group in own if group.name == name]
        if not matching:
            raise NotFound(f"Security group {name} not found for project {project_id}.")
        if len(matching) > 1:
            raise Conflict(
                f"Multiple security_groups found matching '{name}' for project {project_id}. Use an ID to be more "
                "specific."
            )
        found[matching[0]] = None
    return list(found)


async def group_names(tx: Tx, group_ids: Sequence[str]) -> dict[str, str]:
    return {group.id: group.name for group in await GROUPS.within(tx, "id", sorted(set(group_ids)))}
