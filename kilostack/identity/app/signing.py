"""The keys that tokens are signed with, and reading what was signed."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kilostack.core.token import Claims, PublicKeys, Signer, UnknownKey, public_bytes
from kilostack.identity.app.ground import Ground
from kilostack.identity.store import tokens as store
from kilostack.store.database import Tx

_PURPOSE = "identity signing key"
_REMEMBERED = 10_000


class Signing:
    """Signs with the newest key; reads what any of them has signed."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._signer: Signer | None = None
        self._publics = PublicKeys()
        self._read: dict[str, Claims] = {}

    async def prepare(self) -> None:
        """Have a key, made at the first start of a cloud. Raises `WrongMasterKey`."""
        key = await self._ground.db.read(store.newest_key)
        if key is None:
            made = self._made()

            async def unit(tx: Tx) -> store.SigningKey:
                if (other := await store.newest_key(tx)) is not None:
                    return other
                await store.add_key(tx, made)
                return made

            key = await self._ground.db.write(unit)
        seed = self._ground.vault.open(_PURPOSE, key.private_sealed)
        self._signer = Signer(Ed25519PrivateKey.from_private_bytes(seed))
        await self._load()

    def _made(self) -> store.SigningKey:
        seed = self._ground.entropy(32)
        public = public_bytes(Ed25519PrivateKey.from_private_bytes(seed))
        return store.SigningKey(
            id=self._ground.new_id(),
            public=base64.b64encode(public).decode(),
            private_sealed=self._ground.vault.seal(_PURPOSE, seed),
            created_at=self._ground.world.now(),
        )

    async def _load(self) -> None:
        keys = await self._ground.db.read(lambda tx: store.KEYS.where(tx))
        self._publics = PublicKeys.of(*(base64.b64decode(key.public) for key in keys))

    def sign(self, claims: Claims) -> str:
        """The token."""
        assert self._signer is not None, "prepare comes first"
        text = self._signer.sign(claims)
        self._remember(text, claims)
        return text

    async def read(self, text: str) -> Claims:
        """What a token says; whether it is expired or revoked is for the caller to check. Raises `BadToken`."""
        if (claims := self._read.get(text)) is not None:
            return claims
        try:
            claims = self._publics.read(text)
        except UnknownKey:
            await self._load()
            claims = self._publics.read(text)
        self._remember(text, claims)
        return claims

    def _remember(self, text: str, claims: Claims) -> None:
        self._read[text] = claims
        if len(self._read) > _REMEMBERED:
            del self._read[next(iter(self._read))]
