"""What callers may do to security groups and their rules."""

from __future__ import annotations

from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import Conflict
from kilostack.network import failures
from kilostack.network.app import access
from kilostack.network.app.access import Access
from kilostack.network.app.networks import check_revision
from kilostack.network.app.parts import Drawn, Parts
from kilostack.network.model import group_rules
from kilostack.network.model.records import SecurityGroup, SecurityGroupRule
from kilostack.network.store import groups, projects
from kilostack.network.store.changes import Change
from kilostack.network.store.tables import GROUPS, MEMBERS, RULES, USAGE
from kilostack.store.database import Tx


class Groups:
    """Use cases of security groups."""

    def __init__(self, parts: Parts, rights: Access) -> None:
        self._parts, self._rights = parts, rights

    async def ensure_default(self, project_id: str) -> str:
        """The id of the project's default group, made now if nobody needed it before."""

        async def known(tx: Tx) -> str | None:
            found = await USAGE.find(tx, project_id=project_id)
            return found.default_group_id if found else None

        if (group_id := await self._parts.db.read(known)) is not None:
            return group_id
        drawn = self._parts.draw()

        async def unit(tx: Tx) -> str:
            change = Change(tx)
            made = await groups.ensure_default(change, project_id, drawn.group_ids, drawn.now)
            await change.close()
            return made

        return await self._parts.db.write(unit)

    async def create(self, ctx: Context, wanted: list[dict[str, Any]]) -> list[SecurityGroup]:
        """All of them or none; each starts with rules that let everything out."""
        for item in wanted:
            _check_name(item.get("name", ""))
            self._rights.check(ctx, "create_security_group", access.of_project(item["project_id"]))
        drawn = [self._parts.draw(ids=1 + group_rules.FIRST_RULES) for _ in wanted]

        async def unit(tx: Tx) -> list[SecurityGroup]:
            change = Change(tx)
            made = []
            for item, one in zip(wanted, drawn, strict=True):
                await groups.ensure_default(change, item["project_id"], one.group_ids, one.now)
                made.append(await self._insert(change, item, one))
            await change.close()
            return made

        return await self._parts.db.write(unit)

    async def _insert(self, change: Change, item: dict[str, Any], drawn: Drawn) -> SecurityGroup:
        project_id, group_id = item["project_id"], drawn.ids[0]
        rules = group_rules.first_rules(group_id, project_id, drawn.ids[1:], drawn.now, default=False)
        await projects.take(change.tx, project_id, security_group=1, security_group_rule=len(rules))
        group = SecurityGroup(
            id=group_id,
            project_id=project_id,
            name=item.get("name", ""),
            description=item.get("description", ""),
            created_at=drawn.now,
            updated_at=drawn.now,
        )
        return await groups.insert(change, group, rules)

    async def update(self, ctx: Context, group_id: str, given: dict[str, Any], expect: int | None) -> SecurityGroup:
        now = self._parts.world.now()

        async def unit(tx: Tx) -> SecurityGroup:
            change = Change(tx)
            old = await self._own(ctx, tx, group_id, "update_security_group")
            check_revision(old.revision, expect)
            if "name" in given:
                if old.name == groups.DEFAULT_NAME and given["name"] != old.name:
                    raise Conflict(
                        "Updating default security group not allowed.", kind="SecurityGroupCannotUpdateDefault"
                    )
                if given["name"] != old.name:
                    _check_name(given["name"])
            written = await groups.update(change, old, msgspec.structs.replace(old, updated_at=now, **given))
            await change.close()
            return written

        return await self._parts.db.write(unit)

    async def delete(self, ctx: Context, group_id: str, expect: int | None) -> None:
        """Remove a group that no port has and no other group's rule names; the default group only by an admin."""

        async def unit(tx: Tx) -> None:
            change = Change(tx)
            found = await self._own(ctx, tx, group_id, "delete_security_group")
            check_revision(found.revision, expect)
            used = await projects.lock(tx, found.project_id)
            if used.default_group_id == group_id:
                if not ctx.is_admin:
                    raise Conflict(
                        "Insufficient rights for removing default security group.",
                        kind="SecurityGroupCannotRemoveDefault",
                    )
                await projects.set_default_group(tx, found.project_id, None)
            await change.lock(f"group/{group_id}")
            if await MEMBERS.count(tx, group_id=group_id):
                raise failures.group_in_use(group_id)
            naming = await RULES.where(tx, remote_group_id=group_id)
            if any(rule.security_group_id != group_id for rule in naming):
                raise failures.group_in_use(group_id, "is named by a rule of another security group")
            count = await groups.delete(change, found)
            await projects.give(tx, found.project_id, security_group=1, security_group_rule=count)
            await change.close()

        await self._parts.db.write(unit)

    async def _own(self, ctx: Context, tx: Tx, group_id: str, rule: str) -> SecurityGroup:
        found = await groups.get(tx, group_id)
        target = access.of_owned(found)
        self._rights.check_seen(ctx, "security_group", target, failures.group_not_found(group_id))
        self._rights.check(ctx, rule, target)
        return found


