"""Tokens for requests that a key pair has signed: services of EC2 and S3 have signatures checked here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import NotFound, Unauthenticated
from kilostack.identity.app.credentials import Credentials
from kilostack.identity.app.delegation import EC2
from kilostack.identity.app.ground import Ground
from kilostack.identity.app.proof import REJECTED, Named, Proof, Scope
from kilostack.identity.app.tokens import Issued, Tokens
from kilostack.identity.model.credentials import EC2_TYPE, Credential, KeyPair, ec2_id, key_pair
from kilostack.identity.model.ec2_signatures import BadSignature, Signed, fits, fits_s3, signed_at
from kilostack.identity.model.times import micros_of
from kilostack.identity.store.credentials import CREDENTIALS
from kilostack.identity.store.projects import PROJECTS
from kilostack.identity.store.trusts import TRUSTS
from kilostack.store.database import Tx

#: how old a signature may be, in microseconds
_LATEST = 15 * 60 * 1_000_000


class SignedRequests:
    """Turns a signature into a token of the user whose key pair fits it."""

    def __init__(self, ground: Ground, credentials: Credentials, tokens: Tokens) -> None:
        self._ground, self._credentials, self._tokens = ground, credentials, tokens

    async def ec2(self, ctx: Context, shown: Mapping[str, Any]) -> Issued:
        """Raises `Unauthenticated`, or `NotFound` for an access key that is not known."""
        self._ground.access.check(ctx, "ec2tokens_validate", {})
        return await self._issue(shown, fits)

    async def s3(self, ctx: Context, shown: Mapping[str, Any]) -> Issued:
        """As `ec2`, for the form in which gateways of S3 ask."""
        self._ground.access.check(ctx, "s3tokens_validate", {})
        return await self._issue(shown, lambda secret, one: fits_s3(secret, one.token or "", one.signature))

    async def _issue(self, shown: Mapping[str, Any], check: Callable[[str, Signed], bool]) -> Issued:
        if not shown.get("signature") or not isinstance(shown.get("access"), str):
            raise Unauthenticated("EC2 signature not supplied.")
        record, pair = await self._pair(shown["access"])
        try:
            signed = msgspec.convert(shown, Signed)
            right = check(pair.secret or "", signed) and bool(pair.secret)
            when = signed_at(signed)
        except (BadSignature, msgspec.ValidationError, UnicodeError):
            right, when = False, None
        if not right:
            raise Unauthenticated("Invalid EC2 signature.")
        await self._ground.db.read(lambda tx: _check_project(tx, record.project_id))
        self._check_time(when)
        return await self._token(record, pair)

    async def _pair(self, access: str) -> tuple[Credential, KeyPair]:
        record = await self._ground.db.read(lambda tx: CREDENTIALS.find(tx, id=ec2_id(access)))
        pair = None
        if record is not None and record.type == EC2_TYPE:
            pair = key_pair(self._credentials.opened(record).blob)
        if record is None or pair is None:
            raise NotFound("EC2 access key not found.")
        return record, pair

    def _check_time(self, text: str | None) -> None:
        if text is None:
            return
        try:
            when = micros_of(text)
        except ValueError:
            raise Unauthenticated("Credential timestamp is invalid.") from None
        if self._ground.world.now() - when > _LATEST:
            raise Unauthenticated("Credential is expired.")

    async def _token(self, record: Credential, pair: KeyPair) -> Issued:
        """What the pair was made with bounds the token, too."""
        proof, scope = Proof(methods=(EC2,), user_id=record.user_id), None
        if pair.trust_id:
            trustee_id = await self._trustee(record.user_id, pair.trust_id)
            proof, scope = msgspec.structs.replace(proof, user_id=trustee_id), Scope(trust_id=pair.trust_id)
        elif pair.app_cred_id:
            proof = msgspec.structs.replace(proof, credential_id=pair.app_cred_id)
        elif pair.access_token_id:
            proof = msgspec.structs.replace(proof, access_token_id=pair.access_token_id)
        else:
            scope = Scope(project=Named(id=record.project_id))
        issued = await self._tokens.issue(proof, scope)
        if issued.claims.project_id != record.project_id:
            raise Unauthenticated(REJECTED)
        return issued

    async def _trustee(self, user_id: str, trust_id: str) -> str:
        """Whom a trust lets in: its trustee, whose pair it is, or for whom its trustor has made one."""
        trust = await self._ground.db.read(lambda tx: TRUSTS.find(tx, id=trust_id))
        if trust is not None and user_id == trust.trustee_user_id:
            return user_id
        if trust is not None and user_id == trust.trustor_user_id and trust.impersonation:
            return trust.trustee_user_id
        raise Unauthenticated(REJECTED)


async def _check_project(tx: Tx, project_id: str | None) -> None:
    if project_id is None or await PROJECTS.find(tx, id=project_id) is None:
        raise NotFound(f"Could not find project: {project_id}.")
