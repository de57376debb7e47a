"""Key pairs of users."""

from __future__ import annotations

from kilostack.compute.app.parts import Parts, check
from kilostack.compute.model.keys import fingerprint, new_key
from kilostack.compute.model.records import Keypair
from kilostack.compute.store import keypairs, quotas
from kilostack.compute.store.tables import KEYPAIRS
from kilostack.core.context import Context
from kilostack.core.errors import NotFound
from kilostack.store.database import Tx


class Keypairs:
    """Use cases of key pairs; `user_id` None is the caller."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def _owner(self, ctx: Context, user_id: str | None, rule: str) -> str:
        owner = user_id or ctx.user_id
        check(self._parts, ctx, f"os-keypairs:{rule}", user_id=owner)
        return owner

    async def every(self, ctx: Context, user_id: str | None) -> list[Keypair]:
        """By name."""
        owner = self._owner(ctx, user_id, "index")
        return await self._parts.db.read(lambda tx: KEYPAIRS.where(tx, user_id=owner))

    async def get(self, ctx: Context, user_id: str | None, name: str) -> Keypair:
        owner = self._owner(ctx, user_id, "show")
        found = await self._parts.db.read(lambda tx: KEYPAIRS.find(tx, user_id=owner, name=name))
        if found is None:
            raise _missing(owner, name)
        return found

    async def add(
        self, ctx: Context, user_id: str | None, name: str, public_key: str | None
    ) -> tuple[Keypair, str | None]:
        """Keep a public key, or make a new pair; the private half is given back once and kept nowhere.

        Raises `BadRequest`, `Conflict` (the name is taken), `OverQuota`.
        """
        owner = self._owner(ctx, user_id, "create")
        private: str | None = None
        if public_key is None:
            line, private = await self._parts.world.in_thread(new_key, "Generated-by-kilostack")
        else:
            line = public_key.strip()
        made = Keypair(
            user_id=owner,
            name=name,
            number=0,
            type="ssh",
            public_key=line,
            fingerprint=fingerprint(line),
            created_at=self._parts.world.now(),
        )

        async def unit(tx: Tx) -> Keypair:
            bound = quotas.limit(await quotas.usage(tx, ctx.project_id), "key_pairs")
            return await keypairs.insert_new(tx, made, bound)

        return await self._parts.db.write(unit), private

    async def remove(self, ctx: Context, user_id: str | None, name: str) -> None:
        """Servers keep the key that they were made with."""
        owner = self._owner(ctx, user_id, "delete")
        if not await self._parts.db.write(lambda tx: keypairs.remove(tx, owner, name)):
            raise _missing(owner, name)


def _missing(user_id: str, name: str) -> NotFound:
    return NotFound(f"Keypair {name[:64]} not found for user {user_id[:64]}")
