"""Credentials: kept sealed, shown to their owner and to administrators alone, never to a delegated token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, Conflict, Duplicate, NotFound
from kilostack.core.token import Claims
from kilostack.identity.app.delegation import check_may_use_credentials, is_delegated
from kilostack.identity.app.ground import Ground
from kilostack.identity.model.credentials import Credential, check_same_scope, checked_blob, ec2_id, is_ec2
from kilostack.identity.store.credentials import CREDENTIAL_LIST, CREDENTIALS
from kilostack.store.database import Tx
from kilostack.store.lists import Ask, Where

PURPOSE = "credential"

_KNOWN = frozenset({"id", "user_id", "project_id", "type", "blob", "links"})


class Opened(msgspec.Struct, frozen=True):
    """A credential and its secret."""

    record: Credential
    blob: str


class Credentials:
    """What callers may do to credentials; `claims` are those of the token that they came with."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def opened(self, record: Credential) -> Opened:
        return Opened(record, self._ground.vault.open(PURPOSE, record.blob_sealed).decode())

    def sealed(self, blob: str) -> str:
        return self._ground.vault.seal(PURPOSE, blob.encode("utf-8", "replace"))

    async def create(self, ctx: Context, claims: Claims, document: dict[str, Any]) -> Opened:
        self._ground.access.check(ctx, "create_credential", {"credential": _public(document)})
        check_may_use_credentials(claims)
        blob = document["blob"]
        made_id = ec2_id(checked_blob(blob)["access"]) if is_ec2(document["type"]) else self._ground.new_id()
        record = Credential(
            id=made_id,
            user_id=document["user_id"],
            project_id=document.get("project_id"),
            type=document["type"],
            blob_sealed=self.sealed(blob),
            extra={name: value for name, value in document.items() if name not in _KNOWN},
        )
        await self.insert(record)
        return Opened(record, blob)

    async def insert(self, record: Credential) -> None:
        try:
            await self._ground.db.write(lambda tx: CREDENTIALS.insert(tx, record))
        except Duplicate:
            raise Conflict(
                f"Conflict occurred attempting to store credential - Duplicate entry found with ID {record.id}."
            ) from None

    async def show(self, ctx: Context, claims: Claims, credential_id: str) -> Opened:
        record = await self._ground.db.read(lambda tx: self._found(tx, ctx, claims, ("get", credential_id)))
        return self.opened(record)

    async def page(self, ctx: Context, claims: Claims, ask: Ask) -> list[Opened]:
        """One page of those that the caller may read: a delegated token reads none."""
        access, own = self._ground.access, {"credential": {"user_id": ctx.user_id}}
        access.check(ctx, "list_credentials", {} if ctx.system else own)
        if is_delegated(claims):
            return []
        if not access.allows(ctx, "get_credential", {}):
            ask = msgspec.structs.replace(ask, where=(*ask.where, Where("user_id", (ctx.user_id,))))
        found = await self._ground.db.read(lambda tx: CREDENTIAL_LIST.page(tx, ask))
        return [self.opened(record) for record in found]

    async def update(self, ctx: Context, claims: Claims, credential_id: str, document: dict[str, Any]) -> Opened:
        """Another secret, type, project or owner; whoever hands it over must have a say about both owners."""

        async def unit(tx: Tx) -> Credential:
            old = await self._found(tx, ctx, claims, ("update", credential_id))
            fields = {name: document[name] for name in ("type", "user_id", "project_id") if name in document}
            new = msgspec.structs.replace(old, **fields)
            self._ground.access.check(ctx, "update_credential", target(new))
            if is_ec2(old.type) != is_ec2(new.type):
                # those are found by their access key, others by an id that was made up for them
                raise BadRequest("A credential neither becomes one of type ec2 nor stops being one.", field="type")
            if is_ec2(new.type) and new.project_id is None:
                raise BadRequest("A credential of type ec2 needs a project_id.", field="project_id")
            return await CREDENTIALS.update(tx, self._resealed(old, new, document.get("blob")))

        return self.opened(await self._ground.db.write(unit))

    def _resealed(self, old: Credential, new: Credential, blob: str | None) -> Credential:
        """With another secret, if there is one; a passcode that was taken says nothing about the new seed."""
        if blob is None:
            return new
        if is_ec2(old.type):
            check_same_scope(checked_blob(self.opened(old).blob), checked_blob(blob))
        return msgspec.structs.replace(new, blob_sealed=self.sealed(blob), used_step=None)

    async def delete(self, ctx: Context, claims: Claims, credential_id: str) -> None:
        async def unit(tx: Tx) -> None:
            await self._found(tx, ctx, claims, ("delete", credential_id))
            await CREDENTIALS.delete(tx, id=credential_id)

        await self._ground.db.write(unit)

    async def _found(self, tx: Tx, ctx: Context, claims: Claims, wanted: tuple[str, str]) -> Credential:
        verb, credential_id = wanted
        record = await CREDENTIALS.find(tx, id=credential_id)
        self._ground.access.check(ctx, f"{verb}_credential", {} if record is None else target(record))
        if record is None:
            raise missing(credential_id)
        check_may_use_credentials(claims)
        return record


def target(record: Credential) -> Mapping[str, Any]:
    """The credential as policies see it."""
    shown = {name: getattr(record, name) for name in ("id", "user_id", "project_id", "type")}
    return {"credential": record.extra | shown}


def missing(credential_id: str) -> NotFound:
    return NotFound(f"Could not find credential: {credential_id}.")


def _public(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "blob"}
