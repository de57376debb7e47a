"""Passwords: hashed slowly on purpose, at most two at once, and guessed only so often."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type, hash_secret, verify_secret

from kilostack.core.errors import BadRequest, Forbidden
from kilostack.core.secret import Secret
from kilostack.core.vault import Entropy
from kilostack.core.world import World
from kilostack.identity.app.turns import Turns

_LANES = 1
_SALT_BYTES, _HASH_BYTES = 16, 32
_AT_ONCE = 2
_LONGEST_BYTES = 4096

_FAILURES = 10
_WINDOW_S = 60.0
_REMEMBERED = 20_000


class HashCost(msgspec.Struct, frozen=True):
    """How much work a hash is. No operator may choose it: less is for tests alone, which hash all the time."""

    passes: int = 2
    memory_kib: int = 19 * 1024


_FULL = HashCost()


class Passwords:
    """argon2id in the pool of this process."""

    def __init__(self, world: World, entropy: Entropy, cost: HashCost = _FULL) -> None:
        self._world, self._entropy, self._cost = world, entropy, cost
        #: costs what a real one costs, and is that of no password
        self.nobodys = f"$argon2id$v=19$m={cost.memory_kib},t={cost.passes},p={_LANES}${'A' * 22}${'A' * 43}"
        self._turns = Turns(_AT_ONCE)

    async def hashed(self, password: Secret) -> str:
        """The text to keep. Raises `BadRequest` for one that is too long."""
        raw = password.reveal().encode()
        if len(raw) > _LONGEST_BYTES:
            raise BadRequest(f"The password is longer than {_LONGEST_BYTES} bytes.", field="password")
        salt = self._entropy(_SALT_BYTES)
        async with self._turns.taken(""):
            return await self._world.in_thread(_hash, raw, salt, self._cost)

    async def matches(
        self, password: Secret, kept: str | None, turn: Callable[[], None] = lambda: None, address: str = ""
    ) -> bool:
        """Whether it is the password. Nobody's (None) takes as long as a wrong one.

        `turn` is called when the wait for the pool is over, and may raise: what was true before need not be any more.
        Addresses take turns, so that one that sends thousands makes itself wait.
        """
        raw = password.reveal().encode()[: _LONGEST_BYTES + 1]
        async with self._turns.taken(address):
            turn()
            right = await self._world.in_thread(_verify, raw, kept or self.nobodys)
        return right and kept is not None


def _hash(raw: bytes, salt: bytes, cost: HashCost) -> str:
    return hash_secret(raw, salt, cost.passes, cost.memory_kib, _LANES, _HASH_BYTES, Type.ID).decode()


def _verify(raw: bytes, kept: str) -> bool:
    try:
        return verify_secret(kept.encode(), raw, Type.ID)
    except (VerificationError, InvalidHashError):
        return False


class Attempts:
    """Failed logins per user and address; after some within a minute, the rest of that minute is refused."""

    def __init__(self, world: World) -> None:
        self._world = world
        #: who -> (start of the window, failures in it)
        self._failed: dict[tuple[str, str], tuple[float, int]] = {}

    def check(self, who: tuple[str, str]) -> None:
        """Raise `Forbidden` (429) when `who` has failed too often."""
        started, failures = self._failed.get(who, (0.0, 0))
        left = started + _WINDOW_S - self._world.monotonic()
        if failures >= _FAILURES and left > 0:
            seconds = int(left) + 1
            raise Forbidden(
                f"Too many failed attempts to log in; try again in {seconds} seconds.",
                status=429,
                retry_after_s=seconds,
            )

    def failed(self, who: tuple[str, str]) -> None:
        now = self._world.monotonic()
        started, failures = self._failed.pop(who, (now, 0))
        if now - started > _WINDOW_S:
            started, failures = now, 0
        self._failed[who] = (started, failures + 1)
        if len(self._failed) > _REMEMBERED:
            del self._failed[next(iter(self._failed))]

    def succeeded(self, who: tuple[str, str]) -> None:
        self._failed.pop(who, None)
