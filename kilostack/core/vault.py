"""What a cloud keeps secret at rest: sealed and digested under its one master key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

#: Unpredictable bytes; a simulation hands in a seeded source.
Entropy = Callable[[int], bytes]

MASTER_KEY_BYTES = 32
_NONCE_BYTES = 12


class WrongMasterKey(Exception):
    """The master key is not the one under which something was sealed, or the sealed text was damaged."""


class Vault:
    """Seals what must be read again, digests what need only be recognized. `purpose` keeps the uses apart."""

    def __init__(self, master_key: bytes, entropy: Entropy = os.urandom) -> None:
        if len(master_key) != MASTER_KEY_BYTES:
            raise WrongMasterKey(f"a master key has {MASTER_KEY_BYTES} bytes, not {len(master_key)}")
        self._sealing = ChaCha20Poly1305(_derived(master_key, b"seal"))
        self._digesting = _derived(master_key, b"digest")
        self._entropy = entropy

    def seal(self, purpose: str, plain: bytes) -> str:
        """Text that `open` alone turns back, under the same key and purpose."""
        nonce = self._entropy(_NONCE_BYTES)
        return base64.b64encode(nonce + self._sealing.encrypt(nonce, plain, purpose.encode())).decode()

    def open(self, purpose: str, sealed: str) -> bytes:
        """What was sealed. Raises `WrongMasterKey`."""
        try:
            raw = base64.b64decode(sealed, validate=True)
            return self._sealing.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], purpose.encode())
        except (InvalidTag, ValueError):
            raise WrongMasterKey(f"what was sealed for {purpose} cannot be read with this master key") from None

    def digest(self, purpose: str, secret: str) -> str:
        """A keyed hash, fast: only for secrets of high entropy, never for passwords that people choose."""
        return hmac.new(self._digesting, f"{purpose}\0{secret}".encode(), hashlib.sha256).hexdigest()

    def recognizes(self, purpose: str, secret: str, digest: str) -> bool:
        """Whether `digest` is that of `secret`; takes the same time for every wrong one."""
        return hmac.compare_digest(self.digest(purpose, secret), digest)


def _derived(master_key: bytes, use: bytes) -> bytes:
    return hashlib.blake2b(key=master_key, person=use, digest_size=32).digest()


def load_master_key(path: Path, entropy: Entropy = os.urandom) -> bytes:
    """The key in `path`; made, for its owner's eyes only, when there is none."""
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = entropy(MASTER_KEY_BYTES)
        _write_once(path, key)
        # another process may have come first
        key = path.read_bytes()
    if len(key) != MASTER_KEY_BYTES:
        raise WrongMasterKey(f"{path} is not a master key: it has {len(key)} bytes instead of {MASTER_KEY_BYTES}")
    return key


def _write_once(path: Path, key: bytes) -> None:
    """Whole or not at all, and never over an existing key."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, key)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
