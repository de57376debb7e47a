"""Credentials: secrets that users keep with identity, such as the key pair of EC2 or the seed of one-time passcodes."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from kilostack.core.errors import BadRequest

EC2_TYPE, TOTP_TYPE = "ec2", "totp"

#: what an EC2 credential was made with; it stays with it
_SCOPES = ("trust_id", "app_cred_id", "access_token_id", "access_id")


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A secret of a type that clients name; the secret itself is kept sealed."""

    id: str
    user_id: str
    type: str
    blob_sealed: str
    project_id: str | None = None
    #: attributes that clients made up
    extra: dict[str, Any] = {}
    #: the newest time step of which a passcode was taken; no passcode is taken twice
    used_step: int | None = None
    generation: int = 1
    revision: int = 1


class KeyPair(msgspec.Struct, frozen=True, kw_only=True):
    """What the blob of an EC2 credential says; what it was made with comes back in the tokens that it signs for."""

    access: str
    secret: str | None = None
    trust_id: str | None = None
    app_cred_id: str | None = None
    access_token_id: str | None = None


def ec2_id(access: str) -> str:
    """The id of the credential with that access key."""
    return hashlib.sha256(access.encode("utf-8", "surrogatepass")).hexdigest()


def is_ec2(kind: str) -> bool:
    """Whether credentials of that type are named by their access key."""
    return kind.lower() == EC2_TYPE


def checked_blob(text: str) -> dict[str, Any]:
    """The blob of an EC2 credential as an object. Raises `BadRequest`."""
    try:
        blob = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise BadRequest("Invalid blob in credential", field="blob") from None
    for field, is_there in (
        ("blob", isinstance(blob, dict) and blob),
        ("access", isinstance(blob, dict) and isinstance(blob.get("access"), str)),
    ):
        if not is_there:
            raise BadRequest(
                f"Expecting to find {field} in credential. The server could not comply with the request since it is "
                "either malformed or otherwise incorrect. The client is assumed to be in error.",
                field=field,
            )
    return dict(blob)


def check_same_scope(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Raise `BadRequest` when a new blob would have the credential be made with something else."""
    for name in _SCOPES:
        if old.get(name) != new.get(name):
            raise BadRequest(f"{name} can not be updated for credential", field="blob")


def key_pair(blob: str) -> KeyPair | None:
    """The pair in the blob of an EC2 credential; None when it holds something else."""
    try:
        return msgspec.json.decode(blob, type=KeyPair)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
