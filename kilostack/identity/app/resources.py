"""What all records of identity have in common: create, show, list, change and delete, with policy and revocation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
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
    #: the filter that keeps a list within the domain of a token for a domain; empty where domains do not matter
    domain_filter: ClassVar[str] = ""
    #: verbs before which everybody is told that a record is not there, as upstream tells them
    told_missing: ClassVar[frozenset[str]] = frozenset()

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

    async def check_change(self, tx: Tx, old: R, new: R) -> None:
        """Raise unless `old` may become `new`; called within the unit of work that writes it."""
        await self.check(tx, new)

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

    def target_wanted(self, record: R, document: dict[str, Any]) -> Mapping[str, Any]:
        """A record that is to be created, as policies see it."""
        return self.target(record)

    def missing(self, record_id: str) -> NotFound:
        return NotFound(f"Could not find {self.singular}: {record_id}.")

    async def create(self, ctx: Context, document: dict[str, Any]) -> R:
        record = self.made(ctx, document)
        self.ground.access.check(ctx, f"create_{self.singular}", self.target_wanted(record, document))
        return await self.stored(self.made(ctx, await self.prepared(document)))

    async def stored(self, record: R, *before: Callable[[Tx], Awaitable[object]]) -> R:
        """Write a new record, whoever asked for it, after what it needs in the same unit. Raises `Conflict`."""

        async def unit(tx: Tx) -> R:
            for step in before:
                await step(tx)
            await self.insert(tx, record)
            return record

        try:
            return await self.ground.db.write(unit)
        except Duplicate:
            raise Conflict(self.duplicate(record)) from None

    async def insert(self, tx: Tx, record: R) -> None:
        """Write a new record, whoever asked for it. Raises `Duplicate`."""
        await self.check(tx, record)
        await self.records.insert(tx, record)
        await self._told(tx, ())

    async def show(self, ctx: Context, record_id: str) -> R:
        return await self.ground.db.read(lambda tx: self.found(tx, ctx, "get", record_id))

    async def found(self, tx: Tx, ctx: Context, verb: str, record_id: str) -> R:
        """The record, if the caller may `verb` it. Who may not learns nothing about whether it is there.

        Save where `told_missing` says so.
        """
        if verb in self.told_missing and await self.find(tx, record_id) is None:
            raise self.missing(record_id)
        return await self.found_for(tx, ctx, f"{verb}_{self.singular}", record_id)

    async def found_for(self, tx: Tx, ctx: Context, action: str, record_id: str) -> R:
        """The same for an action of any name."""
        record = await self.find(tx, record_id)
        self.ground.access.check(ctx, action, {} if record is None else self.target(record))
        if record is None:
            raise self.missing(record_id)
        return record

    async def find(self, tx: Tx, record_id: str) -> R | None:
        return await self.records.find(tx, id=record_id)

    async def page(self, ctx: Context, ask: Ask) -> list[R]:
        """One page. Whoever comes with a token for a domain gets that domain's, where `domain_filter` says so."""
        kept = self._kept(ctx)
        if kept is not None:
            ask = msgspec.structs.replace(ask, where=(*ask.where, kept))
        try:
            return await self.ground.db.read(lambda tx: self.listed(tx, ask))
        except BadRequest as error:
            if error.facts.get("field") == "marker":
                raise NotFound(f"Marker {ask.marker} could not be found.") from None
            raise

    async def listed(self, tx: Tx, ask: Ask) -> list[R]:
        return await self.collection.page(tx, ask)

    def _kept(self, ctx: Context) -> Where | None:
        """What keeps a list within a domain. Raises `Forbidden` for who may see no list at all."""
        seen = {"id": ctx.domain_id, "domain_id": ctx.domain_id}
        target = {"domain_id": ctx.domain_id, self.singular: seen} if self.domain_filter and ctx.domain_id else {}
        self.ground.access.check(ctx, f"list_{self.plural}", target)
        return Where(self.domain_filter, (ctx.domain_id,)) if target else None

    async def update(self, ctx: Context, record_id: str, document: dict[str, Any]) -> R:
        # before the slow part, so that nobody makes us hash who may not
        await self.ground.db.read(lambda tx: self.found(tx, ctx, "update", record_id))
        ready = await self.prepared(document)
        until = self.ground.until()

        async def unit(tx: Tx) -> R:
            old = await self.found(tx, ctx, "update", record_id)
            return await self.rewrite(tx, old, ready, until)

        return await self.ground.db.write(unit)

    async def rewrite(self, tx: Tx, old: R, document: dict[str, Any], until: int) -> R:
        """Change a record, whoever asked for it; `until` is when the tokens that it ends will have expired."""
        new = self.changed(old, document)
        await self.check_change(tx, old, new)
        try:
            written = await self.records.update(tx, new)
        except Duplicate:
            raise Conflict(self.duplicate(new)) from None
        await self._told(tx, self.voids(old, new), until)
        return written

    async def delete(self, ctx: Context, record_id: str) -> None:
        until = self.ground.until()

        async def unit(tx: Tx) -> None:
            await self.remove(tx, await self.found(tx, ctx, "delete", record_id), until)

        await self.ground.db.write(unit)

    async def remove(self, tx: Tx, record: R, until: int) -> None:
        """Delete a record with what hangs on it, whoever asked for it."""
        subjects = await self.cascade(tx, record)
        await self.records.delete(tx, id=record.id)  # type: ignore[attr-defined]
        await self._told(tx, subjects, until)

    async def _told(self, tx: Tx, subjects: Iterable[str], until: int = 0) -> None:
        if self.in_catalog:
            await FEED.append(tx, ["catalog"])
        await tokens.revoke(tx, subjects, until)
