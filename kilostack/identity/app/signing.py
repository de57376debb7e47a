"""The keys that tokens are signed with, and reading what was signed."""

from __future__ import annotations

import base64

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kilostack.core.token import Claims, PublicKeys, Receipt, Signer, UnknownKey, public_bytes
from kilostack.identity.app.ground import Ground
from kilostack.identity.store import tokens as store
from kilostack.store.database import Tx

PURPOSE = "identity signing key"
_REMEMBERED = 10_000
#: how much longer than its tokens a key is kept: clocks of nodes differ
_MARGIN = 3600 * 1_000_000


class Signing:
    """Signs with the newest key; reads what any of them has signed."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._signer: Signer | None = None
        self._signs_with = ""
        self._publics = PublicKeys()
        #: the number of the feed as of which the keys were read
        self._as_of = -1
        self._read: dict[str, Claims] = {}

    async def prepare(self) -> None:
        """Have a key, made at the first start of a cloud. Raises `WrongMasterKey`."""
        if await self._ground.db.read(store.newest_key) is None:
            made = self._made()

            async def unit(tx: Tx) -> None:
                if await store.newest_key(tx) is None:
                    await store.add_key(tx, made)

            await self._ground.db.write(unit)
        await self._load()

    async def rotate(self) -> str:
        """Have the next token signed with a new key, in every process; the key's id.

        Older keys are known until all that they have signed has expired. Any number may rotate at the same time.
        """
        made = self._made()

        async def unit(tx: Tx) -> None:
            newest = await store.newest_key(tx)
            # a clock that is behind must not make a key that nobody would sign with
            created_at = made.created_at if newest is None else max(made.created_at, newest.created_at + 1)
            await store.add_key(tx, msgspec.structs.replace(made, created_at=created_at))

        await self._ground.db.write(unit)
        return made.id

    async def prune(self) -> int:
        """Forget keys that have signed nothing for longer than a token is looked at; how many."""
        before = self._ground.world.now() - self._ground.token_life - store.LATE - _MARGIN

        async def unit(tx: Tx) -> int:
            return await store.prune_keys(tx, before)

        return await self._ground.db.write(unit)

    def _made(self) -> store.SigningKey:
        seed = self._ground.entropy(32)
        public = public_bytes(Ed25519PrivateKey.from_private_bytes(seed))
        return store.SigningKey(
            id=self._ground.new_id(),
            public=base64.b64encode(public).decode(),
            private_sealed=self._ground.vault.seal(PURPOSE, seed),
            created_at=self._ground.world.now(),
        )

    async def _load(self) -> None:
        async def unit(tx: Tx) -> tuple[int, list[store.SigningKey]]:
            return await store.number(tx), await store.KEYS.where(tx)

        number, keys = await self._ground.db.read(unit)
        newest = store.newest(keys)
        if newest is not None and newest.id != self._signs_with:
            seed = self._ground.vault.open(PURPOSE, newest.private_sealed)
            self._signer, self._signs_with = Signer(Ed25519PrivateKey.from_private_bytes(seed)), newest.id
        self._publics = PublicKeys.of(*(base64.b64decode(key.public) for key in keys))
        self._as_of = max(self._as_of, number)

    async def _current(self, number: int) -> Signer:
        """What signs at that number of the feed. Keys that another process has made are found by it: their coming is
        told in the feed, and whoever is about to sign has just read how far that is."""
        if number > self._as_of:
            await self._load()
        assert self._signer is not None, "prepare comes first"
        return self._signer

    async def sign(self, claims: Claims) -> str:
        """The token."""
        text = (await self._current(claims.number)).sign(claims)
        self._remember(text, claims)
        return text

    async def sign_receipt(self, receipt: Receipt) -> str:
        """The receipt."""
        return (await self._current(receipt.number)).sign_receipt(receipt)

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

    async def read_receipt(self, text: str) -> Receipt:
        """What a receipt says, as `read` does of tokens. Raises `BadToken`."""
        try:
            return self._publics.read_receipt(text)
        except UnknownKey:
            await self._load()
            return self._publics.read_receipt(text)

    def _remember(self, text: str, claims: Claims) -> None:
        self._read[text] = claims
        if len(self._read) > _REMEMBERED:
            del self._read[next(iter(self._read))]
