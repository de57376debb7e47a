"""Trusts: made by their trustor alone, with roles that they have; handed on only as far as they allow."""

from __future__ import annotations

from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, Conflict, Duplicate, Forbidden, NotFound
from kilostack.core.token import Claims, trust_subject
from kilostack.identity.app.assignments import effective_roles
from kilostack.identity.app.delegation import is_delegated
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.policies import forbidden
from kilostack.identity.app.role_names import role_ids
from kilostack.identity.model.assignments import Place
from kilostack.identity.model.roles import Role
from kilostack.identity.model.trusts import MOST_REDELEGATIONS, Trust, chain_refusal
from kilostack.identity.store import tokens as store_tokens
from kilostack.identity.store import trusts as store
from kilostack.identity.store.projects import DOMAINS, PROJECTS
from kilostack.identity.store.roles import ROLES
from kilostack.identity.store.trusts import TRUST_LIST, TRUSTS
from kilostack.identity.store.users import USERS
from kilostack.store.database import Tx
from kilostack.store.lists import Ask

_replace = msgspec.structs.replace
_NOT_ALLOWED = "You are not authorized to perform the requested action."


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A trust as its trustor asks for it. Roles are (id, name) pairs of which one is empty."""

    trustor_user_id: str
    trustee_user_id: str
    impersonation: bool
    project_id: str | None = None
    roles: tuple[tuple[str, str], ...] = ()
    expires_at: int | None = None
    remaining_uses: int | None = None
    allow_redelegation: bool = False
    redelegation_count: int | None = None
    redelegated_trust_id: str | None = None
    extra: dict[str, Any] = {}


class Full(msgspec.Struct, frozen=True):
    """A trust with its roles as records."""

    trust: Trust
    roles: list[Role]


class Trusts:
    """Create, show, list and delete; who came by a credential of any kind does none of it."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def create(self, ctx: Context, claims: Claims, wanted: Wanted) -> Full:
        target = {"trustor_user_id": wanted.trustor_user_id, "trustee_user_id": wanted.trustee_user_id}
        self._ground.access.check(ctx, "create_trust", {"trust": target})
        _check_not_by_credential(claims)
        if wanted.project_id and not wanted.roles:
            raise forbidden("At least one role should be specified")
        if ctx.user_id != wanted.trustor_user_id:
            raise forbidden("The authenticated user should match the trustor")
        trust = self._made(wanted)

        async def unit(tx: Tx) -> Full:
            roles = await self._roles(tx, wanted)
            made = _replace(trust, role_ids=tuple(role.id for role in roles))
            made = await self._handed_on(tx, made, wanted, claims)
            await TRUSTS.insert(tx, made)
            return Full(made, roles)

        try:
            return await self._ground.db.write(unit)
        except Duplicate:
            raise Conflict(
                f"Conflict occurred attempting to store trust - Duplicate entry found with ID {trust.id}."
            ) from None

    def _made(self, wanted: Wanted) -> Trust:
        """Without its roles, and as if it handed nothing on."""
        if wanted.expires_at is not None and wanted.expires_at < self._ground.world.now():
            raise BadRequest("The 'expires_at' must not be before now.", field="expires_at")
        redelegable = wanted.allow_redelegation and wanted.redelegation_count != 0
        if redelegable and wanted.remaining_uses is not None:
            raise BadRequest("remaining_uses must not be set if redelegation is allowed", field="remaining_uses")
        count = 0 if not redelegable else wanted.redelegation_count or MOST_REDELEGATIONS
        if count > MOST_REDELEGATIONS:
            raise Forbidden(f"{_NOT_ALLOWED} Redelegation depth of {count} is more than {MOST_REDELEGATIONS}.")
        return Trust(
            id=self._ground.new_id(),
            trustor_user_id=wanted.trustor_user_id,
            trustee_user_id=wanted.trustee_user_id,
            impersonation=wanted.impersonation,
            project_id=wanted.project_id,
            expires_at=wanted.expires_at,
            remaining_uses=wanted.remaining_uses,
            redelegation_count=count,
            extra=wanted.extra,
        )

    async def _roles(self, tx: Tx, wanted: Wanted) -> list[Role]:
        """The roles asked for, all of which the first trustor has. Raises `NotFound`."""
        if await USERS.find(tx, id=wanted.trustee_user_id) is None:
            raise NotFound(f"Could not find user: {wanted.trustee_user_id}.")
        ids = await role_ids(tx, wanted.roles)
        held: set[str] = set()
        if wanted.project_id:
            if await PROJECTS.find(tx, id=wanted.project_id) is None:
                raise NotFound(f"Could not find project: {wanted.project_id}.")
            holder = await self._first_trustor(tx, wanted)
            place = Place("project", wanted.project_id)
            held = {role.id for role in await effective_roles(tx, holder, place, with_domain_roles=True)}
        for role_id in ids:
            if role_id not in held:
                raise NotFound(f"Could not find role: {role_id}.")
        return sorted(await ROLES.within(tx, "id", ids), key=lambda role: role.id)

    async def _first_trustor(self, tx: Tx, wanted: Wanted) -> str:
        if wanted.redelegated_trust_id is None:
            return wanted.trustor_user_id
        return (await self._chain(tx, wanted.redelegated_trust_id))[-1].trustor_user_id

    async def _handed_on(self, tx: Tx, trust: Trust, wanted: Wanted, claims: Claims) -> Trust:
        """The trust as one that hands on that of the token it is made with, if it was one."""
        parent_id = None if claims.trust is None else claims.trust.id
        if wanted.redelegated_trust_id not in (None, parent_id):
            # whoever was not given a trust cannot hand it on
            raise forbidden("Redelegation allowed for delegated by trust only")
        if parent_id is None:
            return trust
        chain = await self._chain(tx, parent_id)
        remaining = chain[0].redelegation_count - 1
        if trust.redelegation_count and wanted.redelegation_count not in (None, remaining):
            raise Forbidden(f"{_NOT_ALLOWED} Modifying redelegation_count upon redelegation is forbidden.")
        handed = _replace(
            trust,
            redelegated_trust_id=parent_id,
            redelegation_count=min(trust.redelegation_count, max(remaining, 0)),
            expires_at=chain[0].expires_at if trust.expires_at is None else trust.expires_at,
        )
        if (why := chain_refusal([handed, *chain])) is not None:
            raise Forbidden(f"{_NOT_ALLOWED} {why}.")
        return handed

    async def _chain(self, tx: Tx, trust_id: str) -> list[Trust]:
        return await usable_chain(tx, trust_id, self._ground.world.now())

    async def show(self, ctx: Context, claims: Claims, trust_id: str, action: str = "get_trust") -> Full:
        """With its roles. That there is none is no secret: 404 comes before policy, as clients expect."""

        async def unit(tx: Tx) -> Full:
            trust = await self._found(tx, ctx, action, trust_id)
            _check_not_by_credential(claims)
            return Full(trust, sorted(await ROLES.within(tx, "id", trust.role_ids), key=lambda role: role.id))

        return await self._ground.db.read(unit)

    async def role(self, ctx: Context, claims: Claims, trust_id: str, role_id: str) -> Role:
        """One of its roles. Raises `NotFound`."""
        full = await self.show(ctx, claims, trust_id, "get_role_for_trust")
        for role in full.roles:
            if role.id == role_id:
                return role
        raise NotFound(f"Could not find role: {role_id}.")

    async def page(self, ctx: Context, claims: Claims, ask: Ask) -> list[Trust]:
        """One page; used up and expired ones are among them."""
        asked = {where.name: where.values[0] for where in ask.where}
        action = next((f"list_trusts_for_{name[:-8]}" for name in TRUST_LIST.filters if name in asked), "list_trusts")
        self._ground.access.check(ctx, action, {"trust": asked})
        _check_not_by_credential(claims)
        return await self._ground.db.read(lambda tx: TRUST_LIST.page(tx, ask))

    async def delete(self, ctx: Context, claims: Claims, trust_id: str) -> None:
        """With those that hand it on, and the tokens of all."""
        until = self._ground.until()

        async def unit(tx: Tx) -> None:
            trust = await self._found(tx, ctx, "delete_trust", trust_id)
            _check_not_by_credential(claims)
            gone = await store.remove(tx, [trust])
            await store_tokens.revoke(tx, [trust_subject(one) for one in gone], until)

        await self._ground.db.write(unit)

    async def _found(self, tx: Tx, ctx: Context, action: str, trust_id: str) -> Trust:
        trust = (await self._chain(tx, trust_id))[0]
        self._ground.access.check(ctx, action, {"trust": msgspec.structs.asdict(trust)})
        return trust


