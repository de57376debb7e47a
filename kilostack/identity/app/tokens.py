"""Making, reading and revoking tokens: from a proof of who somebody is to what they may act on."""

from __future__ import annotations

import base64
from contextlib import suppress

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import NotFound, Unauthenticated
from kilostack.core.token import BadToken, Claims, audit_subject, chain_subject, domain_subject, user_subject
from kilostack.identity.app.assignments import effective_roles
from kilostack.identity.app.delegated_scopes import check_may_rescope, on_access_token, on_trust
from kilostack.identity.app.delegation import EC2
from kilostack.identity.app.federation_rescoping import vouched, vouching
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.project_scope import with_project
from kilostack.identity.app.proof import REJECTED, DomainName, Named, Proof, Scope, found_domain
from kilostack.identity.app.receipts import UNKNOWN, check_factors
from kilostack.identity.app.signing import Signing
from kilostack.identity.model.application_credentials import ApplicationCredential
from kilostack.identity.model.assignments import Place
from kilostack.identity.model.passwords import is_enabled
from kilostack.identity.model.roles import closure
from kilostack.identity.model.users import User
from kilostack.identity.store import tokens as store_tokens
from kilostack.identity.store.access_rules import access_rules
from kilostack.identity.store.application_credentials import APPLICATION_CREDENTIALS
from kilostack.identity.store.projects import DOMAINS
from kilostack.identity.store.roles import implied_roles
from kilostack.identity.store.trusts import TRUSTS, use
from kilostack.identity.store.users import USERS
from kilostack.store.database import Tx

CREDENTIAL_PURPOSE = "application credential"
_INVALID = "Failed to validate token"

_replace = msgspec.structs.replace


class Issued(msgspec.Struct, frozen=True):
    text: str
    claims: Claims


class Tokens:
    """The life of tokens. Facts and the feed's number are read together, so no revocation falls between them."""

    def __init__(self, ground: Ground, signing: Signing) -> None:
        self._ground, self._signing = ground, signing

    async def issue(self, proof: Proof, scope: Scope | None) -> Issued:
        """A token for `scope`; None asks for the user's default project, if they have one and may use it.

        Raises `Unauthenticated`, whatever it was that did not fit.
        """
        now = self._ground.world.now()
        audit_id = base64.urlsafe_b64encode(self._ground.entropy(16)).decode().rstrip("=")
        parent = proof.parent
        base = Claims(
            number=0,
            issued_at=now,
            expires_at=now + self._ground.token_life if parent is None else parent.expires_at,
            audit_ids=(audit_id,) if parent is None else (audit_id, parent.audit_ids[-1]),
            methods=proof.methods,
            user_id=proof.user_id,
            user_name="",
            user_domain_id="",
            user_domain_name="",
        )
        claims = await self._ground.db.read(lambda tx: self._claims(tx, base, proof, scope))
        if claims.trust is not None:
            await self._use(claims.trust.id)
        return Issued(await self._signing.sign(claims), claims)

    async def _use(self, trust_id: str) -> None:
        """Count a use of a trust, if it has only so many. Raises `Unauthenticated` when others took the last one."""
        trust = await self._ground.db.read(lambda tx: TRUSTS.find(tx, id=trust_id))
        if trust is not None and trust.remaining_uses is None:
            return
        if not await self._ground.db.write(lambda tx: use(tx, trust_id)):
            raise Unauthenticated(REJECTED)

    async def _claims(self, tx: Tx, base: Claims, proof: Proof, scope: Scope | None) -> Claims:
        number = await store_tokens.number(tx)
        user = await USERS.find(tx, id=proof.user_id)
        domain = None if user is None else await DOMAINS.find(tx, id=user.domain_id)
        rules = self._ground.settings.passwords
        if user is None or domain is None or not is_enabled(rules, user, base.issued_at) or not domain.enabled:
            raise Unauthenticated(REJECTED)
        if proof.password_hash is not None and proof.password_hash != user.password_hash:
            raise Unauthenticated(REJECTED)
        if proof.receipt is not None and await store_tokens.is_void(
            tx, (user_subject(user.id), domain_subject(domain.id)), proof.receipt.number
        ):
            raise Unauthenticated(UNKNOWN)
        check_factors(user, domain, number, proof)
        claims = _replace(
            base,
            number=number,
            user_name=user.name,
            user_domain_id=domain.id,
            user_domain_name=domain.name,
            password_expires_at=user.password_expires_at,
        )
        claims = await vouched(tx, claims, proof, self._ground.settings.authorization_ttl_min)
        if proof.credential_id:
            return await self._of_credential(tx, claims, proof, scope)
        if proof.access_token_id:
            return await on_access_token(tx, claims, proof.access_token_id)
        if proof.parent is not None:
            if await store_tokens.is_void(tx, proof.parent.subjects(), proof.parent.number):
                raise NotFound(_INVALID)
            check_may_rescope(proof.parent, scope)
        return await _scoped(tx, claims, user, scope)

    async def _of_credential(self, tx: Tx, claims: Claims, proof: Proof, scope: Scope | None) -> Claims:
        credential = await APPLICATION_CREDENTIALS.find(tx, id=proof.credential_id)
        if scope is not None or credential is None or credential.user_id != claims.user_id:
            raise Unauthenticated(REJECTED)
        # a key pair that was made with the credential stands for its secret
        if EC2 not in proof.methods and not self._ground.vault.recognizes(
            CREDENTIAL_PURPOSE, proof.credential_secret, credential.secret_hash
        ):
            raise Unauthenticated(REJECTED)
        return await _with_credential(tx, claims, credential)

    async def caller(self, token: str | None) -> Claims:
        """The claims of the token with which a request came (it has been verified before)."""
        try:
            return await self._signing.read(token or "")
        except BadToken:
            raise Unauthenticated(REJECTED) from None

    async def parent(self, token: str) -> Claims:
        """A token from which another one is to be made. Raises `NotFound` for one that does not hold (any more)."""
        await self._check_vouched(token)
        return await self._held(token, late=False)

    async def _check_vouched(self, token: str) -> None:
        """Say of a user from elsewhere why nobody vouches for them any more, which ended their token, too."""
        with suppress(BadToken):
            claims = await self._signing.read(token)
            if claims.provider_id:
                await self._ground.db.read(lambda tx: vouching(tx, claims.provider_id, claims.protocol_id))

    async def look(self, ctx: Context, action: str, token: str | None, *, late: bool = False) -> Claims:
        """What a token says, for whoever may `action` it. Raises `NotFound` for one that does not hold (any more)."""
        if token is None:
            # without a token there is no owner of it
            self._ground.access.check(ctx, action, {})
        # before policy: to learn that a token is void is nobody's harm
        claims = await self._held(token, late=late)
        owner_id = claims.user_id if claims.trust is None else claims.trust.trustee_id
        self._ground.access.check(ctx, action, {"token": {"user_id": owner_id}})
        return claims

    async def _held(self, token: str | None, *, late: bool) -> Claims:
        if not token:
            raise NotFound("No token in the request")
        try:
            claims = await self._signing.read(token)
        except BadToken:
            raise NotFound(_INVALID) from None
        if claims.expires_at + (store_tokens.LATE if late else 0) <= self._ground.world.now():
            raise NotFound(_INVALID)
        if await self._ground.db.read(lambda tx: store_tokens.is_void(tx, claims.subjects(), claims.number)):
            raise NotFound(_INVALID)
        return claims

    async def revoke(self, ctx: Context, token: str | None, *, cascade: bool = True) -> None:
        """End one token, and with `cascade` all that were made from it if it is the first of its chain."""
        claims = await self.look(ctx, "revoke_token", token)
        audit_id = claims.audit_ids[0]
        subjects = [audit_subject(audit_id), *([chain_subject(audit_id)] if cascade else [])]
        until = self._ground.until()
        await self._ground.db.write(lambda tx: store_tokens.revoke(tx, subjects, until))

    async def revoke_of_user(self, ctx: Context, user_id: str) -> None:
        """End all tokens of a user, who may do it, too."""
        until = self._ground.until()

        async def unit(tx: Tx) -> None:
            user = await USERS.find(tx, id=user_id)
            target = {} if user is None else {"user": {"id": user.id, "domain_id": user.domain_id}}
            self._ground.access.check(ctx, "revoke_tokens_for_user", target)
            if user is None:
                raise NotFound(f"Could not find user: {user_id}.")
            await store_tokens.revoke(tx, [user_subject(user_id)], until)

        await self._ground.db.write(unit)


