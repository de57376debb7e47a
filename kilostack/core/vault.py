"""What a cloud keeps secret at rest: sealed and digested under its one master key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Callable, Container, Iterable
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

#: Unpredictable bytes; a simulation hands in a seeded source.
Entropy = Callable[[int], bytes]

MASTER_KEY_BYTES = 32
_NONCE_BYTES = 12
_NAME_DIGITS = 8


class WrongMasterKey(Exception):
    """The master key is not the one under which something was sealed, or the sealed text was damaged."""


class Keys(msgspec.Struct, frozen=True):
    """What a key file holds: one key to digest with, which stays, and those to seal with, the newest first."""

    digesting: bytes
    sealing: tuple[bytes, ...]

    @classmethod
    def of(cls, raw: bytes) -> Keys:
        """From the bytes of a file: a master key as it was made, or what `rotated` has made of it.

        Raises `WrongMasterKey`.
        """
        if len(raw) == MASTER_KEY_BYTES:
            return cls(_derived(raw, b"digest"), (_derived(raw, b"seal"),))
        try:
            keys = msgspec.json.decode(raw, type=cls)
        except (msgspec.DecodeError, UnicodeError):
            keys = cls(b"", ())
        if not keys.sealing or {len(key) for key in (keys.digesting, *keys.sealing)} != {MASTER_KEY_BYTES}:
            raise WrongMasterKey(f"not a master key: a fresh one has {MASTER_KEY_BYTES} bytes, this has {len(raw)}")
        return keys

    def rotated(self, key: bytes) -> Keys:
        """With a new key to seal with; what was sealed before can still be opened."""
        return Keys(self.digesting, (key, *self.sealing))

    def without(self, unused: Container[str]) -> Keys:
        """Without the keys whose names are in `unused`, but with the newest whatever its name is."""
        newest, *older = self.sealing
        return Keys(self.digesting, (newest, *(key for key in older if key_name(key) not in unused)))

    def names(self) -> tuple[str, ...]:
        """What sealed texts call the keys, the newest first."""
        return tuple(key_name(key) for key in self.sealing)

    def text(self) -> str:
        """What `of` reads."""
        return msgspec.json.encode(self).decode()


def key_name(key: bytes) -> str:
    """How a sealed text names the key that it was sealed with."""
    return hashlib.sha256(key).hexdigest()[:_NAME_DIGITS]


def sealed_with(sealed: str) -> str:
    """The name of the key of a sealed text; "" for one from before keys had names."""
    name, colon, _ = sealed.partition(":")
    return name if colon else ""


class Vault:
    """Seals what must be read again, digests what need only be recognized. `purpose` keeps the uses apart.

    `reread` gives the content of the key file as it is now, so that a process learns of new keys while it runs.
    """

    def __init__(
        self, master_key: bytes, entropy: Entropy = os.urandom, reread: Callable[[], bytes] | None = None
    ) -> None:
        self._entropy, self._reread = entropy, reread
        self._take(master_key)

    def _take(self, raw: bytes) -> None:
        keys = Keys.of(raw)
        self._raw, self._digesting = raw, keys.digesting
        self._ciphers = {key_name(key): ChaCha20Poly1305(key) for key in keys.sealing}
        self.newest = keys.names()[0]

    def renew(self) -> None:
        """Take the keys that the file holds now."""
        if self._reread is not None and (raw := self._reread()) != self._raw:
            self._take(raw)

    def seal(self, purpose: str, plain: bytes) -> str:
        """Text that `open` alone turns back, under the same keys and purpose."""
        self.renew()
        nonce = self._entropy(_NONCE_BYTES)
        sealed = nonce + self._ciphers[self.newest].encrypt(nonce, plain, purpose.encode())
        return f"{self.newest}:{base64.b64encode(sealed).decode()}"

    def open(self, purpose: str, sealed: str) -> bytes:
        """What was sealed. Raises `WrongMasterKey`."""
        name = sealed_with(sealed)
        if name and name not in self._ciphers:
            self.renew()
        ciphers: Iterable[ChaCha20Poly1305] = self._ciphers.values()
        if name:
            ciphers = [self._ciphers[name]] if name in self._ciphers else []
        try:
            raw = base64.b64decode(sealed.rpartition(":")[2], validate=True)
        except ValueError:
            ciphers = []
        for cipher in ciphers:
            try:
                return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], purpose.encode())
            except (InvalidTag, ValueError):
                continue
        raise WrongMasterKey(f"what was sealed for {purpose} cannot be read with this master key")

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
    try:
        Keys.of(key)
    except WrongMasterKey as error:
        raise WrongMasterKey(f"{path} is {error}") from None
    return key


def replace_keys(path: Path, keys: Keys) -> None:
    """Write a key file whole or not at all; on disk when this returns."""
    os.replace(_draft(path, keys.text().encode()), path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _draft(path: Path, content: bytes) -> Path:
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return draft


def _write_once(path: Path, key: bytes) -> None:
    """Whole or not at all, and never over an existing key."""
    draft = _draft(path, key)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
