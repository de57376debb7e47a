"""What all records of identity have in common: create, show, list, change and delete, with policy and revocation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from kilostack.core.context import Context
from kilostack.core.errors import BadRequest, Conflict, Duplicate, NotFound
from kilostack.identity.app.ground import Ground
from kilostack.identity.store import tokens
from kilostack.identity.store.tables.meta import FEED
from kilostack.store.database import Tx
from kilostack.store.lists import Ask, Collection, Where
from kilostack.store.records import Records

R = TypeVar("R", bound=msgspec.Struct)


class Resources(ABC, Generic[R]):
    """One kind of record. Subclasses say what a document means and what hangs on a record."""

    singular: ClassVar[str]
    plural: ClassVar[str]
    records: Records[R]
    collection: Collection[R]
    #: changes are told to whoever keeps a catalog
    in_catalog: ClassVar[bool] = False

    def __init__(self, ground: Ground) -> None:
        self.ground = ground

    async def prepared(self, document: dict[str, Any]) -> dict[str, Any]:
        """The document with everything done that takes long; called once, outside the unit of work."""
        return document

    @abstractmethod
    def made(self, ctx: Context, document: dict[str, Any]) -> R:
        """The new record that a checked document asks for."""

    @abstractmethod
    def changed(self, record: R, document: dict[str, Any]) -> R:
        """The record as a checked document wants it."""

    async def check(self, tx: Tx, record: R) -> None:
        """Raise unless what `record` refers to is there."""

    def voids(self, old: R, new: R) -> Iterable[str]:
        """Whose tokens end with this change."""
        return ()

    async def cascade(self, tx: Tx, record: R) -> Iterable[str]:
        """Remove what hangs on a record that is being deleted; whose tokens end."""
        return ()

    def duplicate(self, record: R) -> str:
        """What a client is told when the record's name is taken."""
        return f"Conflict occurred attempting to store {self.singular} - Duplicate entry."

    def target(self, record: R) -> Mapping[str, Any]:
        """The record as policies see it."""
        return {self.singular: msgspec.structs.asdict(record)}

    def missing(self, record_id: str) -> NotFound:
        return NotFound(f"Could not find {self.singular}: {record_id}.")

    async def create(self, ctx: Context, document: dict[str, Any]) -> R:
        record = self.made(ctx, document)
        self.ground.access.check(ctx, f"create_{self.singular}", self.target(record))
        record = self.made(ctx, await self.prepared(document))

        async def unit(tx: Tx) -> R:
            await self.check(tx, record)
            await self.records.insert(tx, record)
            await self._told(tx, ())
            return record

        try:
            return await self.ground.db.write(unit)
        except Duplicate:
            raise Conflict(self.duplicate(record)) from None

    async def show(self, ctx: Context, record_id: str) -> R:
        return await self.ground.db.read(lambda tx: self.found(tx, ctx, "get", record_id))

    async def found(self, tx: Tx, ctx: Context, verb: str, record_id: str) -> R:
        """The record, if the caller may `verb` it. Who may not learns nothing about whether it is there."""
        record = await self.records.find(tx, id=record_id)
        action = f"{verb}_{self.singular}"
        self.ground.access.check(ctx, action, {} if record is None else self.target(record))
        if record is None:
            raise self.missing(record_id)
        return record

    async def page(self, ctx: Context, ask: Ask) -> list[R]:
        """One page. Who may only see their own domain gets that domain's."""
        action = f"list_{self.plural}"
        if not self.ground.access.allows(ctx, action, {}):
            self.ground.access.check(ctx, action, {self.singular: {"domain_id": ctx.domain_id}})
            own = Where("domain_id", (ctx.domain_id,))
            ask = msgspec.structs.replace(ask, where=(*ask.where, own))
        return await self.ground.db.read(lambda tx: self.collection.page(tx, ask))

    async def update(self, ctx: Context, record_id: str, document: dict[str, Any]) -> R:
        # before the slow part, so that nobody makes us hash who may not
        await self.ground.db.read(lambda tx: self.found(tx, ctx, "update", record_id))
        ready = await self.prepared(document)
        until = self.ground.until()

        async def unit(tx: Tx) -> R:
            old = await self.found(tx, ctx, "update", record_id)
            new = self.changed(old, ready)
            await self.check(tx, new)
            try:
                written = await self.records.update(tx, new)
            except Duplicate:
                raise Conflict(self.duplicate(new)) from None
            await self._told(tx, self.voids(old, new), until)
            return written

        return await self.ground.db.write(unit)

    async def delete(self, ctx: Context, record_id: str) -> None:
        until = self.ground.until()

        async def unit(tx: Tx) -> None:
            record = await self.found(tx, ctx, "delete", record_id)
            subjects = await self.cascade(tx, record)
            await self.records.delete(tx, id=record_id)
            await self._told(tx, subjects, until)

        await self.ground.db.write(unit)

    async def _told(self, tx: Tx, subjects: Iterable[str], until: int = 0) -> None:
        if self.in_catalog:
            await FEED.append(tx, ["catalog"])
        await tokens.revoke(tx, subjects, until)


def given(document: dict[str, Any], *names: str, **when_null: Any) -> dict[str, Any]:
    """The values that a document gives; null stands for the value in `when_null`."""
    values = {name: document[name] for name in names if document.get(name) is not None}
    for name, empty in when_null.items():
        if name in document:
            values[name] = empty if document[name] is None else document[name]
    return values


def extra(before: dict[str, Any], document: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """The attributes that clients made up, as they are after `document`."""
    return before | {name: value for name, value in document.items() if name not in known}


def check_fixed(current: str, document: dict[str, Any], name: str, shown: str) -> None:
    """Raise `BadRequest` when a document wants another value for what never changes."""
    if document.get(name) not in (None, current):
        raise BadRequest(f"Cannot change {shown}.", field=name)
