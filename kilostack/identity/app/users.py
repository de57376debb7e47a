"""Users: what may be changed, and what goes with them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, NotFound, Unauthenticated
from kilostack.core.secret import Secret
from kilostack.core.token import user_subject
from kilostack.identity.app.projects import projects_with_roles
from kilostack.identity.app.removal import remove_user
from kilostack.identity.app.resources import Resources, check_fixed, extra, given
from kilostack.identity.model.projects import DEFAULT_DOMAIN, Project
from kilostack.identity.model.users import User
from kilostack.identity.store import tokens
from kilostack.identity.store.projects import DOMAINS
from kilostack.identity.store.users import USER_LIST, USERS
from kilostack.store.database import Tx

_replace = msgspec.structs.replace


class Users(Resources[User]):
    """Passwords come in as text and are kept as hashes; changing one ends the user's tokens."""

    singular, plural = "user", "users"
    records, collection = USERS, USER_LIST
    _known = frozenset(
        {"name", "domain_id", "enabled", "default_project_id", "password", "password_hash", "options", "id", "links"}
    )

    async def prepared(self, document: dict[str, Any]) -> dict[str, Any]:
        # the hash is ours alone: one that a client sends is dropped
        rest = {name: value for name, value in document.items() if name not in ("password", "password_hash")}
        if (password := document.get("password")) is not None:
            rest["password_hash"] = await self.ground.passwords.hashed(Secret(password))
        return rest

    def made(self, ctx: Context, document: dict[str, Any]) -> User:
        return User(
            id=self.ground.new_id(),
            name=document["name"],
            domain_id=document.get("domain_id") or ctx.domain_id or DEFAULT_DOMAIN,
            enabled=document.get("enabled", True),
            default_project_id=document.get("default_project_id"),
            password_hash=document.get("password_hash"),
            extra=extra({}, document, self._known),
        )

    def changed(self, record: User, document: dict[str, Any]) -> User:
        check_fixed(record.domain_id, document, "domain_id", "Domain ID")
        values = given(document, "name", "enabled", "password_hash")
        if "default_project_id" in document:
            values["default_project_id"] = document["default_project_id"]
        return _replace(record, **values, extra=extra(record.extra, document, self._known))

    async def check(self, tx: Tx, record: User) -> None:
        if await DOMAINS.find(tx, id=record.domain_id) is None:
            raise NotFound(f"Could not find domain: {record.domain_id}.")

    def voids(self, old: User, new: User) -> Iterable[str]:
        ended = (old.enabled and not new.enabled) or old.password_hash != new.password_hash
        return (user_subject(old.id),) if ended else ()

    async def cascade(self, tx: Tx, record: User) -> Iterable[str]:
        await remove_user(tx, record)
        return (user_subject(record.id),)

    def duplicate(self, record: User) -> str:
        return (
            f"Conflict occurred attempting to store user - Duplicate entry found with name {record.name} "
            f"at domain ID {record.domain_id}."
        )

    async def change_own_password(self, user_id: str, old: Secret, new: Secret, address: str) -> None:
        """For whoever knows the old one. Raises `Unauthenticated`."""
        who = (user_id, address)
        self.ground.attempts.check(who)
        user = await self.ground.db.read(lambda tx: USERS.find(tx, id=user_id))
        kept = user.password_hash if user is not None and user.enabled else None
        if not await self.ground.passwords.matches(old, kept, lambda: self.ground.attempts.check(who)):
            self.ground.attempts.failed(who)
            raise Unauthenticated("The request you have made requires authentication.")
        self.ground.attempts.succeeded(who)
        if new.reveal() == old.reveal():
            raise BadRequest("The new password must differ from the old one.", field="password")
        replacement = await self.ground.passwords.hashed(new)
        until = self.ground.until()

        async def unit(tx: Tx) -> None:
            current = await USERS.find(tx, id=user_id)
            if current is None or current.password_hash != kept:
                raise Unauthenticated("The request you have made requires authentication.")
            await USERS.update(tx, _replace(current, password_hash=replacement))
            await tokens.revoke(tx, [user_subject(user_id)], until)

        await self.ground.db.write(unit)

    async def projects_of(self, ctx: Context, user_id: str) -> list[Project]:
        """Projects on which a user has a role."""

        async def unit(tx: Tx) -> list[Project]:
            user = await USERS.find(tx, id=user_id)
            self.ground.access.check(ctx, "list_user_projects", {} if user is None else self.target(user))
            if user is None:
                raise self.missing(user_id)
            return await projects_with_roles(tx, user_id)

        return await self.ground.db.read(unit)