class GroupRules:
    """Use cases of security group rules."""

    def __init__(self, parts: Parts, rights: Access) -> None:
        self._parts, self._rights = parts, rights

    async def create(self, ctx: Context, wanted: list[dict[str, Any]]) -> list[SecurityGroupRule]:
        """All of them or none; those of one request belong to one group."""
        drawn = self._parts.draw(ids=len(wanted))
        if len({item["security_group_id"] for item in wanted}) > 1:
            raise failures.malformed("Only allowed to update rules for one security profile at a time")

        async def unit(tx: Tx) -> list[SecurityGroupRule]:
            change = Change(tx)
            group = await groups.get(tx, wanted[0]["security_group_id"])
            target = access.of_owned(group) | {"security_group:project_id": group.project_id}
            self._rights.check_seen(ctx, "security_group", target, failures.group_not_found(group.id))
            self._rights.check(ctx, "create_security_group_rule", target)
            made = [_made(item, group, rule_id, drawn.now) for item, rule_id in zip(wanted, drawn.ids, strict=True)]
            await projects.take(tx, group.project_id, security_group_rule=len(made))
            remote = {rule.remote_group_id for rule in made if rule.remote_group_id}
            await self._check_remote(ctx, tx, remote)
            await change.lock(f"group/{group.id}", *(f"group/{group_id}" for group_id in remote))
            group_rules.check_new(made, await RULES.where(tx, security_group_id=group.id))
            for rule in made:
                await RULES.insert(tx, rule)
            await groups.rules_changed(change, group, drawn.now)
            await change.close()
            return made

        return await self._parts.db.write(unit)

    async def _check_remote(self, ctx: Context, tx: Tx, group_ids: set[str]) -> None:
        found = {group.id: group for group in await GROUPS.within(tx, "id", sorted(group_ids))}
        for group_id in sorted(group_ids):
            missing = failures.group_not_found(group_id)
            if group_id not in found:
                raise missing
            self._rights.check_seen(ctx, "security_group", access.of_owned(found[group_id]), missing)

    async def update(self, ctx: Context, rule_id: str, given: dict[str, Any], expect: int | None) -> SecurityGroupRule:
        raise failures.malformed("Security group rules cannot be updated: delete the rule and create another.")

    async def delete(self, ctx: Context, rule_id: str, expect: int | None) -> None:
        now = self._parts.world.now()

        async def unit(tx: Tx) -> None:
            change = Change(tx)
            rule = await RULES.find(tx, id=rule_id)
            if rule is None:
                raise failures.rule_not_found(rule_id)
            group = await groups.get(tx, rule.security_group_id)
            target = access.of_rule(rule, group)
            self._rights.check_seen(ctx, "security_group_rule", target, failures.rule_not_found(rule_id))
            self._rights.check(ctx, "delete_security_group_rule", target)
            await projects.give(tx, rule.project_id, security_group_rule=1)
            await change.lock(f"group/{group.id}")
            if not await RULES.delete(tx, id=rule_id):
                raise failures.rule_not_found(rule_id)
            await groups.rules_changed(change, group, now)
            await change.close()

        await self._parts.db.write(unit)


def _made(item: dict[str, Any], group: SecurityGroup, rule_id: str, now: int) -> SecurityGroupRule:
    ethertype = item.get("ethertype", "IPv4")
    rule = SecurityGroupRule(
        id=rule_id,
        # a rule belongs to its group's project, whoever made it
        project_id=group.project_id,
        security_group_id=group.id,
        description=item.get("description") or "",
        direction=item["direction"],
        ethertype=ethertype,
        protocol=group_rules.canonical(item.get("protocol"), ethertype),
        port_range_min=item.get("port_range_min"),
        port_range_max=item.get("port_range_max"),
        remote_ip_prefix=item.get("remote_ip_prefix"),
        remote_group_id=item.get("remote_group_id"),
        created_at=now,
        updated_at=now,
    )
    group_rules.check(rule)
    return rule


def _check_name(name: str) -> None:
    if name.lower() == groups.DEFAULT_NAME:
        raise Conflict("Default security group already exists.", kind="SecurityGroupDefaultAlreadyExists")
