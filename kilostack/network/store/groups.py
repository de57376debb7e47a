"""Security groups and their rules."""

from __future__ import annotations

import msgspec

from kilostack.network import failures
from kilostack.network.model import group_rules
from kilostack.network.model.records import SecurityGroup, SecurityGroupRule
from kilostack.network.store import projects
from kilostack.network.store.changes import Change
from kilostack.network.store.tables import GROUPS, MEMBERS, PORTS, RULES
from kilostack.store.database import Tx
from kilostack.store.lists import Collection

DEFAULT_NAME = "default"

COLLECTION = Collection(
    GROUPS,
    filters={
        "id": "id",
        "name": "name",
        "project_id": "project_id",
        "description": "description",
        "revision_number": "revision",
        "changed_since": "updated_at",
        "seen_by": "project_id",
    },
    sorts={
        "id": "id",
        "name": "name",
        "project_id": "project_id",
        "created_at": "created_at",
        "updated_at": "updated_at",
    },
    default_sort=(("created_at", False),),
)
_RULE_COLUMNS = {
    "id": "id",
    "security_group_id": "security_group_id",
    "direction": "direction",
    "ethertype": "ethertype",
    "protocol": "protocol",
    "port_range_min": "port_range_min",
    "port_range_max": "port_range_max",
    "remote_ip_prefix": "remote_ip_prefix",
    "remote_group_id": "remote_group_id",
    "project_id": "project_id",
}
RULE_COLLECTION = Collection(
    RULES,
    filters=_RULE_COLUMNS | {"description": "description", "changed_since": "updated_at", "seen_by": "project_id"},
    sorts=_RULE_COLUMNS | {"created_at": "created_at", "updated_at": "updated_at"},
    default_sort=(("created_at", False),),
)


async def get(tx: Tx, group_id: str) -> SecurityGroup:
    if (found := await GROUPS.find(tx, id=group_id)) is None:
        raise failures.group_not_found(group_id)
    return found


async def insert(change: Change, group: SecurityGroup, rules: list[SecurityGroupRule]) -> SecurityGroup:
    """A new group with its first rules. The caller has counted both."""
    await GROUPS.insert(change.tx, group)
    for rule in rules:
        await RULES.insert(change.tx, rule)
    await change.add(f"group/{group.id}")
    return group


async def ensure_default(change: Change, project_id: str, ids: tuple[str, ...], now: int) -> str:
    """The id of the project's default group, which is made when there is none. Locks the project.

    `ids` are drawn before: one for the group and one for each of its rules.
    """
    found = await projects.lock(change.tx, project_id)
    if found.default_group_id is not None:
        return found.default_group_id
    group_id = ids[0]
    await projects.take(change.tx, project_id, checked=False, security_group=1, security_group_rule=4)
    await projects.set_default_group(change.tx, project_id, group_id)
    group = SecurityGroup(
        id=group_id,
        project_id=project_id,
        name=DEFAULT_NAME,
        description="Default security group",
        created_at=now,
        updated_at=now,
    )
    await insert(change, group, group_rules.first_rules(group_id, project_id, ids[1:], now, default=True))
    return group_id


async def update(change: Change, old: SecurityGroup, new: SecurityGroup) -> SecurityGroup:
    if old.name != new.name:
        members = [member.port_id for member in await MEMBERS.where(change.tx, group_id=new.id)]
        bound = await PORTS.within(change.tx, "id", members)
        change.say(*(f"server/{port.device_id}" for port in bound if port.device_owner.startswith("compute:")))
    return await GROUPS.update(change.tx, new)


async def delete(change: Change, group: SecurityGroup) -> int:
    """Remove a group without members, and its rules; how many rules. The caller holds its row of the streams."""
    if not await GROUPS.delete(change.tx, id=group.id):
        raise failures.group_not_found(group.id)
    count = await RULES.delete_where(change.tx, security_group_id=group.id)
    await change.drop(f"group/{group.id}")
    return count


async def rules_changed(change: Change, group: SecurityGroup, now: int) -> SecurityGroup:
    """The group's rules are other ones now: what shows them and what enforces them is renewed."""
    change.touch(f"group/{group.id}")
    return await GROUPS.update(change.tx, msgspec.structs.replace(group, updated_at=now))
