"""Secrets at rest sealed anew: all of them, in pages, whatever happens meanwhile."""

from __future__ import annotations

import pytest

from kilostack.core.vault import Keys, Vault, sealed_with
from kilostack.core.world import RealWorld
from kilostack.identity.app import credentials, domain_config
from kilostack.identity.app.resealing import SEALED, reseal
from kilostack.identity.model.credentials import Credential
from kilostack.identity.model.domain_config import DomainOption
from kilostack.identity.store.credentials import CREDENTIALS
from kilostack.identity.store.domain_config import DOMAIN_OPTIONS
from kilostack.identity.store.tables import META
from kilostack.store.database import Database, Tx
from tests.conftest import MakeDatabase
from tests.identity.conftest import Site

OLD = b"m" * 32
_MANY = 450


def _credential(vault: Vault, number: int) -> Credential:
    sealed = vault.seal(credentials.PURPOSE, f"secret {number}".encode())
    return Credential(id=f"{number:04}", user_id="u", type="cert", blob_sealed=sealed)


async def _filled(db: Database, vault: Vault, count: int = _MANY) -> None:
    async def unit(tx: Tx) -> None:
        for number in range(count):
            await CREDENTIALS.insert(tx, _credential(vault, number))
        sealed = vault.seal(domain_config.PURPOSE, b'"password"')
        for name, value in (("password", sealed), ("url", "ldap://x"), ("page_size", 5)):
            await DOMAIN_OPTIONS.insert(tx, DomainOption(domain_id="d", group="ldap", option=name, value=value))

    await db.write(unit)


async def _check_all(db: Database, vault: Vault, count: int = _MANY) -> set[str]:
    """All is there and can be opened; the names of the keys that it is sealed with."""
    records = await db.read(lambda tx: CREDENTIALS.where(tx))
    opened = [vault.open(credentials.PURPOSE, record.blob_sealed).decode() for record in records]
    assert opened == [f"secret {number}" for number in range(count)]
    options = {one.option: one.value for one in await db.read(lambda tx: DOMAIN_OPTIONS.where(tx))}
    assert vault.open(domain_config.PURPOSE, options["password"]) == b'"password"'
    assert (options["url"], options["page_size"]) == ("ldap://x", 5)
    return {sealed_with(record.blob_sealed) for record in records} | {sealed_with(options["password"])}


async def test_everything_is_sealed_with_the_new_key(site: Site) -> None:
    old = Vault(OLD)
    await _filled(site.db, old)
    vault = Vault(Keys.of(OLD).rotated(b"n" * 32).text().encode())
    done = await reseal(site.db, vault)
    assert done.texts == _MANY + 1
    assert old.newest not in done.keys
    assert await _check_all(site.db, vault) == {vault.newest}
    # the old key is not needed any more
    only_new = Vault(Keys.of(OLD).rotated(b"n" * 32).without({old.newest}).text().encode())
    assert await _check_all(site.db, only_new) == {vault.newest}
    assert (await reseal(site.db, vault)).texts == 0


class Stopped(Exception):
    """The process ends here."""


async def test_it_may_be_stopped_anywhere(make_sqlite: MakeDatabase, world: RealWorld) -> None:
    db = await make_sqlite(META)
    await _filled(db, Vault(OLD))
    raw = Keys.of(OLD).rotated(b"n" * 32).text().encode()
    left = 250

    def entropy(size: int) -> bytes:
        nonlocal left
        left -= 1
        if left < 0:
            raise Stopped
        return left.to_bytes(size, "big")

    with pytest.raises(Stopped):
        await reseal(db, Vault(raw, entropy))
    vault = Vault(raw)
    assert await _check_all(db, vault) == {vault.newest, Vault(OLD).newest}
    done = await reseal(db, vault)
    assert 0 < done.texts < _MANY
    assert await _check_all(db, vault) == {vault.newest}


async def test_what_somebody_writes_meanwhile_stays(site: Site) -> None:
    old = Vault(OLD)
    await _filled(site.db, old, 1)
    (column,) = (one for one in SEALED if one.table is CREDENTIALS.table)
    ((key, text),) = await site.db.read(lambda tx: column.page(tx, None))
    changed = _credential(old, 7).blob_sealed
    assert text is not None

    async def unit(tx: Tx) -> tuple[bool, bool]:
        return await column.replace(tx, key, text, changed), await column.replace(tx, key, text, "anew")

    assert await site.db.write(unit) == (True, False)
    (record,) = await site.db.read(lambda tx: CREDENTIALS.where(tx))
    assert record.blob_sealed == changed


async def test_what_cannot_be_opened_is_left_and_its_key_is_kept(site: Site) -> None:
    other = Vault(b"o" * 32)
    await site.db.write(lambda tx: CREDENTIALS.insert(tx, _credential(other, 0)))
    done = await reseal(site.db, Vault(OLD))
    assert done.texts == 0
    assert other.newest in done.keys


def test_every_sealed_column_is_known() -> None:
    named = {(table.name, name) for table in META.tables.values() for name in set(table.c.keys()) if "sealed" in name}
    assert named <= {(one.table.name, one.column) for one in SEALED}
