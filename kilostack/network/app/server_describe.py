"""A server's ports and security groups in full, as compute shows them under os-interface and os-security-groups."""

from __future__ import annotations

from kilostack.network.app.parts import Parts
from kilostack.network.model import port as model
from kilostack.network.model.records import SecurityGroup, SecurityGroupRule
from kilostack.network.store.tables import GROUPS, PORTS, RULES
from kilostack.store.database import Tx
from kilostack.wire.calls import Actor
from kilostack.wire.network_calls import (
    GroupsAsked,
    ProjectGroups,
    ServerGroup,
    ServerGroupRule,
    ServerNetworkDetail,
    ServerPort,
    ServerPorts,
)


class ServerDescribe:
    """Answers compute's question."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def describe(self, asked: ServerPorts, actor: Actor) -> ServerNetworkDetail:
        return await self._parts.db.read(lambda tx: _described(tx, asked.server_id))

    async def groups(self, asked: GroupsAsked, actor: Actor) -> ProjectGroups:
        return await self._parts.db.read(lambda tx: _groups_of(tx, asked.project_id))


async def _groups_of(tx: Tx, project_id: str) -> ProjectGroups:
    found = sorted(await GROUPS.where(tx, project_id=project_id), key=lambda group: (group.name, group.id))
    return ProjectGroups(await _in_full(tx, found))


async def _described(tx: Tx, server_id: str) -> ServerNetworkDetail:
    found = [port for port in await PORTS.where(tx, device_id=server_id) if model.server_of(port)]
    found.sort(key=lambda port: (port.slot is None, port.slot or 0, port.created_at, port.id))
    ids = list(dict.fromkeys(group_id for port in found for group_id in port.security_groups))
    groups = {group.id: group for group in await GROUPS.within(tx, "id", ids)}
    return ServerNetworkDetail(
        ports=tuple(
            ServerPort(
                port_id=port.id,
                network_id=port.network_id,
                mac=port.mac_address,
                status=port.status,
                fixed_ips=tuple((subnet, address) for subnet, address in port.fixed_ips),
            )
            for port in found
        ),
        groups=await _in_full(tx, [groups[group_id] for group_id in ids if group_id in groups]),
    )


async def _in_full(tx: Tx, groups: list[SecurityGroup]) -> tuple[ServerGroup, ...]:
    """Groups with their ingress rules; the old form knows no others."""
    ids = [group.id for group in groups]
    rules = [rule for rule in await RULES.within(tx, "security_group_id", ids) if rule.direction == "ingress"]
    remote_ids = {rule.remote_group_id for rule in rules if rule.remote_group_id is not None}
    remotes = {group.id: group for group in await GROUPS.within(tx, "id", sorted(remote_ids))}
    return tuple(_group(group, rules, remotes) for group in groups)


def _group(group: SecurityGroup, rules: list[SecurityGroupRule], remotes: dict[str, SecurityGroup]) -> ServerGroup:
    own = sorted((rule for rule in rules if rule.security_group_id == group.id), key=lambda rule: rule.created_at)
    return ServerGroup(
        id=group.id,
        name=group.name,
        description=group.description,
        project_id=group.project_id,
        rules=tuple(_rule(rule, remotes) for rule in own),
    )


def _rule(rule: SecurityGroupRule, remotes: dict[str, SecurityGroup]) -> ServerGroupRule:
    remote = remotes.get(rule.remote_group_id or "")
    return ServerGroupRule(
        id=rule.id,
        protocol=rule.protocol,
        port_range_min=rule.port_range_min,
        port_range_max=rule.port_range_max,
        remote_ip_prefix=rule.remote_ip_prefix,
        remote_group=None if remote is None else (remote.name, remote.project_id),
    )
