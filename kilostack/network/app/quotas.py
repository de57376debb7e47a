"""What callers may do to quotas."""

from __future__ import annotations

from kilostack.core.context import Context
from kilostack.network import failures
from kilostack.network.app import access
from kilostack.network.app.access import Access
from kilostack.network.app.parts import Parts
from kilostack.network.model.quota import COUNTED, UNLIMITED
from kilostack.network.model.records import Usage
from kilostack.network.store import projects
from kilostack.network.store.tables import USAGE
from kilostack.store.database import Tx

Limits = dict[str, int]


class Quotas:
    """Use cases of quotas."""

    def __init__(self, parts: Parts, rights: Access) -> None:
        self._parts, self._rights = parts, rights

    async def get(self, ctx: Context, project_id: str) -> Usage:
        """What the project uses, with the limits that were changed for it."""
        self._rights.check(ctx, "get_quota", access.of_project(project_id))
        found = await self._parts.db.read(lambda tx: USAGE.find(tx, project_id=project_id))
        return found or Usage(project_id=project_id)

    async def changed(self, ctx: Context) -> list[Usage]:
        """The projects whose limits somebody changed."""
        self._rights.check(ctx, "update_quota", access.of_project(""))
        return [usage for usage in await self._parts.db.read(USAGE.where) if usage.limits]

    async def update(self, ctx: Context, project_id: str, given: Limits, *, force: bool = False) -> Limits:
        """Change limits; only by `force` to less than what is used."""
        self._rights.check(ctx, "update_quota", access.of_project(project_id))

        async def unit(tx: Tx) -> Usage:
            found = await projects.lock(tx, project_id)
            for name, limit in given.items():
                if not force and limit != UNLIMITED and limit < getattr(found, name):
                    raise failures.malformed(
                        f"Quota limit {limit} for {name} must be greater than or equal to already used "
                        f"{getattr(found, name)}"
                    )
            return await projects.set_limits(tx, project_id, found.limits | given)

        return projects.limits_of(await self._parts.db.write(unit))

    async def reset(self, ctx: Context, project_id: str) -> None:
        """Back to the defaults."""
        self._rights.check(ctx, "delete_quota", access.of_project(project_id))
        await self._parts.db.write(lambda tx: projects.set_limits(tx, project_id, {}))


def details(usage: Usage) -> dict[str, dict[str, int]]:
    """Limit and use of each resource."""
    limits = projects.limits_of(usage)
    return {name: {"limit": limits[name], "used": getattr(usage, name), "reserved": 0} for name in COUNTED}