async def usable_chain(tx: Tx, trust_id: str, now: int) -> list[Trust]:
    """A trust that can be used, and those that it hands on, back to the first.

    Raises `NotFound`; `Forbidden` when one of those that it hands on does not allow it (any more).
    """
    trust = await TRUSTS.find(tx, id=trust_id)
    chain = None if trust is None or not trust.is_usable(now) else await store.pedigree(tx, trust)
    if chain is None:
        raise NotFound(f"Could not find trust: {trust_id}.")
    if (why := chain_refusal(chain)) is not None:
        raise Forbidden(f"{_NOT_ALLOWED} {why}.")
    agents = {user_id for parent in chain[1:] for user_id in (parent.trustor_user_id, parent.trustee_user_id)}
    users = await USERS.within(tx, "id", sorted(agents))
    domains = await DOMAINS.within(tx, "id", sorted({user.domain_id for user in users}))
    enabled = all(user.enabled for user in users) and all(domain.enabled for domain in domains)
    if len(users) < len(agents) or not enabled:
        raise Forbidden(f"{_NOT_ALLOWED} One of the trust agents is disabled or deleted.")
    return chain


def _check_not_by_credential(claims: Claims) -> None:
    """What a trust token does here is redelegation; a credential would make itself something larger than it is."""
    if is_delegated(_replace(claims, trust=None)):
        raise forbidden("Delegated tokens cannot manage trusts.")
