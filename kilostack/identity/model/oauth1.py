"""OAuth 1.0a: programs that users let in with some of their roles, without telling them a password."""

from __future__ import annotations

from typing import Any

import msgspec

#: how long a user has to let a consumer in, and how long it stays in then, in microseconds
REQUEST_LIFE = 28_800 * 1_000_000
ACCESS_LIFE = 86_400 * 1_000_000

#: letters and digits that nobody takes for another one: people type verifiers
_VERIFIER_CHARACTERS = "abcdefghkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
VERIFIER_LENGTH = 8


class Consumer(msgspec.Struct, frozen=True, kw_only=True):
    """A program that asks to be let in. Its secret is sealed: signatures are checked with the secret itself."""

    id: str
    secret_sealed: str
    description: str | None = None
    #: attributes that clients made up
    extra: dict[str, Any] = {}
    generation: int = 1
    revision: int = 1


class RequestToken(msgspec.Struct, frozen=True, kw_only=True):
    """A consumer's wish to act on a project, and the user who has granted it, if one has."""

    id: str
    consumer_id: str
    project_id: str
    secret_sealed: str
    #: microseconds since 1970
    expires_at: int
    #: what the user tells the consumer
    verifier: str | None = None
    authorizing_user_id: str | None = None
    role_ids: tuple[str, ...] = ()

    def is_expired(self, now: int) -> bool:
        return now > self.expires_at


class AccessToken(msgspec.Struct, frozen=True, kw_only=True):
    """With it a consumer logs in as the user who let it in, with the roles that they chose."""

    id: str
    consumer_id: str
    authorizing_user_id: str
    project_id: str
    secret_sealed: str
    #: microseconds since 1970
    expires_at: int
    role_ids: tuple[str, ...] = ()

    def is_expired(self, now: int) -> bool:
        return now > self.expires_at


def verifier_of(noise: bytes) -> str:
    """A verifier from unpredictable bytes, of which it needs two for each of its characters."""
    pairs = (int.from_bytes(noise[2 * at : 2 * at + 2], "big") for at in range(VERIFIER_LENGTH))
    return "".join(_VERIFIER_CHARACTERS[pair % len(_VERIFIER_CHARACTERS)] for pair in pairs)


def is_verifier(text: str) -> bool:
    return len(text) == VERIFIER_LENGTH and set(text) <= set(_VERIFIER_CHARACTERS)
