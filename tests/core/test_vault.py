"""What is sealed is read again with the same key only, and the key's file is its owner's alone."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from kilostack.core.vault import Vault, WrongMasterKey, load_master_key


def test_what_is_sealed_is_opened_for_the_same_purpose_only() -> None:
    vault = Vault(b"m" * 32)
    sealed = vault.seal("keys", b"secret")
    assert vault.open("keys", sealed) == b"secret"
    assert b"secret" not in sealed.encode()
    for wrong in (lambda: vault.open("other", sealed), lambda: Vault(b"x" * 32).open("keys", sealed)):
        with pytest.raises(WrongMasterKey):
            wrong()
    for damaged in ("", "x", sealed[:-8] + "AAAAAAA=", "!" + sealed[1:]):
        with pytest.raises(WrongMasterKey):
            vault.open("keys", damaged)


def test_sealing_twice_does_not_tell_that_it_is_the_same() -> None:
    vault = Vault(b"m" * 32)
    assert vault.seal("keys", b"secret") != vault.seal("keys", b"secret")


def test_digests_recognize_the_secret_under_the_same_key_and_purpose() -> None:
    vault = Vault(b"m" * 32)
    digest = vault.digest("credential", "secret")
    assert vault.recognizes("credential", "secret", digest)
    assert not vault.recognizes("credential", "Secret", digest)
    assert not vault.recognizes("other", "secret", digest)
    assert not Vault(b"x" * 32).recognizes("credential", "secret", digest)
    assert not vault.recognizes("credential", "secret", "")


def test_the_master_key_is_made_once_for_its_owners_eyes(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    key = load_master_key(path)
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_master_key(path) == key
    assert list(tmp_path.iterdir()) == [path]


def test_a_key_file_that_was_cut_off_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    path.write_bytes(b"short")
    with pytest.raises(WrongMasterKey, match=r"master\.key"):
        load_master_key(path)
    assert path.read_bytes() == b"short"


def test_the_one_who_comes_second_takes_the_first_ones_key(tmp_path: Path) -> None:
    """Two processes start at once: while one draws its key, the other has written one."""
    path = tmp_path / "master.key"

    def slow(size: int) -> bytes:
        path.write_bytes(b"f" * 32)
        return b"s" * size

    assert load_master_key(path, slow) == b"f" * 32
