"""Tokens: what identity says about a caller, signed, so that whoever has the public key can read it without asking.

A token is base64url (no padding) of: one byte of version, four of key id, the Ed25519 signature (64), and the claims as
a msgpack array. The signature covers everything else. A token of a user with four roles is about 700 characters long.
"""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Mapping

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kilostack.core.context import Context

_VERSION = b"\x01"
_KEY_ID_BYTES = 4
_SIGNATURE_BYTES = 64
_HEAD_BYTES = len(_VERSION) + _KEY_ID_BYTES
_LONGEST_TEXT = 8192


class BadToken(Exception):
    """Not a token of ours, or not as we signed it."""


class UnknownKey(BadToken):
    """Looks like a token, but names a key that is not known (yet)."""


class TrustClaims(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The trust that a token was made with."""

    id: str
    trustor_id: str
    trustee_id: str
    #: the token's user is the trustor
    impersonation: bool


class Claims(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Who the bearer is and what they may act on. At most one of project, domain and system is set.

    `number` is that of identity's feed when the claims were read: a revocation with a higher number came later.
    """

    number: int
    #: microseconds since 1970
    issued_at: int
    expires_at: int
    #: this token's own, and that of the first of its chain when it was made from another
    audit_ids: tuple[str, ...]
    methods: tuple[str, ...]
    user_id: str
    user_name: str
    user_domain_id: str
    user_domain_name: str
    project_id: str = ""
    project_name: str = ""
    project_domain_id: str = ""
    project_domain_name: str = ""
    domain_id: str = ""
    domain_name: str = ""
    system: bool = False
    #: (id, name)
    roles: tuple[tuple[str, str], ...] = ()
    credential_id: str = ""
    credential_name: str = ""
    #: may manage application credentials, although it came from one
    unrestricted: bool = False
    #: what the credential may be used for: (service type, method, pattern of paths); None for everything
    access_rules: tuple[tuple[str, str, str], ...] | None = None
    #: whether the project is a domain
    is_domain: bool = False
    #: microseconds since 1970; None never
    password_expires_at: int | None = None
    trust: TrustClaims | None = None
    #: OAuth 1: on whose behalf, and by which grant
    consumer_id: str = ""
    access_token_id: str = ""
    #: of a user from elsewhere: who said so, by which protocol, and the groups that were mapped
    provider_id: str = ""
    protocol_id: str = ""
    group_ids: tuple[str, ...] = ()

    @property
    def is_scoped(self) -> bool:
        return bool(self.project_id or self.domain_id or self.system)

    def context(self) -> Context:
        """The caller, request ids left empty."""
        return Context(
            request_id="",
            user_id=self.user_id,
            user_name=self.user_name,
            user_domain_id=self.user_domain_id,
            user_domain_name=self.user_domain_name,
            project_id=self.project_id,
            project_name=self.project_name,
            project_domain_id=self.project_domain_id,
            project_domain_name=self.project_domain_name,
            domain_id=self.domain_id,
            domain_name=self.domain_name,
            system=self.system,
            roles=tuple(name for _, name in self.roles),
            audit_id=self.audit_ids[0],
        )

    def subjects(self) -> tuple[str, ...]:
        """Everything whose revocation ends this token."""
        found = [audit_subject(self.audit_ids[0]), user_subject(self.user_id), domain_subject(self.user_domain_id)]
        if self.project_id:
            found += [project_subject(self.project_id), domain_subject(self.project_domain_id)]
            found.append(scope_subject(self.user_id, "project", self.project_id))
        if self.domain_id:
            found += [domain_subject(self.domain_id), scope_subject(self.user_id, "domain", self.domain_id)]
        if self.system:
            found.append(scope_subject(self.user_id, "system", "all"))
        if self.credential_id:
            found.append(credential_subject(self.credential_id))
        if self.trust is not None:
            found += [trust_subject(self.trust.id), user_subject(self.trust.trustor_id)]
            found.append(user_subject(self.trust.trustee_id))
        if self.access_token_id:
            found += [consumer_subject(self.consumer_id), access_token_subject(self.access_token_id)]
        if self.provider_id:
            found.append(provider_subject(self.provider_id))
        found += [role_subject(role_id) for role_id, _ in self.roles]
        return tuple(found)


def audit_subject(audit_id: str) -> str:
    return f"audit {audit_id}"


def user_subject(user_id: str) -> str:
    return f"user {user_id}"


def project_subject(project_id: str) -> str:
    return f"project {project_id}"


def domain_subject(domain_id: str) -> str:
    return f"domain {domain_id}"


def role_subject(role_id: str) -> str:
    return f"role {role_id}"


def credential_subject(credential_id: str) -> str:
    return f"credential {credential_id}"


def trust_subject(trust_id: str) -> str:
    return f"trust {trust_id}"


def consumer_subject(consumer_id: str) -> str:
    return f"consumer {consumer_id}"


def access_token_subject(access_token_id: str) -> str:
    return f"access token {access_token_id}"


def provider_subject(provider_id: str) -> str:
    """An identity provider."""
    return f"provider {provider_id}"


def scope_subject(user_id: str, kind: str, scope_id: str) -> str:
    """A user's roles on one project, domain or the system."""
    return f"user {user_id} {kind} {scope_id}"


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """The public half, 32 bytes."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def key_id(public: bytes) -> bytes:
    """What tokens call the key."""
    return hashlib.sha256(public).digest()[:_KEY_ID_BYTES]


class Signer:
    """Makes tokens; only identity has one."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._head = _VERSION + key_id(public_bytes(key))

    def sign(self, claims: Claims) -> str:
        """The token."""
        payload = _encode(claims)
        signature = self._key.sign(self._head + payload)
        return _text(self._head + signature + payload)


class PublicKeys:
    """The keys that tokens may be signed with."""

    def __init__(self, publics: Mapping[bytes, bytes] | None = None) -> None:
        self._keys: dict[bytes, Ed25519PublicKey] = {}
        for name, public in (publics or {}).items():
            self._keys[name] = Ed25519PublicKey.from_public_bytes(public)

    @classmethod
    def of(cls, *publics: bytes) -> PublicKeys:
        return cls({key_id(public): public for public in publics})

    def read(self, text: str) -> Claims:
        """The claims of a token that one of these keys has signed; expiry is for the caller to check.

        Raises `UnknownKey` or `BadToken`.
        """
        raw = _raw(text)
        head, signature, payload = (
            raw[:_HEAD_BYTES],
            raw[_HEAD_BYTES : _HEAD_BYTES + _SIGNATURE_BYTES],
            raw[_HEAD_BYTES + _SIGNATURE_BYTES :],
        )
        if not payload or head[:1] != _VERSION:
            raise BadToken("not a token")
        if (key := self._keys.get(head[1:])) is None:
            raise UnknownKey("signed with an unknown key")
        try:
            key.verify(signature, head + payload)
            return _decode(payload)
        except (InvalidSignature, msgspec.DecodeError):
            raise BadToken("the signature does not match") from None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Claims).decode


def _text(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).decode().rstrip("=").translate(_TO_URL)


def _raw(text: str) -> bytes:
    if len(text) > _LONGEST_TEXT or not text.isascii() or not _OTHER_ALPHABET.isdisjoint(text):
        raise BadToken("not a token")
    try:
        padded = text.translate(_FROM_URL) + "=" * (-len(text) % 4)
        return binascii.a2b_base64(padded, strict_mode=True)
    except (binascii.Error, ValueError):
        raise BadToken("not a token") from None


_OTHER_ALPHABET = frozenset("+/=")
_TO_URL = str.maketrans("+/", "-_")
_FROM_URL = str.maketrans("-_", "+/")
