"""Application credentials: made by their user alone, never with more roles than the token they are made with."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from kilostack.core.access_rules import AccessRule
from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, Conflict, Duplicate, NotFound
from kilostack.core.token import Claims, credential_subject
from kilostack.identity.app.access_rules import WantedRule, kept_rules
from kilostack.identity.app.delegation import check_may_manage_credentials, check_may_use_application_credentials
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.policies import forbidden
from kilostack.identity.app.role_names import role_ids
from kilostack.identity.app.tokens import CREDENTIAL_PURPOSE, roles_on
from kilostack.identity.model.application_credentials import ApplicationCredential
from kilostack.identity.model.assignments import Place
from kilostack.identity.model.roles import Role, closure
from kilostack.identity.store import tokens as store_tokens
from kilostack.identity.store.access_rules import access_rules
from kilostack.identity.store.application_credentials import APPLICATION_CREDENTIAL_LIST, APPLICATION_CREDENTIALS
from kilostack.identity.store.roles import ROLES, implied_roles
from kilostack.store.database import Tx
from kilostack.store.lists import Ask, Where

_SECRET_BYTES = 64
#: how often a rule is looked for again that somebody else keeps at the same moment
_TRIES = 5


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A credential as its user asks for it. Roles are (id, name) pairs of which one is empty; none means all."""

    name: str
    description: str | None = None
    roles: tuple[tuple[str, str], ...] = ()
    secret: str | None = None
    unrestricted: bool | None = None
    expires_at: int | None = None
    access_rules: tuple[WantedRule, ...] = ()


class Full(msgspec.Struct, frozen=True):
    """A credential with its roles and rules as records."""

    credential: ApplicationCredential
    roles: list[Role]
    access_rules: tuple[AccessRule, ...] | None


class ApplicationCredentials:
    """Create (the only time when the secret is shown), show, list and delete."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def create(self, ctx: Context, claims: Claims, user_id: str, wanted: Wanted) -> tuple[Full, str]:
        """The credential and its secret."""
        self._ground.access.check(ctx, "create_application_credential", _target(user_id))
        check_may_use_application_credentials(claims)
        check_may_manage_credentials(claims)
        if ctx.user_id != user_id:
            raise forbidden("Cannot create an application credential for another user.")
        if not claims.project_id:
            raise _invalid("a token for a project is required")
        if wanted.expires_at is not None and wanted.expires_at <= self._ground.world.now():
            raise BadRequest("The 'expires_at' must not be before now.", field="expires_at")
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
            if await APPLICATION_CREDENTIALS.where(tx, user_id=user_id, name=wanted.name):
                raise _taken(wanted.name)
            chosen = await _chosen(tx, claims, wanted.roles)
            rule_ids = await kept_rules(tx, user_id, wanted.access_rules)
            made = msgspec.structs.replace(credential, role_ids=chosen, access_rule_ids=rule_ids)
            await APPLICATION_CREDENTIALS.insert(tx, made)
            return (await _full(tx, [made]))[0]

        for _ in range(_TRIES):
            try:
                return await self._ground.db.write(unit), secret
            except Duplicate:
                # somebody was quicker with the name, which the next try finds, or with a rule
                continue
        raise _taken(wanted.name)

    async def show(self, ctx: Context, claims: Claims, user_id: str, credential_id: str) -> Full:
        async def unit(tx: Tx) -> Full:
            found = await self._found(tx, ctx, claims, ("get", user_id, credential_id))
            return (await _full(tx, [found]))[0]

        return await self._ground.db.read(unit)

    async def page(self, ctx: Context, claims: Claims, user_id: str, ask: Ask) -> list[Full]:
        self._ground.access.check(ctx, "list_application_credentials", _target(user_id))
        check_may_use_application_credentials(claims)
        of_user = msgspec.structs.replace(ask, where=(*ask.where, Where("user_id", (user_id,))))

        async def unit(tx: Tx) -> list[Full]:
            return await _full(tx, await APPLICATION_CREDENTIAL_LIST.page(tx, of_user))

        return await self._ground.db.read(unit)

    async def delete(self, ctx: Context, claims: Claims, user_id: str, credential_id: str) -> None:
        """Ends its tokens, too."""
        until = self._ground.until()

        async def unit(tx: Tx) -> None:
            await self._found(tx, ctx, claims, ("delete", user_id, credential_id))
            check_may_manage_credentials(claims)
            await APPLICATION_CREDENTIALS.delete(tx, id=credential_id)
            await store_tokens.revoke(tx, [credential_subject(credential_id)], until)

        await self._ground.db.write(unit)

    async def _found(self, tx: Tx, ctx: Context, claims: Claims, wanted: tuple[str, str, str]) -> ApplicationCredential:
        """Whose it is decides, not whose path it was asked by."""
        verb, user_id, credential_id = wanted
        found = await APPLICATION_CREDENTIALS.find(tx, id=credential_id)
        owner_id = user_id if found is None else found.user_id
        self._ground.access.check(ctx, f"{verb}_application_credential", _target(owner_id))
        check_may_use_application_credentials(claims)
        if found is None:
            raise NotFound(f"Could not find Application Credential: {credential_id}.")
        return found


async def _full(tx: Tx, credentials: Sequence[ApplicationCredential]) -> list[Full]:
    """Two statements however many there are."""
    given = {role_id for one in credentials for role_id in one.role_ids}
    roles = sorted(await ROLES.within(tx, "id", sorted(given)), key=lambda role: role.name)
    rules = await access_rules(tx, (one.access_rule_ids for one in credentials))
    return [
        Full(one, [role for role in roles if role.id in one.role_ids], its_rules)
        for one, its_rules in zip(credentials, rules, strict=True)
    ]


def _target(user_id: str) -> Mapping[str, Any]:
    return {"user": {"id": user_id}}


async def _chosen(tx: Tx, claims: Claims, wanted: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """Ids of the roles, with what they imply: those that the user has on the project now, or some of them.

    A credential never makes one with more roles than its own.
    """
    held = claims.roles
    if not claims.credential_id:
        held = await roles_on(tx, claims, Place("project", claims.project_id))
    if not wanted:
        return tuple(role_id for role_id, _ in held)
    chosen = closure(await role_ids(tx, wanted), await implied_roles(tx))
    if not chosen <= {role_id for role_id, _ in held}:
        raise _invalid("Cannot create an application credential with unassigned role")
    return tuple(role_id for role_id, _ in held if role_id in chosen)


def _taken(name: str) -> Conflict:
    return Conflict(
        f"Conflict occurred attempting to store application_credential - Duplicate entry found with name {name}."
    )


def _invalid(detail: str) -> BadRequest:
    return BadRequest(f"Invalid application credential: {detail}")
