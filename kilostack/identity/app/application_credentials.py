"""Application credentials: made by their user alone, never with more roles than the token they are made with."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, Conflict, Duplicate, NotFound
from kilostack.core.token import Claims, credential_subject
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.tokens import CREDENTIAL_PURPOSE, check_may_manage_credentials, roles_on
from kilostack.identity.model.application_credentials import ApplicationCredential
from kilostack.identity.model.roles import Role
from kilostack.identity.store import tokens as store_tokens
from kilostack.identity.store.application_credentials import APPLICATION_CREDENTIAL_LIST, APPLICATION_CREDENTIALS
from kilostack.identity.store.roles import ROLES
from kilostack.store.database import Tx
from kilostack.store.lists import Ask, Where

_SECRET_BYTES = 64


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A credential as its user asks for it. Roles are (id, name) pairs of which one may be empty; none means all."""

    name: str
    description: str | None = None
    roles: tuple[tuple[str, str], ...] = ()
    secret: str | None = None
    unrestricted: bool = False
    expires_at: int | None = None


class Full(msgspec.Struct, frozen=True):
    """A credential with its roles as records."""

    credential: ApplicationCredential
    roles: list[Role]


class ApplicationCredentials:
    """Create (the only time when the secret is shown), show, list and delete."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def create(self, ctx: Context, claims: Claims, user_id: str, wanted: Wanted) -> tuple[Full, str]:
        """The credential and its secret."""
        self._ground.access.check(ctx, "create_application_credential", _target(user_id))
        check_may_manage_credentials(claims)
        if not claims.project_id:
            raise _invalid("a token for a project is required")
        if wanted.expires_at is not None and wanted.expires_at <= self._ground.world.now():
            raise _invalid("expires_at is in the past")
        secret = wanted.secret or base64.urlsafe_b64encode(self._ground.entropy(_SECRET_BYTES)).decode().rstrip("=")
        credential = ApplicationCredential(
            id=self._ground.new_id(),
            user_id=user_id,
            project_id=claims.project_id,
            name=wanted.name,
            secret_hash=self._ground.vault.digest(CREDENTIAL_PURPOSE, secret),
            role_ids=(),
            description=wanted.description,
            unrestricted=wanted.unrestricted,
            expires_at=wanted.expires_at,
        )

        async def unit(tx: Tx) -> Full:
            role_ids = await _chosen(tx, claims, wanted.roles)
            made = msgspec.structs.replace(credential, role_ids=role_ids)
            await APPLICATION_CREDENTIALS.insert(tx, made)
            return await _full(tx, made)

        try:
            return await self._ground.db.write(unit), secret
        except Duplicate:
            raise Conflict(
                "Conflict occurred attempting to store application_credential - Duplicate entry found with name "
                f"{wanted.name}."
            ) from None

    async def show(self, ctx: Context, user_id: str, credential_id: str) -> Full:
        async def unit(tx: Tx) -> Full:
            return await _full(tx, await self._found(tx, ctx, "get", user_id, credential_id))

        return await self._ground.db.read(unit)

    async def page(self, ctx: Context, user_id: str, name: str | None) -> list[Full]:
        self._ground.access.check(ctx, "list_application_credentials", _target(user_id))
        where = [Where("user_id", (user_id,))] + ([] if name is None else [Where("name", (name,))])

        async def unit(tx: Tx) -> list[Full]:
            found = await APPLICATION_CREDENTIAL_LIST.page(tx, Ask(where=tuple(where)))
            return [await _full(tx, credential) for credential in found]

        return await self._ground.db.read(unit)

    async def delete(self, ctx: Context, claims: Claims, user_id: str, credential_id: str) -> None:
        """Ends its tokens, too."""
        until = self._ground.until()

        async def unit(tx: Tx) -> None:
            await self._found(tx, ctx, "delete", user_id, credential_id)
            check_may_manage_credentials(claims)
            await APPLICATION_CREDENTIALS.delete(tx, id=credential_id)
            await store_tokens.revoke(tx, [credential_subject(credential_id)], until)

        await self._ground.db.write(unit)

    async def _found(self, tx: Tx, ctx: Context, verb: str, user_id: str, credential_id: str) -> ApplicationCredential:
        self._ground.access.check(ctx, f"{verb}_application_credential", _target(user_id))
        found = await APPLICATION_CREDENTIALS.find(tx, id=credential_id)
        if found is None or found.user_id != user_id:
            raise NotFound(f"Could not find Application Credential: {credential_id}.")
        return found


async def _full(tx: Tx, credential: ApplicationCredential) -> Full:
    roles = await ROLES.within(tx, "id", credential.role_ids)
    return Full(credential, sorted(roles, key=lambda role: role.name))


def _target(user_id: str) -> Mapping[str, Any]:
    return {"user": {"id": user_id}}


async def _chosen(tx: Tx, claims: Claims, wanted: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """Ids of the roles: those of the token, or the ones asked for if the user has them on the project.

    A credential never makes one with more roles than its own.
    """
    held = claims.roles
    if not wanted:
        return tuple(role_id for role_id, _ in held)
    if not claims.credential_id:
        held = await roles_on(tx, claims.user_id, "project", claims.project_id)
    chosen = []
    for role_id, name in wanted:
        found = next((role for role in held if role[0] == role_id or (not role_id and role[1] == name)), None)
        if found is None:
            raise _invalid(
                f"Could not find role assignment with role: {role_id or name}, user or group: {claims.user_id}, "
                f"project, domain, or system: {claims.project_id}."
            )
        chosen.append(found[0])
    return tuple(dict.fromkeys(chosen))


def _invalid(detail: str) -> BadRequest:
    return BadRequest(f"Invalid application credential: {detail}")