async def _scoped(tx: Tx, claims: Claims, user: User, scope: Scope | None) -> Claims:
    if scope is None:
        # who comes from elsewhere chooses where to go, as upstream has it
        if user.default_project_id is None or claims.provider_id:
            return claims
        try:
            return await _on_project(tx, claims, Named(id=user.default_project_id))
        except Unauthenticated:
            return claims
    if scope.project is not None:
        return await _on_project(tx, claims, scope.project)
    if scope.domain is not None:
        return await _on_domain(tx, claims, scope.domain)
    if scope.trust_id:
        return await on_trust(tx, claims, scope.trust_id)
    if scope.system:
        return _replace(claims, system=True, roles=await roles_on(tx, claims, Place("system")))
    return claims


async def _on_project(tx: Tx, claims: Claims, wanted: Named) -> Claims:
    scoped = await with_project(tx, claims, wanted)
    return _replace(scoped, roles=await roles_on(tx, claims, Place("project", scoped.project_id)))


async def _on_domain(tx: Tx, claims: Claims, wanted: DomainName) -> Claims:
    domain = await found_domain(tx, wanted, "scope")
    if domain is None or not domain.enabled:
        raise Unauthenticated(REJECTED)
    roles = await roles_on(tx, claims, Place("domain", domain.id))
    return _replace(claims, domain_id=domain.id, domain_name=domain.name, roles=roles)


async def _with_credential(tx: Tx, claims: Claims, credential: ApplicationCredential) -> Claims:
    if credential.expires_at is not None:
        if credential.expires_at <= claims.issued_at:
            raise Unauthenticated(REJECTED)
        claims = _replace(claims, expires_at=min(claims.expires_at, credential.expires_at))
    scoped = await _on_project(tx, claims, Named(id=credential.project_id))
    given = closure(credential.role_ids, await implied_roles(tx))
    roles = tuple((role_id, name) for role_id, name in scoped.roles if role_id in given)
    if not roles:
        raise Unauthenticated(REJECTED)
    (rules,) = await access_rules(tx, [credential.access_rule_ids])
    return _replace(
        scoped,
        roles=roles,
        credential_id=credential.id,
        credential_name=credential.name,
        unrestricted=bool(credential.unrestricted),
        access_rules=rules,
    )


async def roles_on(tx: Tx, claims: Claims, place: Place) -> tuple[tuple[str, str], ...]:
    """All roles of a token's user on a place, as tokens hold them. Raises `Unauthenticated` for none."""
    roles = await effective_roles(tx, claims.user_id, place, claims.group_ids)
    if not roles:
        raise Unauthenticated(REJECTED)
    return tuple((role.id, role.name) for role in roles)
