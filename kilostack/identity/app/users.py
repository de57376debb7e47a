"""Users: what may be changed, and what goes with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, Conflict, Duplicate, NotFound
from kilostack.core.secret import Secret
from kilostack.core.token import user_subject
from kilostack.identity.app.assignments import projects_with_roles
from kilostack.identity.app.documents import check_fixed, extra, given, made_up
from kilostack.identity.app.federated_identities import FILTERS as FEDERATED
from kilostack.identity.app.federated_identities import check_providers, described, matching_users, replace_identities
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.own_password import check_strong
from kilostack.identity.app.removal import remove_users
from kilostack.identity.app.resources import Resources
from kilostack.identity.model.federation import FederatedUser
from kilostack.identity.model.passwords import expires_at, is_enabled
from kilostack.identity.model.projects import DEFAULT_DOMAIN, Project
from kilostack.identity.model.times import micros_of
from kilostack.identity.model.users import User, with_options
from kilostack.identity.store.federation import FEDERATED_USERS
from kilostack.identity.store.projects import DOMAINS
from kilostack.identity.store.users import LOGIN_FAILURES, USER_LIST, USERS, keep_former_password
from kilostack.store.database import Tx
from kilostack.store.lists import Ask, Op, Where

_replace = msgspec.structs.replace
_OPERATORS: Mapping[str, Op] = {"eq": "eq", "neq": "ne", "lt": "lt", "lte": "lte", "gt": "gt", "gte": "gte"}


class Users(Resources[User]):
    """Passwords come in as text and are kept as hashes; changing one ends the user's tokens."""

    singular, plural = "user", "users"
    records, collection = USERS, USER_LIST
    domain_filter = "domain_id"
    _known = frozenset(
        {
            *("id", "name", "domain_id", "enabled", "default_project_id", "options", "federated", "links", "extra"),
            *("password", "password_hash", "password_expires_at"),
        }
    )

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._rules = ground.settings.passwords

    async def prepared(self, document: dict[str, Any]) -> dict[str, Any]:
        # the hash is ours alone: one that a client sends is dropped
        rest = {name: value for name, value in document.items() if name not in ("password", "password_hash")}
        if "password" in document:
            password = document["password"]
            rest["password_hash"] = None if password is None else await self.ground.passwords.hashed(Secret(password))
        return rest

    def made(self, ctx: Context, document: dict[str, Any]) -> User:
        now = self.ground.world.now()
        record = User(
            id=self.ground.new_id(),
            name=document["name"].strip(),
            domain_id=document.get("domain_id") or ctx.domain_id or DEFAULT_DOMAIN,
            enabled=document.get("enabled", True),
            default_project_id=document.get("default_project_id"),
            options=with_options({}, document.get("options", {})),
            created_at=now,
            extra=made_up(document, self._known),
        )
        return self._with_password(record, document.get("password_hash"))

    def changed(self, record: User, document: dict[str, Any]) -> User:
        values = given(document, "enabled")
        if "name" in document:
            values["name"] = document["name"].strip()
        if "default_project_id" in document:
            values["default_project_id"] = document["default_project_id"]
        if "options" in document:
            values["options"] = with_options(record.options, document["options"])
        if values.get("enabled"):
            # else whoever was away for too long would be disabled again at once
            values["active_at"] = self.ground.world.now()
        changed = _replace(record, **values, extra=extra(record.extra, document, self._known))
        return self._with_password(changed, document["password_hash"]) if "password_hash" in document else changed

    def _with_password(self, record: User, password_hash: str | None) -> User:
        """The user with a password that an administrator has set."""
        if password_hash is None:
            return _replace(record, password_hash=None, password_created_at=None, password_expires_at=None)
        now = self.ground.world.now()
        return _replace(
            record,
            password_hash=password_hash,
            password_created_at=now,
            password_expires_at=expires_at(self._rules, record.options, now, self_chosen=False),
            password_self_chosen=False,
        )

    async def check(self, tx: Tx, record: User) -> None:
        if await DOMAINS.find(tx, id=record.domain_id) is None:
            raise NotFound(f"Could not find domain: {record.domain_id}.")

    def target_wanted(self, record: User, document: dict[str, Any]) -> Mapping[str, Any]:
        # as it was sent: who may write in their own domain alone has to name it
        return {"user": document}

    def voids(self, old: User, new: User) -> Iterable[str]:
        ended = (old.enabled and not new.enabled) or old.password_hash != new.password_hash
        return (user_subject(old.id),) if ended else ()

    async def cascade(self, tx: Tx, record: User) -> Iterable[str]:
        await remove_users(tx, [record.id])
        return (user_subject(record.id),)

    def duplicate(self, record: User) -> str:
        return (
            f"Conflict occurred attempting to store user - Duplicate entry found with name {record.name} "
            f"at domain ID {record.domain_id}."
        )

    async def create(self, ctx: Context, document: dict[str, Any]) -> User:
        self.ground.access.check(ctx, "create_user", {"user": document})
        self._check_password(document)
        record = self.made(ctx, await self.prepared(document))
        identities = described(record, document.get("federated"))

        async def unit(tx: Tx) -> User:
            await self.check(tx, record)
            await _check_default_project(tx, document)
            await check_providers(tx, identities)
            await self.insert(tx, record)
            await replace_identities(tx, record.id, identities)
            return record

        try:
            return await self.ground.db.write(unit)
        except Duplicate:
            raise Conflict(self.duplicate(record)) from None

    async def update(self, ctx: Context, record_id: str, document: dict[str, Any]) -> User:
        # before the slow part, so that nobody makes us hash who may not
        found = await self.ground.db.read(lambda tx: self.found(tx, ctx, "update", record_id))
        check_fixed(found.id, document, "id", "ID")
        check_fixed(found.domain_id, document, "domain_id", "Domain ID")
        self._check_password(document)
        ready = await self.prepared(document)
        until = self.ground.until()

        async def unit(tx: Tx) -> User:
            old = await self.found(tx, ctx, "update", record_id)
            await _check_default_project(tx, document)
            if identities := described(old, document.get("federated")):
                await check_providers(tx, identities)
                await replace_identities(tx, old.id, identities)
            if "password_hash" in ready:
                await keep_former_password(tx, old, self._rules.remembered)
            if document.get("enabled", old.enabled):
                await LOGIN_FAILURES.delete(tx, user_id=old.id)
            return await self.rewrite(tx, old, ready, until)

        try:
            return self.seen(await self.ground.db.write(unit))
        except Duplicate:
            raise Conflict("Conflict occurred attempting to store user - one of its identities is another's.") from None

    async def show(self, ctx: Context, record_id: str) -> User:
        return self.seen(await super().show(ctx, record_id))

    async def listed(self, tx: Tx, ask: Ask) -> list[User]:
        ask = refined(ask)
        if elsewhere := [one for one in ask.where if one.name in FEDERATED]:
            ids = await matching_users(tx, elsewhere)
            where = (*(one for one in ask.where if one not in elsewhere), Where("id", tuple(ids)))
            ask = _replace(ask, where=where)
        return [self.seen(record) for record in await super().listed(tx, ask)]

    async def identities(self, user_id: str) -> list[FederatedUser]:
        """Who a user is elsewhere."""
        return await self.ground.db.read(lambda tx: FEDERATED_USERS.where(tx, user_id=user_id))

    async def projects_of(self, ctx: Context, user_id: str) -> list[Project]:
        """Projects on which a user has a role."""

        async def unit(tx: Tx) -> list[Project]:
            await self.found_for(tx, ctx, "list_user_projects", user_id)
            return await projects_with_roles(tx, user_id)

        return await self.ground.db.read(unit)

    def _check_password(self, document: dict[str, Any]) -> None:
        if "password" in document:
            check_strong(self._rules, document["password"])

    def seen(self, record: User) -> User:
        """As others see the user: whoever was away for too long is disabled."""
        enabled = is_enabled(self._rules, record, self.ground.world.now())
        return record if enabled is record.enabled else _replace(record, enabled=enabled)


