"""Limits of projects, and what they use."""

from __future__ import annotations

import msgspec

from kilostack.compute.app.parts import Parts, changing, check
from kilostack.compute.store import quotas
from kilostack.core.context import Context
from kilostack.core.errors import BadRequest
from kilostack.store.database import Tx

#: names of upstream's quotas, in its order
RESOURCES = (
    *("instances", "cores", "ram", "fixed_ips", "floating_ips", "metadata_items", "injected_files"),
    *("injected_file_content_bytes", "injected_file_path_bytes", "security_groups", "security_group_rules"),
    *("key_pairs", "server_groups", "server_group_members"),
)
_COUNTED = ("instances", "cores", "ram")


class Quota(msgspec.Struct, frozen=True):
    """A limit (-1 is none) and how much of it is used."""

    limit: int
    used: int


class Quotas:
    """Use cases of quotas."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def of(self, ctx: Context, project_id: str, rule: str) -> dict[str, Quota]:
        """Every quota of a project, for somebody who may do `rule` there."""
        check(self._parts, ctx, rule, project_id=project_id)
        return await self._parts.db.read(lambda tx: _quotas(tx, project_id))

    def defaults(self, ctx: Context) -> dict[str, int]:
        check(self._parts, ctx, "os-quota-sets:defaults")
        return dict(quotas.DEFAULTS)

    async def update(self, ctx: Context, project_id: str, limits: dict[str, int], *, force: bool) -> dict[str, Quota]:
        """Raises `BadRequest` for a limit below what is used, unless forced."""
        check(self._parts, ctx, "os-quota-sets:update", project_id=project_id)

        async def unit(tx: Tx) -> dict[str, Quota]:
            before = await _quotas(tx, project_id)
            for name, limit in limits.items():
                used = before[name].used
                if not force and 0 <= limit < used:
                    raise BadRequest(
                        f"Quota limit {limit} for {name} must be greater than or equal to already used and "
                        f"reserved {used}.",
                        field=name,
                    )
            if limits:
                await quotas.set_limits(tx, project_id, limits)
            return await _quotas(tx, project_id)

        return await changing(self._parts, unit)

    async def reset(self, ctx: Context, project_id: str) -> None:
        """Back to the defaults."""
        check(self._parts, ctx, "os-quota-sets:delete", project_id=project_id)
        await changing(self._parts, lambda tx: quotas.set_limits(tx, project_id, {}))


async def _quotas(tx: Tx, project_id: str) -> dict[str, Quota]:
    usage = await quotas.usage(tx, project_id)
    used = dict(zip(_COUNTED, (usage.servers, usage.cores, usage.memory_mib), strict=True))
    return {name: Quota(quotas.limit(usage, name), used.get(name, 0)) for name in RESOURCES}
