"""Tokens: what identity says about a caller, signed, so that whoever has the public key can read it without asking.

A token is base64url (no padding) of: one byte of version, four of key id, the Ed25519 signature (64), and the claims as
a msgpack array. The signature covers everything else. A token of a user with four roles is about 700 characters long.
"""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Iterable, Mapping

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kilostack.core.access_rules import AccessRule
from kilostack.core.context import Context

_VERSION = b"\x01"
#: the first byte of a receipt, so that neither is ever taken for the other
_RECEIPT = b"\x02"
_KEY_ID_BYTES = 4
_SIGNATURE_BYTES = 64
_HEAD_BYTES = len(_VERSION) + _KEY_ID_BYTES
_LONGEST_TEXT = 8192


class BadToken(Exception):
    """Not a token of ours, or not as we signed it."""


class UnknownKey(BadToken):
    """Looks like a token, but names a key that is not known (yet): `key` is what it calls it."""

    def __init__(self, key: bytes) -> None:
        super().__init__("signed with an unknown key")
        self.key = key


class TrustClaims(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The trust that a token was made with."""

    id: str
    trustor_id: str
    trustee_id: str
    #: the token's user is the trustor
    impersonation: bool
    #: of a trust that hands on others: their trustors and trustees
    agent_ids: tuple[str, ...] = ()
    #: of all these users
    domain_ids: tuple[str, ...] = ()


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
    #: what the credential may be used for; None for everything
    access_rules: tuple[AccessRule, ...] | None = None
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
            access_rules=self.access_rules,
        )

    def _scopes(self) -> Iterable[tuple[str, str]]:
        """What the roles are held on, in the words of subjects."""
        if self.project_id:
            yield "project", self.project_id
            yield "projects", self.project_domain_id
        if self.domain_id:
            yield "domain", self.domain_id
        if self.system:
            yield "system", "all"

    def subjects(self) -> tuple[str, ...]:
        """Everything whose revocation ends this token."""
        found = [audit_subject(self.audit_ids[0]), user_subject(self.user_id), domain_subject(self.user_domain_id)]
        found.append(chain_subject(self.audit_ids[-1]))
        if self.project_id:
            found += [project_subject(self.project_id), domain_subject(self.project_domain_id)]
        if self.domain_id:
            found.append(domain_subject(self.domain_id))
        # the roles of a trust are lost by whoever delegated them
        users = {self.user_id} if self.trust is None else {self.trust.trustor_id, *self.trust.agent_ids}
        for kind, scope_id in self._scopes():
            for role_id, _ in self.roles:
                found += [scope_subject(user_id, kind, scope_id, role_id) for user_id in sorted(users)]
                found += [group_scope_subject(group_id, kind, scope_id, role_id) for group_id in self.group_ids]
        if self.credential_id:
            found.append(credential_subject(self.credential_id))
        if self.trust is not None:
            users.add(self.trust.trustee_id)
            found.append(trust_subject(self.trust.id))
            found += [user_subject(user_id) for user_id in sorted(users - {self.user_id})]
            found += [domain_subject(domain_id) for domain_id in self.trust.domain_ids]
        if self.access_token_id:
            found += [consumer_subject(self.consumer_id), access_token_subject(self.access_token_id)]
        if self.provider_id:
            found.append(provider_subject(self.provider_id))
        found += [role_subject(role_id) for role_id, _ in self.roles]
        return tuple(found)


class Receipt(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Some of the ways in that somebody's rules ask for were shown; it goes with the request that shows the others.

    `number` is as in `Claims`: what ends the tokens of the user ends their receipts.
    """

    number: int
    issued_at: int
    expires_at: int
    user_id: str
    methods: tuple[str, ...]


def audit_subject(audit_id: str) -> str:
    return f"audit {audit_id}"


def chain_subject(audit_id: str) -> str:
    """A token and all that were made from it, directly or not."""
    return f"chain {audit_id}"


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


def scope_subject(user_id: str, kind: str, scope_id: str, role_id: str) -> str:
    """A user's role on one project, domain or the system; of kind "projects", that on all projects of a domain."""
    return f"user {user_id} {kind} {scope_id} {role_id}"


def group_scope_subject(group_id: str, kind: str, scope_id: str, role_id: str) -> str:
    """The role that a user from elsewhere has there by a group that was mapped."""
    return f"group {group_id} {kind} {scope_id} {role_id}"


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """The public half, 32 bytes."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def key_id(public: bytes) -> bytes:
    """What tokens call the key."""
    return hashlib.sha256(public).digest()[:_KEY_ID_BYTES]


class Signer:
    """Makes tokens and receipts; only identity has one."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._id = key_id(public_bytes(key))

    def sign(self, claims: Claims) -> str:
        """The token."""
        return self._signed(_VERSION + self._id, _encode(claims))

    def sign_receipt(self, receipt: Receipt) -> str:
        """The receipt."""
        return self._signed(_RECEIPT + self._id, _encode(receipt))

    def _signed(self, head: bytes, payload: bytes) -> str:
        return _text(head + self._key.sign(head + payload) + payload)


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
        try:
            return _decode(self._payload(text, _VERSION))
        except msgspec.DecodeError:
            raise BadToken("the signature does not match") from None

    def read_receipt(self, text: str) -> Receipt:
        """A receipt, as `read` reads tokens."""
        try:
            return _decode_receipt(self._payload(text, _RECEIPT))
        except msgspec.DecodeError:
            raise BadToken("the signature does not match") from None

    def _payload(self, text: str, version: bytes) -> bytes:
        raw = _raw(text)
        head, signature, payload = (
            raw[:_HEAD_BYTES],
            raw[_HEAD_BYTES : _HEAD_BYTES + _SIGNATURE_BYTES],
            raw[_HEAD_BYTES + _SIGNATURE_BYTES :],
        )
        if not payload or head[:1] != version:
            raise BadToken("not a token")
        if (key := self._keys.get(head[1:])) is None:
            raise UnknownKey(head[1:])
        try:
            key.verify(signature, head + payload)
        except InvalidSignature:
            raise BadToken("the signature does not match") from None
        return payload


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Claims).decode
_decode_receipt = msgspec.msgpack.Decoder(Receipt).decode


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
