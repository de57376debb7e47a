"""SSH keys: made, read and fingerprinted."""

from __future__ import annotations

import base64
import hashlib

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from kilostack.core.errors import BadRequest

_BITS = 2048
_LONGEST = 16 * 1024


def fingerprint(public_key: str) -> str:
    """The MD5 fingerprint that clients compare. Raises `BadRequest` for what is no OpenSSH public key."""
    words = public_key.split()
    if len(public_key) > _LONGEST or not public_key.isprintable() or len(words) < 2:
        raise _invalid("it is not one line of type, key and comment")
    try:
        serialization.load_ssh_public_key(public_key.encode())
        blob = base64.b64decode(words[1], validate=True)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _invalid(str(error)) from None
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))


def _invalid(why: str) -> BadRequest:
    return BadRequest(f"Keypair data is invalid: failed to generate fingerprint: {why}", field="public_key")


def new_key(comment: str) -> tuple[str, str]:
    """A new RSA key as (public line, private PEM). Takes some 100 ms: call it in a thread."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return f"{public.decode()} {comment}", private.decode()
