"""New keys for identity: done in its database and key file, which every process of it follows."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kilostack.assembly.cloud import SCHEMAS
from kilostack.core.settings import Settings
from kilostack.core.vault import MASTER_KEY_BYTES, Keys, Vault, load_master_key, replace_keys
from kilostack.core.world import RealWorld, World
from kilostack.identity.app.ground import Ground, IdentityParts
from kilostack.identity.app.resealing import reseal
from kilostack.identity.app.signing import Signing
from kilostack.store.database import Database
from kilostack.store.sqlite import SqliteDatabase

_SERVICE = "identity"


async def rotate_signing_key(settings: Settings) -> str:
    """Have tokens signed with a new key; its id. Raises `FileNotFoundError` when the cloud never ran."""
    async with _opened(settings) as (db, world):
        vault = Vault(load_master_key(settings.state.master_key))
        return await Signing(Ground(IdentityParts(db=db, world=world, vault=vault))).rotate()


async def rotate_sealing_key(settings: Settings) -> int:
    """Seal with a new key, and anew what was sealed before; how many texts. One at a time.

    Stopped anywhere, the file holds every key that is needed, and the next call completes the work. The key that was
    the newest until now is kept for one rotation: somebody may have been about to seal with it.
    """
    path = settings.state.master_key
    async with _opened(settings) as (db, _):
        before = Keys.of(load_master_key(path))
        keys = before.rotated(os.urandom(MASTER_KEY_BYTES))
        replace_keys(path, keys)
        done = await reseal(db, Vault(keys.text().encode()))
        unused = set(keys.names()) - done.keys - {before.names()[0]}
        replace_keys(path, keys.without(unused))
        return done.texts


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[Database, World]]:
    file = settings.state.databases / f"{_SERVICE}.db"
    if not file.exists():
        raise FileNotFoundError(file)
    world = RealWorld()
    db = SqliteDatabase(file, world)
    meta, number = SCHEMAS[_SERVICE]
    try:
        db.prepare(_SERVICE, number, meta)
        yield db, world
    finally:
        await db.close()
        await world.close()
