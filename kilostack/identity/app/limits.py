"""Unified limits: registering what services limit, and giving projects and domains limits of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import Conflict, Duplicate, Forbidden, NotFound
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.proof import expecting
from kilostack.identity.app.resources import Resources
from kilostack.identity.model.limits import MODELS, Limit, LimitModel, RegisteredLimit, TreeTooDeep, check_two_levels
from kilostack.identity.store import limits as store
from kilostack.identity.store.catalog import REGIONS, SERVICES
from kilostack.identity.store.limits import IN_DOMAIN, LIMIT_LIST, LIMITS, REGISTERED_LIMIT_LIST, REGISTERED_LIMITS
from kilostack.identity.store.projects import DOMAINS, PROJECTS
from kilostack.store.database import Tx
from kilostack.store.lists import Ask, Where

_replace = msgspec.structs.replace


class RegisteredLimits(Resources[RegisteredLimit]):
    """Limits for whoever has none of their own. One that has limits in its place does not change."""

    singular, plural = "registered_limit", "registered_limits"
    records, collection = REGISTERED_LIMITS, REGISTERED_LIMIT_LIST

    def made(self, ctx: Context, document: dict[str, Any]) -> RegisteredLimit:
        return RegisteredLimit(
            id=self.ground.new_id(),
            service_id=document["service_id"],
            region_id=document.get("region_id") or "",
            resource_name=document["resource_name"],
            default_limit=int(document["default_limit"]),
            description=document.get("description"),
        )

    async def create_all(self, ctx: Context, documents: Sequence[dict[str, Any]]) -> list[RegisteredLimit]:
        """All of them or none."""
        self.ground.access.check(ctx, "create_registered_limits", {})
        records = [self.made(ctx, document) for document in documents]

        async def unit(tx: Tx) -> None:
            for record in records:
                await _check_place(tx, record, "registered_limit")
            for record in records:
                await REGISTERED_LIMITS.insert(tx, record)

        try:
            await self.ground.db.write(unit)
        except Duplicate:
            raise Conflict(self.duplicate(records[0])) from None
        return records

    def changed(self, record: RegisteredLimit, document: dict[str, Any]) -> RegisteredLimit:
        known = ("service_id", "resource_name", "description")
        values: dict[str, Any] = {name: document[name] for name in known if name in document}
        if "region_id" in document:
            values["region_id"] = document["region_id"] or ""
        if "default_limit" in document:
            values["default_limit"] = int(document["default_limit"])
        return _replace(record, **values)

    async def check(self, tx: Tx, record: RegisteredLimit) -> None:
        await _check_place(tx, record, "registered_limit")
        await _check_unused(tx, record)

    async def cascade(self, tx: Tx, record: RegisteredLimit) -> tuple[str, ...]:
        await _check_unused(tx, record)
        return ()

    def missing(self, record_id: str) -> NotFound:
        return NotFound(f"Could not find registered limit for {record_id}.")


class Limits(Resources[Limit]):
    """Limits of projects and domains, in the place of registered ones and in the order that the model wants."""

    singular, plural = "limit", "limits"
    records, collection = LIMITS, LIMIT_LIST

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self.model: LimitModel = MODELS[ground.settings.limit_model]

    def model_for(self, ctx: Context) -> LimitModel:
        """The model, for whoever may know it."""
        self.ground.access.check(ctx, "get_limit_model", {})
        return self.model

    def made(self, ctx: Context, document: dict[str, Any]) -> Limit:
        return Limit(
            id=self.ground.new_id(),
            registered_limit_id="",
            service_id=document["service_id"],
            region_id=document.get("region_id") or "",
            resource_name=document["resource_name"],
            resource_limit=int(document["resource_limit"]),
            project_id=document.get("project_id") or "",
            domain_id=document.get("domain_id") or "",
            description=document.get("description"),
        )

    async def create_all(self, ctx: Context, documents: Sequence[dict[str, Any]]) -> list[Limit]:
        """All of them or none. Those of domains are compared with those of projects wherever they stand."""
        self.ground.access.check(ctx, "create_limits", {})
        wanted = [self.made(ctx, document) for document in documents]

        async def unit(tx: Tx) -> list[Limit]:
            placed = []
            for limit in wanted:
                await _check_place(tx, limit, "limit")
                placed.append(await _owned(tx, limit))
            made = []
            for limit in placed:
                registered = await store.registered_for(tx, limit.service_id, limit.region_id, limit.resource_name)
                if registered is None:
                    raise Forbidden("Unable to create a limit that has no corresponding registered limit.")
                made.append(_replace(limit, registered_limit_id=registered.id))
            # domains first: their projects are compared with them; one lock after the other in the same order
            for limit in sorted(made, key=lambda one: (one.registered_limit_id, one.project_id)):
                await store.insert(tx, limit)
                await self._check_model(tx, limit)
            return made

        try:
            return await self.ground.db.write(unit)
        except Duplicate:
            raise Conflict("Conflict occurred attempting to store limit - Duplicate entry.") from None

    def changed(self, record: Limit, document: dict[str, Any]) -> Limit:
        values: dict[str, Any] = {"description": document.get("description", record.description)}
        if "resource_limit" in document:
            values["resource_limit"] = int(document["resource_limit"])
        return _replace(record, **values)

    async def check(self, tx: Tx, record: Limit) -> None:
        await store.lock(tx, record.registered_limit_id)
        await self._check_model(tx, record)

    async def cascade(self, tx: Tx, record: Limit) -> tuple[str, ...]:
        await store.lock(tx, record.registered_limit_id, -1)
        return ()

    async def found_for(self, tx: Tx, ctx: Context, action: str, record_id: str) -> Limit:
        record = await LIMITS.find(tx, id=record_id)
        target = {} if record is None else await _target(tx, record)
        self.ground.access.check(ctx, action, target)
        if record is None:
            raise self.missing(record_id)
        return record

    async def page(self, ctx: Context, ask: Ask) -> list[Limit]:
        """Everything for administrators, services and whoever may see the system; else what is the caller's own."""
        self.ground.access.check(ctx, "list_limits", {})
        if not (ctx.system or {"admin", "service"} & set(ctx.roles)):
            if ctx.domain_id:
                own = Where(IN_DOMAIN, (ctx.domain_id,))
            elif ctx.project_id:
                own = Where("project_id", (ctx.project_id,))
            else:
                return []
            ask = _replace(ask, where=(*ask.where, own))
        return await super().page(ctx, ask)

    def missing(self, record_id: str) -> NotFound:
        return NotFound(f"Could not find limit for {record_id}.")

    async def _check_model(self, tx: Tx, limit: Limit) -> None:
        """Call it when the registered limit is locked."""
        if self.model.name == "flat":
            return
        registered = await REGISTERED_LIMITS.get(tx, id=limit.registered_limit_id)
        others = await LIMITS.where(tx, registered_limit_id=registered.id)
        projects = {one.project_id for one in (*others, limit) if one.project_id}
        domain_of = {one.id: one.domain_id for one in await PROJECTS.within(tx, "id", sorted(projects))}
        beside = [one for one in others if one.id != limit.id]
        check_two_levels(limit, registered.default_limit, beside, domain_of)

    async def check_depth(self) -> None:
        """Raise `TreeTooDeep` when there are projects that the model has no place for."""
        if (deepest := self.model.deepest) is None:
            return
        projects = {one.id: one.parent_id for one in await self.ground.db.read(PROJECTS.where)}
        for project_id in projects:
            above, depth = projects[project_id], 1
            while above in projects:
                above, depth = projects[above], depth + 1
            if depth > deepest:
                raise TreeTooDeep(
                    f"project {project_id} is at level {depth}; the limit model {self.model.name} allows {deepest}"
                )


