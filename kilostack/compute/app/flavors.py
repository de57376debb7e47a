"""Flavors: what everybody may choose from, and what administrators make of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from kilostack.compute.app.parts import Parts, changing, check, is_admin
from kilostack.compute.model.records import Flavor
from kilostack.compute.store import flavors
from kilostack.compute.store.tables import FLAVORS
from kilostack.core.context import Context
from kilostack.core.errors import Conflict, NotFound
from kilostack.store.database import Tx


def _missing(flavor_id: str) -> NotFound:
    return NotFound(f"Flavor {flavor_id[:64]} could not be found.")


class Flavors:
    """Use cases of flavors. Servers keep what their flavor was when they were made."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    async def every(self, ctx: Context, public: bool | None) -> list[Flavor]:
        """What the caller may choose from; `public` narrows what administrators see (None is all)."""
        if not is_admin(self.parts, ctx):
            return await self.parts.db.read(lambda tx: flavors.seen_by(tx, ctx.project_id))
        found = await self.parts.db.read(flavors.every)
        return [flavor for flavor in found if public is None or flavor.public == public]

    async def get(self, ctx: Context, flavor_id: str) -> Flavor:
        """Raises `NotFound`, also for one that is not public and not the caller's to use."""
        return await self.parts.db.read(lambda tx: self._get(tx, ctx, flavor_id))

    async def _get(self, tx: Tx, ctx: Context, flavor_id: str) -> Flavor:
        flavor = await FLAVORS.find(tx, id=flavor_id)
        if flavor is None or not (
            flavor.public or is_admin(self.parts, ctx) or ctx.project_id in await flavors.access(tx, flavor_id)
        ):
            raise _missing(flavor_id)
        return flavor

    async def create(self, ctx: Context, flavor: Flavor) -> Flavor:
        """Raises `Conflict` when the id or the name is taken."""
        check(self.parts, ctx, "os-flavor-manage:create")
        return await self.parts.db.write(lambda tx: flavors.insert_new(tx, flavor))

    async def describe(self, ctx: Context, flavor_id: str, description: str | None) -> Flavor:
        return await self._edit(ctx, flavor_id, "os-flavor-manage:update", lambda flavor: {"description": description})

    async def remove(self, ctx: Context, flavor_id: str) -> None:
        check(self.parts, ctx, "os-flavor-manage:delete")
        if not await self.parts.db.write(lambda tx: flavors.remove(tx, flavor_id)):
            raise _missing(flavor_id)

    async def extra_specs(self, ctx: Context, flavor_id: str, rule: str) -> dict[str, str]:
        check(self.parts, ctx, f"os-flavor-extra-specs:{rule}")
        return (await self.get(ctx, flavor_id)).extra_specs

    async def set_extra_specs(self, ctx: Context, flavor_id: str, specs: Mapping[str, str], rule: str) -> None:
        """Lay specs over those that the flavor has."""
        await self._edit(
            ctx,
            flavor_id,
            f"os-flavor-extra-specs:{rule}",
            lambda flavor: {"extra_specs": {**flavor.extra_specs, **specs}},
        )

    async def drop_extra_spec(self, ctx: Context, flavor_id: str, key: str) -> None:
        """Raises `NotFound` for a key that is not there."""

        def edit(flavor: Flavor) -> Mapping[str, object]:
            if key not in flavor.extra_specs:
                raise NotFound(f"Flavor {flavor.id} has no extra specs with key {key[:64]}.")
            return {"extra_specs": {name: value for name, value in flavor.extra_specs.items() if name != key}}

        await self._edit(ctx, flavor_id, "os-flavor-extra-specs:delete", edit)

    async def _edit(
        self, ctx: Context, flavor_id: str, rule: str, edit: Callable[[Flavor], Mapping[str, object]]
    ) -> Flavor:
        check(self.parts, ctx, rule)

        async def unit(tx: Tx) -> Flavor:
            flavor = await self._get(tx, ctx, flavor_id)
            return await FLAVORS.update(tx, msgspec.structs.replace(flavor, **edit(flavor)))

        return await changing(self.parts, unit)

    async def access(self, ctx: Context, flavor_id: str) -> list[str]:
        """Projects that may use a flavor. Raises `NotFound` for a public one, which all may use."""
        check(self.parts, ctx, "os-flavor-access")

        async def unit(tx: Tx) -> list[str]:
            if (await self._get(tx, ctx, flavor_id)).public:
                raise NotFound("Access list not available for public flavors.")
            return await flavors.access(tx, flavor_id)

        return await self.parts.db.read(unit)

    async def grant(self, ctx: Context, flavor_id: str, project_id: str) -> list[str]:
        check(self.parts, ctx, "os-flavor-access:add_tenant_access")

        async def unit(tx: Tx) -> list[str]:
            if (await self._get(tx, ctx, flavor_id)).public:
                raise Conflict("Can not add access to a public flavor.")
            await flavors.grant(tx, flavor_id, project_id)
            return await flavors.access(tx, flavor_id)

        return await self.parts.db.write(unit)

    async def revoke(self, ctx: Context, flavor_id: str, project_id: str) -> list[str]:
        check(self.parts, ctx, "os-flavor-access:remove_tenant_access")

        async def unit(tx: Tx) -> list[str]:
            await self._get(tx, ctx, flavor_id)
            if not await flavors.revoke(tx, flavor_id, project_id):
                raise NotFound(f"Flavor access not found for {flavor_id} / {project_id[:64]} combination.")
            return await flavors.access(tx, flavor_id)

        return await self.parts.db.write(unit)
