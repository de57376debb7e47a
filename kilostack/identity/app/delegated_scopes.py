"""What a token is for when somebody was let in by another: trusts and OAuth 1 access tokens."""

from __future__ import annotations

import msgspec

from kilostack.core.errors import Forbidden, NotFound, Unauthenticated
from kilostack.core.token import Claims, TrustClaims
from kilostack.identity.app.assignments import effective_roles
from kilostack.identity.app.delegation import is_delegated
from kilostack.identity.app.policies import forbidden
from kilostack.identity.app.project_scope import with_project
from kilostack.identity.app.proof import REJECTED, Named, Scope
from kilostack.identity.app.trusts import usable_chain
from kilostack.identity.model.assignments import Place
from kilostack.identity.model.projects import Domain
from kilostack.identity.model.roles import Role, closure
from kilostack.identity.model.trusts import Trust
from kilostack.identity.model.users import User
from kilostack.identity.store.oauth1 import ACCESS_TOKENS
from kilostack.identity.store.projects import DOMAINS
from kilostack.identity.store.roles import implied_roles
from kilostack.identity.store.users import USERS
from kilostack.store.database import Tx

_replace = msgspec.structs.replace


def check_may_rescope(parent: Claims, scope: Scope | None) -> None:
    """Raise `Forbidden` unless another token may be made from `parent`: nobody gets out of what they were let into."""
    if parent.access_token_id:
        raise forbidden("Using OAuth-scoped token to create another token. Create a new OAuth-scoped token instead")
    if parent.trust is not None:
        raise forbidden("Using trust-scoped token to create another token. Create a new trust-scoped token instead")
    if parent.system and scope is not None and (scope.project is not None or scope.domain is not None):
        raise forbidden("Using a system-scoped token to create a project-scoped or domain-scoped token is not allowed.")
    if is_delegated(parent):
        raise forbidden("Using a delegated token to create another token is not allowed.")


async def on_trust(tx: Tx, claims: Claims, trust_id: str) -> Claims:
    """The claims of a trustee with the roles of their trustor.

    Raises `Unauthenticated` when there is no such trust, `Forbidden` when it is not theirs or does not hold any more.
    """
    try:
        chain = await usable_chain(tx, trust_id, claims.issued_at)
    except NotFound:
        raise Unauthenticated(REJECTED) from None
    trust = chain[0]
    if trust.project_id is None:
        raise NotFound("Could not find project: None.")
    scoped = await with_project(tx, claims, Named(id=trust.project_id))
    if claims.user_id != trust.trustee_user_id:
        raise _refused("User is not a trustee")
    trustor, domain = await _trustor(tx, trust)
    agents = await USERS.within(tx, "id", _agents(chain))
    made = _replace(
        scoped,
        expires_at=claims.expires_at if trust.expires_at is None else min(claims.expires_at, trust.expires_at),
        roles=await _roles(tx, chain),
        trust=TrustClaims(
            id=trust.id,
            trustor_id=trust.trustor_user_id,
            trustee_id=trust.trustee_user_id,
            impersonation=trust.impersonation,
            agent_ids=_agents(chain),
            domain_ids=tuple(sorted({domain.id, claims.user_domain_id, *(agent.domain_id for agent in agents)})),
        ),
    )
    if not trust.impersonation:
        return made
    return _replace(
        made,
        user_id=trustor.id,
        user_name=trustor.name,
        user_domain_id=domain.id,
        user_domain_name=domain.name,
        password_expires_at=trustor.password_expires_at,
        # whoever vouched for the trustee did not vouch for the trustor
        provider_id="",
        protocol_id="",
        group_ids=(),
    )


async def _trustor(tx: Tx, trust: Trust) -> tuple[User, Domain]:
    trustor = await USERS.find(tx, id=trust.trustor_user_id)
    domain = None if trustor is None else await DOMAINS.find(tx, id=trustor.domain_id)
    if trustor is None or domain is None:
        raise Unauthenticated(REJECTED)
    if not domain.enabled:
        raise NotFound("Trustor domain is disabled.")
    if not trustor.enabled:
        raise _refused("Trustor is disabled")
    return trustor, domain


async def _roles(tx: Tx, chain: list[Trust]) -> tuple[tuple[str, str], ...]:
    """The roles of the newest trust, every one of which its trustor and the first of the chain must still have."""
    trust = chain[0]
    wanted = closure(trust.role_ids, await implied_roles(tx))
    found: list[Role] = []
    for user_id in sorted({trust.trustor_user_id, chain[-1].trustor_user_id}):
        place = Place("project", trust.project_id or "")
        found = await effective_roles(tx, user_id, place, with_domain_roles=True)
        if not wanted or not wanted.issubset({role.id for role in found}):
            raise _refused("Trustee has no delegated roles")
    return tuple((role.id, role.name) for role in found if role.id in wanted and not role.domain_id)


def _agents(chain: list[Trust]) -> tuple[str, ...]:
    """Users without whom the trusts that the first one hands on do not hold."""
    known = {chain[0].trustor_user_id, chain[0].trustee_user_id}
    users = {user_id for trust in chain[1:] for user_id in (trust.trustor_user_id, trust.trustee_user_id)}
    return tuple(sorted(users - known))


def _refused(why: str) -> Forbidden:
    return Forbidden(f"You are not authorized to perform the requested action. {why}.")


async def on_access_token(tx: Tx, claims: Claims, access_token_id: str) -> Claims:
    """The claims of a consumer of OAuth 1: the user who let it in, with the roles that they chose and still have.

    Raises `Unauthenticated`.
    """
    token = await ACCESS_TOKENS.find(tx, id=access_token_id)
    if token is None or token.authorizing_user_id != claims.user_id or token.is_expired(claims.issued_at):
        raise Unauthenticated(REJECTED)
    scoped = await with_project(tx, claims, Named(id=token.project_id))
    given = closure(token.role_ids, await implied_roles(tx))
    held = await effective_roles(tx, claims.user_id, Place("project", token.project_id))
    roles = tuple((role.id, role.name) for role in held if role.id in given)
    if not roles:
        raise Unauthenticated(REJECTED)
    return _replace(
        scoped,
        expires_at=min(claims.expires_at, token.expires_at),
        roles=roles,
        consumer_id=token.consumer_id,
        access_token_id=token.id,
    )