async def _check_place(tx: Tx, limit: RegisteredLimit | Limit, target: str) -> None:
    if await SERVICES.find(tx, id=limit.service_id) is None:
        raise expecting("service_id", target)
    if limit.region_id and await REGIONS.find(tx, id=limit.region_id) is None:
        raise expecting("region_id", target)


async def _owned(tx: Tx, limit: Limit) -> Limit:
    """The limit with its owner in the right place: a domain may be named as a project."""
    if limit.project_id:
        if await DOMAINS.find(tx, id=limit.project_id) is not None:
            return _replace(limit, domain_id=limit.project_id, project_id="")
        if await PROJECTS.find(tx, id=limit.project_id) is None:
            raise expecting("project_id", "limit")
    elif await DOMAINS.find(tx, id=limit.domain_id) is None:
        raise expecting("domain_id", "limit")
    return limit


async def _check_unused(tx: Tx, record: RegisteredLimit) -> None:
    locked = await store.lock(tx, record.id)
    if locked is not None and locked.uses:
        raise Forbidden(
            f"Unable to update or delete registered limit {record.id} because there are project limits associated "
            "with it."
        )


async def _target(tx: Tx, limit: Limit) -> dict[str, Any]:
    """The limit as policies see it: nothing where it has no project or no domain."""
    seen: dict[str, Any] = {name: value for name, value in msgspec.structs.asdict(limit).items() if value != ""}
    if limit.project_id and (project := await PROJECTS.find(tx, id=limit.project_id)) is not None:
        seen["project"] = msgspec.structs.asdict(project)
    if limit.domain_id and (domain := await DOMAINS.find(tx, id=limit.domain_id)) is not None:
        seen["domain"] = msgspec.structs.asdict(domain)
    return {"limit": seen}
