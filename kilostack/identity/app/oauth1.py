"""OAuth 1.0a: consumers, what they ask for, and what users grant them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, Forbidden, NotFound, Unauthenticated
from kilostack.core.token import Claims, access_token_subject, consumer_subject
from kilostack.identity.app.assignments import effective_roles
from kilostack.identity.app.delegation import is_delegated
from kilostack.identity.app.documents import check_own_id, extra
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.proof import REJECTED
from kilostack.identity.app.resources import Resources
from kilostack.identity.app.role_names import role_ids
from kilostack.identity.model.assignments import Place
from kilostack.identity.model.oauth1 import (
    ACCESS_LIFE,
    REQUEST_LIFE,
    VERIFIER_LENGTH,
    AccessToken,
    Consumer,
    RequestToken,
    is_verifier,
    verifier_of,
)
from kilostack.identity.model.oauth1_signatures import SignedRequest, Unsigned
from kilostack.identity.model.roles import Role
from kilostack.identity.store import tokens as store_tokens
from kilostack.identity.store.oauth1 import (
    ACCESS_TOKEN_LIST,
    ACCESS_TOKENS,
    CONSUMER_LIST,
    CONSUMERS,
    REQUEST_TOKENS,
    remove_grants,
)
from kilostack.identity.store.projects import PROJECTS
from kilostack.identity.store.roles import ROLES
from kilostack.store.database import Tx
from kilostack.store.lists import Ask, Where

PURPOSE = "oauth1 secret"
_SECRET_BYTES = 16
_replace = msgspec.structs.replace


class Secrets:
    """Secrets of OAuth 1, which must be read again to check a signature."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def new(self) -> str:
        """A sealed secret."""
        return self._ground.vault.seal(PURPOSE, self._ground.entropy(_SECRET_BYTES).hex().encode())

    def opened(self, sealed: str) -> str:
        return self._ground.vault.open(PURPOSE, sealed).decode()


class Consumers(Resources[Consumer]):
    """Programs that may ask users to be let in. All that they were granted goes with them."""

    singular, plural = "consumer", "consumers"
    records, collection = CONSUMERS, CONSUMER_LIST
    _known = frozenset({"id", "description", "secret", "links"})

    def made(self, ctx: Context, document: dict[str, Any]) -> Consumer:
        return Consumer(
            id=self.ground.new_id(),
            secret_sealed=Secrets(self.ground).new(),
            description=document.get("description"),
            extra=extra({}, document, self._known),
        )

    def changed(self, record: Consumer, document: dict[str, Any]) -> Consumer:
        check_own_id(record.id, document)
        return _replace(
            record,
            description=document.get("description", record.description),
            extra=extra(record.extra, document, self._known),
        )

    async def cascade(self, tx: Tx, record: Consumer) -> Iterable[str]:
        await remove_grants(tx, "consumer_id", [record.id])
        return (consumer_subject(record.id),)

    def missing(self, record_id: str) -> NotFound:
        return NotFound("Consumer not found")


class Granted(msgspec.Struct, frozen=True):
    """What a consumer is answered: a token, its secret, and when it ends."""

    id: str
    secret: str
    expires_at: int


