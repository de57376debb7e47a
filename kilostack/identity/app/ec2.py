"""Key pairs of EC2: credentials made and named by identity, below the path of their user."""

from __future__ import annotations

from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import NotFound, Unauthenticated
from kilostack.core.token import Claims
from kilostack.identity.app.credentials import Credentials, Opened, missing, target
from kilostack.identity.app.delegation import check_may_use_credentials
from kilostack.identity.app.ground import Ground
from kilostack.identity.model.credentials import EC2_TYPE, Credential, KeyPair, ec2_id
from kilostack.identity.store.credentials import CREDENTIALS
from kilostack.identity.store.projects import PROJECTS
from kilostack.identity.store.users import USERS
from kilostack.store.database import Tx


class KeyPairs:
    """What callers may do to the key pairs of a user."""

    def __init__(self, ground: Ground, credentials: Credentials) -> None:
        self._ground, self._credentials = ground, credentials

    async def create(self, ctx: Context, claims: Claims, user_id: str, project_id: Any) -> Opened:
        ground = self._ground
        ground.access.check(ctx, "ec2_create_credential", {"credential": {"user_id": user_id}})

        async def unit(tx: Tx) -> None:
            await _check_user(tx, user_id)
            if not isinstance(project_id, str) or await PROJECTS.find(tx, id=project_id) is None:
                raise NotFound(f"Could not find project: {project_id}.")

        await ground.db.read(unit)
        check_may_use_credentials(claims)
        pair = KeyPair(access=ground.entropy(16).hex(), secret=ground.entropy(16).hex())
        blob = msgspec.json.encode({"access": pair.access, "secret": pair.secret, "trust_id": None}).decode()
        record = Credential(
            id=ec2_id(pair.access),
            user_id=user_id,
            project_id=project_id,
            type=EC2_TYPE,
            blob_sealed=self._credentials.sealed(blob),
        )
        await self._credentials.insert(record)
        return Opened(record, blob)

    async def page(self, ctx: Context, claims: Claims, user_id: str) -> list[Opened]:
        self._ground.access.check(ctx, "ec2_list_credentials", {"user": {"id": user_id}})
        check_may_use_credentials(claims)

        async def unit(tx: Tx) -> list[Credential]:
            await _check_user(tx, user_id)
            return await CREDENTIALS.where(tx, user_id=user_id, type=EC2_TYPE)

        return [self._credentials.opened(record) for record in await self._ground.db.read(unit)]

    async def show(self, ctx: Context, claims: Claims, user_id: str, access: str) -> Opened:
        async def unit(tx: Tx) -> Credential:
            return await self._found(tx, ctx, claims, ("get", user_id, access))

        return self._credentials.opened(await self._ground.db.read(unit))

    async def delete(self, ctx: Context, claims: Claims, user_id: str, access: str) -> None:
        async def unit(tx: Tx) -> None:
            record = await self._found(tx, ctx, claims, ("delete", user_id, access))
            await CREDENTIALS.delete(tx, id=record.id)

        await self._ground.db.write(unit)

    async def _found(self, tx: Tx, ctx: Context, claims: Claims, wanted: tuple[str, str, str]) -> Credential:
        """Whose it is decides, not whose path it was asked by."""
        verb, user_id, access = wanted
        record = await CREDENTIALS.find(tx, id=ec2_id(access))
        if record is None:
            raise missing(ec2_id(access))
        self._ground.access.check(ctx, f"ec2_{verb}_credential", target(record))
        await _check_user(tx, user_id)
        if record.type != EC2_TYPE:
            raise Unauthenticated("EC2 access key not found.")
        check_may_use_credentials(claims)
        return record


async def _check_user(tx: Tx, user_id: str) -> None:
    if await USERS.find(tx, id=user_id) is None:
        raise NotFound(f"Could not find user: {user_id}.")
