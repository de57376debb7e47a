"""Everything that identity keeps sealed, sealed anew with the newest key."""

from __future__ import annotations

import msgspec

from kilostack.core.vault import Vault, WrongMasterKey, sealed_with
from kilostack.identity.app import credentials, domain_config, oauth1, signing
from kilostack.identity.store.sealed import Key, SealedColumn
from kilostack.identity.store.tables import credentials as credential_tables
from kilostack.identity.store.tables import domain_config as config_tables
from kilostack.identity.store.tables import oauth1 as oauth1_tables
from kilostack.identity.store.tables import tokens as token_tables
from kilostack.store.database import Database, Tx

SEALED = (
    SealedColumn(token_tables.SIGNING_KEYS, "private_sealed", signing.PURPOSE),
    SealedColumn(credential_tables.CREDENTIALS, "blob_sealed", credentials.PURPOSE),
    SealedColumn(oauth1_tables.CONSUMERS, "secret_sealed", oauth1.PURPOSE),
    SealedColumn(oauth1_tables.REQUEST_TOKENS, "secret_sealed", oauth1.PURPOSE),
    SealedColumn(oauth1_tables.ACCESS_TOKENS, "secret_sealed", oauth1.PURPOSE),
    SealedColumn(config_tables.DOMAIN_OPTIONS, "value", domain_config.PURPOSE),
)


class Resealed(msgspec.Struct, frozen=True):
    """What became of it: how many texts were sealed anew, and the keys that are still needed."""

    texts: int
    keys: frozenset[str]


async def reseal(db: Database, vault: Vault) -> Resealed:
    """Seal everything with the vault's newest key. May be stopped anywhere and begun again at any time.

    What others write meanwhile is left as they wrote it.
    """
    done = [await _column(db, vault, column) for column in SEALED]
    needed = frozenset(key for one in done for key in one.keys) | {vault.newest}
    return Resealed(sum(one.texts for one in done), needed)


async def _column(db: Database, vault: Vault, column: SealedColumn) -> Resealed:
    count, after = 0, None
    keys: set[str] = set()

    async def page(tx: Tx) -> list[tuple[Key, str | None]]:
        return await column.page(tx, after)

    while rows := await db.read(page):
        after = rows[-1][0]
        found = [(key, text, _anew(vault, column.purpose, text)) for key, text in rows if text is not None]
        keys.update(sealed_with(text) for _, text, new in found if new is None)
        count += await _replaced(db, column, [(key, old, new) for key, old, new in found if new is not None])
    return Resealed(count, frozenset(keys))


async def _replaced(db: Database, column: SealedColumn, wanted: list[tuple[Key, str, str]]) -> int:
    async def unit(tx: Tx) -> int:
        return sum([await column.replace(tx, key, old, new) for key, old, new in wanted])

    return await db.write(unit) if wanted else 0


def _anew(vault: Vault, purpose: str, sealed: str) -> str | None:
    """The text under the newest key; None for one that is, that cannot be opened, or that is not sealed at all."""
    if sealed_with(sealed) == vault.newest:
        return None
    try:
        return vault.seal(purpose, vault.open(purpose, sealed))
    except WrongMasterKey:
        return None