def refined(ask: Ask) -> Ask:
    """The list with its conditions on expiry understood. Raises `BadRequest`."""
    where: list[Where] = []
    for one in ask.where:
        where += [_expiry(str(text)) for text in one.values] if one.name == "password_expires_at" else [one]
    return _replace(ask, where=tuple(where))


def _expiry(text: str) -> Where:
    """Such as `lt:2030-01-01T00:00:00Z`; without an operator it is that moment."""
    operator, moment = text.split(":", 1) if ":" in text[2:4] else ("eq", text)
    if operator not in _OPERATORS:
        raise BadRequest(
            f"The given operator {operator} is not valid. It must be one of the following: {', '.join(_OPERATORS)}.",
            field="password_expires_at",
        )
    try:
        passed = micros_of(moment)
    except ValueError:
        raise BadRequest(
            "Timestamp not in expected format: it must be a time such as 2030-01-01T00:00:00Z.",
            field="password_expires_at",
        ) from None
    return Where("password_expires_at", (passed,), _OPERATORS[operator])


async def _check_default_project(tx: Tx, document: dict[str, Any]) -> None:
    """Whether the project is there is not asked, as upstream; a domain it must not be."""
    wanted = document.get("default_project_id")
    if wanted is not None and await DOMAINS.find(tx, id=wanted) is not None:
        raise BadRequest(f"User's default project ID cannot be a domain ID: {wanted}", field="default_project_id")
