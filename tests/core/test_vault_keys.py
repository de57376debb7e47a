"""Key files that change while a process runs."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from kilostack.core.vault import Keys, Vault, WrongMasterKey, load_master_key, replace_keys, sealed_with

OLD = b"m" * 32


def test_the_old_key_opens_and_the_new_one_seals() -> None:
    before = Vault(OLD)
    sealed, digest = before.seal("use", b"secret"), before.digest("use", "secret")
    keys = Keys.of(OLD).rotated(b"n" * 32)
    after = Vault(keys.text().encode())
    assert after.open("use", sealed) == b"secret"
    assert after.recognizes("use", "secret", digest)
    anew = after.seal("use", b"secret")
    assert sealed_with(anew) == after.newest != sealed_with(sealed) == before.newest
    with pytest.raises(WrongMasterKey):
        before.open("use", anew)


def test_a_text_from_before_keys_had_names_is_opened() -> None:
    vault = Vault(OLD)
    _, _, text = vault.seal("use", b"secret").partition(":")
    assert vault.open("use", text) == b"secret"
    assert Vault(Keys.of(OLD).rotated(b"n" * 32).text().encode()).open("use", text) == b"secret"


def test_a_running_process_learns_of_a_new_key(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    path.write_bytes(OLD)
    one, other = (Vault(OLD, reread=path.read_bytes) for _ in range(2))
    before = one.seal("use", b"secret")
    replace_keys(path, Keys.of(OLD).rotated(b"n" * 32))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    sealed = one.seal("use", b"secret")
    assert sealed_with(sealed) != sealed_with(before)
    assert other.open("use", sealed) == other.open("use", before) == b"secret"


def test_a_key_that_nobody_needs_is_dropped_and_the_newest_never() -> None:
    keys = Keys.of(OLD).rotated(b"n" * 32).rotated(b"o" * 32)
    newest, middle, oldest = keys.names()
    assert keys.without({oldest}).names() == (newest, middle)
    assert keys.without({newest, middle, oldest}).names() == (newest,)
    assert Keys.of(keys.text().encode()) == keys


@pytest.mark.parametrize("raw", [b"", b"{}", b"x" * 31, b'{"digesting": "eA==", "sealing": []}', b"\xff" * 33])
def test_a_damaged_file_is_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "master.key"
    path.write_bytes(raw)
    with pytest.raises(WrongMasterKey, match=r"master\.key"):
        load_master_key(path)
    assert path.read_bytes() == raw
