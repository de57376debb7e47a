"""Roles, and which role brings which other along. What is taken away ends the tokens that were made of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, Conflict, Duplicate, Forbidden, NotFound
from kilostack.core.token import role_subject
from kilostack.identity.app.documents import check_mutable, check_own_id, check_removable, extra, immutable_after
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.resources import Resources
from kilostack.identity.app.taking import made_of_implication, made_of_roles
from kilostack.identity.model.roles import Implication, Role
from kilostack.identity.store import tokens
from kilostack.identity.store.application_credentials import forget_role
from kilostack.identity.store.roles import ASSIGNMENTS, IMPLICATIONS, ROLE_LIST, ROLES
from kilostack.store.database import Tx
from kilostack.store.lists import Ask, Where

_replace = msgspec.structs.replace
#: whoever could give it by giving another role would give away the cloud
_PROHIBITED = frozenset({"admin"})


class Roles(Resources[Role]):
    """A role that is marked immutable must lose the mark before anything else about it may change."""

    singular, plural = "role", "roles"
    records, collection = ROLES, ROLE_LIST
    _known = frozenset({"name", "domain_id", "description", "options", "id", "links"})

    def made(self, ctx: Context, document: dict[str, Any]) -> Role:
        return Role(
            id=self.ground.new_id(),
            name=document["name"],
            domain_id=document.get("domain_id") or "",
            description=document.get("description"),
            immutable=immutable_after(None, document),
            extra=extra({}, document, self._known),
        )

    def changed(self, record: Role, document: dict[str, Any]) -> Role:
        check_own_id(record.id, document)
        check_mutable(record.immutable, document, "role", record.id)
        if (document.get("domain_id", record.domain_id) or "") != record.domain_id:
            raise BadRequest("Update of `domain_id` is not allowed.", field="domain_id")
        return _replace(
            record,
            name=document.get("name", record.name),
            description=document.get("description", record.description),
            immutable=immutable_after(record.immutable, document),
            extra=extra(record.extra, document, self._known),
        )

    async def create(self, ctx: Context, document: dict[str, Any]) -> Role:
        if document.get("domain_id"):
            self.ground.access.check(ctx, "create_domain_role", {"role": document})
            return await self.stored(self.made(ctx, document))
        return await super().create(ctx, document)

    async def found(self, tx: Tx, ctx: Context, verb: str, record_id: str) -> Role:
        """The role, if the caller may `verb` it. That one is not there is told to everybody, as Keystone does."""
        record = await self.find(tx, record_id)
        if record is None:
            raise self.missing(record_id)
        self.ground.access.check(ctx, f"{verb}_{'domain_role' if record.domain_id else 'role'}", self.target(record))
        return record

    async def page(self, ctx: Context, ask: Ask) -> list[Role]:
        """Roles of the whole cloud, or those of the domain that is asked for."""
        of_domain = any(where.name == "domain_id" for where in ask.where)
        if Where("domain_id", ("",)) in ask.where:
            raise BadRequest("Invalid input for field/attribute domain_id. It is empty.", field="domain_id")
        self.ground.access.check(ctx, "list_domain_roles" if of_domain else "list_roles", {})
        if not of_domain:
            ask = _replace(ask, where=(*ask.where, Where("domain_id", ("",))))
        return await self.ground.db.read(lambda tx: self.listed(tx, ask))

    async def cascade(self, tx: Tx, record: Role) -> Iterable[str]:
        check_removable(record.immutable, "role", record.id)
        subjects = await made_of_roles(tx, [record.id])
        await forget_role(tx, record.id)
        await ASSIGNMENTS.delete_where(tx, role_id=record.id)
        await IMPLICATIONS.delete_where(tx, prior_id=record.id)
        await IMPLICATIONS.delete_where(tx, implied_id=record.id)
        return (role_subject(record.id), *subjects)

    def target(self, record: Role) -> Mapping[str, Any]:
        return {"role": role_target(record)}

    def duplicate(self, record: Role) -> str:
        where = f" at domain ID {record.domain_id}" if record.domain_id else ""
        return f"Conflict occurred attempting to store role - Duplicate entry found with name {record.name}{where}."


def role_target(record: Role) -> dict[str, Any]:
    """A role as policies see it."""
    return msgspec.structs.asdict(record) | {"domain_id": record.domain_id or None}


class Inference(msgspec.Struct, frozen=True):
    """A role and those that it implies directly."""

    prior: Role
    implied: tuple[Role, ...]


class ImpliedRoles:
    """Whoever has a role has the roles that it implies. Rings are allowed and do no harm."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def create(self, ctx: Context, prior_id: str, implied_id: str) -> Inference:
        """Raises `Forbidden` for what must not be implied, `Conflict` when it is already."""

        async def unit(tx: Tx) -> Inference:
            prior, implied = await self._both(tx, ctx, "create", prior_id, implied_id)
            # roles are the same in any case
            if implied.name.lower() in _PROHIBITED or (implied.domain_id and not prior.domain_id):
                raise Forbidden(f"{implied_id} cannot be an implied roles.")
            await IMPLICATIONS.insert(tx, Implication(prior_id=prior_id, implied_id=implied_id))
            return Inference(prior, (implied,))

        try:
            return await self._ground.db.write(unit)
        except Duplicate:
            raise Conflict("Conflict occurred attempting to store implied_role - Duplicate entry.") from None

    async def show(self, ctx: Context, prior_id: str, implied_id: str, verb: str = "get") -> Inference:
        async def unit(tx: Tx) -> Inference:
            prior, implied = await self._both(tx, ctx, verb, prior_id, implied_id)
            if await IMPLICATIONS.find(tx, prior_id=prior_id, implied_id=implied_id) is None:
                raise _does_not_imply(prior_id, implied_id)
            return Inference(prior, (implied,))

        return await self._ground.db.read(unit)

    async def delete(self, ctx: Context, prior_id: str, implied_id: str) -> None:
        """Ends the tokens that had the implied role by it."""
        until = self._ground.until()

        async def unit(tx: Tx) -> None:
            await self._both(tx, ctx, "delete", prior_id, implied_id)
            subjects = await made_of_implication(tx, Implication(prior_id=prior_id, implied_id=implied_id))
            if not await IMPLICATIONS.delete(tx, prior_id=prior_id, implied_id=implied_id):
                raise _does_not_imply(prior_id, implied_id)
            await tokens.revoke(tx, subjects, until)

        await self._ground.db.write(unit)

    async def of(self, ctx: Context, prior_id: str) -> Inference:
        """Everything that a role implies directly."""

        async def unit(tx: Tx) -> Inference:
            prior = await _role(tx, prior_id)
            self._check(ctx, "list_implied_roles", {"prior_role": prior})
            implied = await IMPLICATIONS.where(tx, prior_id=prior_id)
            found = await ROLES.within(tx, "id", [one.implied_id for one in implied])
            return Inference(prior, tuple(sorted(found, key=lambda role: role.name)))

        return await self._ground.db.read(unit)

    async def every(self, ctx: Context) -> list[Inference]:
        """All roles that imply others."""
        self._ground.access.check(ctx, "list_role_inference_rules", {})

        async def unit(tx: Tx) -> list[Inference]:
            pairs = await IMPLICATIONS.where(tx)
            ids = {one.prior_id for one in pairs} | {one.implied_id for one in pairs}
            roles = {role.id: role for role in await ROLES.within(tx, "id", sorted(ids))}
            found: dict[str, list[Role]] = {}
            for one in pairs:
                found.setdefault(one.prior_id, []).append(roles[one.implied_id])
            return [Inference(roles[prior_id], tuple(implied)) for prior_id, implied in found.items()]

        return await self._ground.db.read(unit)

    async def _both(self, tx: Tx, ctx: Context, verb: str, prior_id: str, implied_id: str) -> tuple[Role, Role]:
        prior, implied = await _role(tx, prior_id), await _role(tx, implied_id)
        self._check(ctx, f"{verb}_implied_role", {"prior_role": prior, "implied_role": implied})
        return prior, implied

    def _check(self, ctx: Context, action: str, roles: Mapping[str, Role]) -> None:
        self._ground.access.check(ctx, action, {name: role_target(role) for name, role in roles.items()})


async def _role(tx: Tx, role_id: str) -> Role:
    if (found := await ROLES.find(tx, id=role_id)) is None:
        raise NotFound(f"Could not find role: {role_id}.")
    return found


def _does_not_imply(prior_id: str, implied_id: str) -> NotFound:
    return NotFound(f"{prior_id} does not imply {implied_id}.")