class Handshake:
    """How a consumer is let in: it asks, a user grants, it fetches what it was granted."""

    def __init__(self, ground: Ground) -> None:
        self._ground, self._secrets = ground, Secrets(ground)

    async def ask(self, signed: SignedRequest, project_id: str) -> Granted:
        """A request token. Raises `NotFound` for an unknown consumer or project, `Unauthenticated` for a signature."""

        async def facts(tx: Tx) -> Consumer:
            if await PROJECTS.find(tx, id=project_id) is None:
                raise NotFound(f"Could not find project: {project_id}.")
            consumer = await CONSUMERS.find(tx, id=signed.parameters["oauth_consumer_key"])
            if consumer is None:
                raise NotFound("Consumer not found")
            return consumer

        consumer = await self._ground.db.read(facts)
        self._check_form(signed)
        if not signed.parameters.get("oauth_callback"):
            raise _failed("Missing callback URI.")
        if not signed.is_signed_by(self._secrets.opened(consumer.secret_sealed)):
            raise Unauthenticated(REJECTED)
        token = RequestToken(
            id=self._ground.new_id(),
            consumer_id=consumer.id,
            project_id=project_id,
            secret_sealed=self._secrets.new(),
            expires_at=self._ground.world.now() + REQUEST_LIFE,
        )

        async def unit(tx: Tx) -> None:
            if await CONSUMERS.find(tx, id=consumer.id) is None:
                raise NotFound("Consumer not found")
            await REQUEST_TOKENS.insert(tx, token)

        await self._ground.db.write(unit)
        return Granted(token.id, self._secrets.opened(token.secret_sealed), token.expires_at)

    async def grant(self, ctx: Context, claims: Claims, token_id: str, roles: tuple[tuple[str, str], ...]) -> str:
        """Let the consumer of a request token have some of the caller's roles; the verifier to tell it.

        Roles are (id, name) pairs of which one is empty. Raises `Unauthenticated` for a role that the caller lacks.
        """
        self._ground.access.check(ctx, "authorize_request_token", {})
        if is_delegated(claims):
            raise Forbidden("Cannot authorize a request token with a token issued via delegation.")
        verifier = verifier_of(self._ground.entropy(2 * VERIFIER_LENGTH))
        now = self._ground.world.now()

        async def unit(tx: Tx) -> None:
            token = await self._wish(tx, token_id, now)
            ids = await role_ids(tx, roles)
            held = await effective_roles(tx, claims.user_id, Place("project", token.project_id))
            if not {role.id for role in held}.issuperset(ids):
                raise Unauthenticated(REJECTED)
            granted = _replace(token, authorizing_user_id=claims.user_id, verifier=verifier, role_ids=tuple(ids))
            await REQUEST_TOKENS.update(tx, granted)

        await self._ground.db.write(unit)
        return verifier

    async def fetch(self, signed: SignedRequest) -> Granted:
        """The access token for a request token that was granted; the latter is used up."""
        shown = signed.parameters
        now = self._ground.world.now()
        token = await self._ground.db.read(lambda tx: self._wish(tx, shown["oauth_token"], now))
        self._check_form(signed)
        if not is_verifier(shown["oauth_verifier"]):
            raise _failed("Invalid verifier format.")
        consumer = await self._ground.db.read(lambda tx: CONSUMERS.find(tx, id=token.consumer_id))
        if consumer is None or consumer.id != shown["oauth_consumer_key"] or token.verifier != shown["oauth_verifier"]:
            raise Unauthenticated(REJECTED)
        opened = self._secrets.opened
        if not signed.is_signed_by(opened(consumer.secret_sealed), opened(token.secret_sealed)):
            raise Unauthenticated(REJECTED)
        made_id, secret = self._ground.new_id(), self._secrets.new()

        async def unit(tx: Tx) -> AccessToken:
            current = await self._wish(tx, token.id, now)
            if current != token or current.authorizing_user_id is None:
                raise Unauthenticated(REJECTED)
            made = AccessToken(
                id=made_id,
                consumer_id=current.consumer_id,
                authorizing_user_id=current.authorizing_user_id,
                project_id=current.project_id,
                secret_sealed=secret,
                expires_at=now + ACCESS_LIFE,
                role_ids=current.role_ids,
            )
            if not await REQUEST_TOKENS.delete(tx, id=current.id):
                raise NotFound("Request token not found")
            await ACCESS_TOKENS.insert(tx, made)
            return made

        made = await self._ground.db.write(unit)
        return Granted(made.id, opened(made.secret_sealed), made.expires_at)

    async def _wish(self, tx: Tx, token_id: str, now: int) -> RequestToken:
        token = await REQUEST_TOKENS.find(tx, id=token_id)
        if token is None:
            raise NotFound("Request token not found")
        if token.is_expired(now):
            raise Unauthenticated(REJECTED)
        return token

    def _check_form(self, signed: SignedRequest) -> None:
        try:
            signed.check_form(self._ground.world.now() // 1_000_000)
        except Unsigned as error:
            raise _failed(f"{error}.") from None


class AccessTokens:
    """What users have granted, for them to look at and to take back."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def page(self, ctx: Context, claims: Claims, user_id: str, ask: Ask) -> list[AccessToken]:
        self._ground.access.check(ctx, "list_access_tokens", {"user": {"id": user_id}})
        _check_not_delegated(claims)
        of_user = Where("authorizing_user_id", (user_id,))
        wanted = _replace(ask, where=(*ask.where, of_user))
        return await self._ground.db.read(lambda tx: ACCESS_TOKEN_LIST.page(tx, wanted))

    async def show(self, ctx: Context, claims: Claims, user_id: str, token_id: str) -> AccessToken:
        self._ground.access.check(ctx, "get_access_token", {"user": {"id": user_id}})
        _check_not_delegated(claims)
        return await self._ground.db.read(lambda tx: self._found(tx, user_id, token_id))

    async def roles(self, ctx: Context, user_id: str, token_id: str) -> list[Role]:
        self._ground.access.check(ctx, "list_access_token_roles", {"user": {"id": user_id}})

        async def unit(tx: Tx) -> list[Role]:
            token = await self._found(tx, user_id, token_id)
            return sorted(await ROLES.within(tx, "id", token.role_ids), key=lambda role: role.name)

        return await self._ground.db.read(unit)

    async def role(self, ctx: Context, user_id: str, token_id: str, role_id: str) -> Role:
        self._ground.access.check(ctx, "get_access_token_role", {"user": {"id": user_id}})

        async def unit(tx: Tx) -> Role:
            token = await _theirs(tx, user_id, token_id)
            role = await ROLES.find(tx, id=role_id)
            if role is None or role_id not in token.role_ids:
                raise NotFound(f"Could not find role: {role_id}.")
            return role

        return await self._ground.db.read(unit)

    async def delete(self, ctx: Context, claims: Claims, user_id: str, token_id: str) -> None:
        """Shuts the consumer out, and ends the tokens that it got."""
        self._ground.access.check(ctx, "delete_access_token", {"user": {"id": user_id}})
        _check_not_delegated(claims)
        until = self._ground.until()

        async def unit(tx: Tx) -> None:
            await _theirs(tx, user_id, token_id)
            await ACCESS_TOKENS.delete(tx, id=token_id)
            await store_tokens.revoke(tx, [access_token_subject(token_id)], until)

        await self._ground.db.write(unit)

    async def _found(self, tx: Tx, user_id: str, token_id: str) -> AccessToken:
        token = await ACCESS_TOKENS.find(tx, id=token_id)
        if token is None or token.authorizing_user_id != user_id:
            raise NotFound("Access token not found")
        return token


async def _theirs(tx: Tx, user_id: str, token_id: str) -> AccessToken:
    """An access token. Raises `Unauthenticated` for that of another user, as upstream does here."""
    token = await ACCESS_TOKENS.find(tx, id=token_id)
    if token is None:
        raise NotFound("Access token not found")
    if token.authorizing_user_id != user_id:
        raise Unauthenticated(REJECTED)
    return token


def _check_not_delegated(claims: Claims) -> None:
    if is_delegated(claims):
        raise Forbidden("Cannot manage OAuth access tokens with a token issued via delegation.")


def _failed(why: str) -> BadRequest:
    return BadRequest(f"Validation failed with errors: invalid_request, detail message is: {why}")
