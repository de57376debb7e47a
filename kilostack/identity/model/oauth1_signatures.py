"""Signed requests of OAuth 1.0a (RFC 5849): what their header says, and whether its secrets' owner has signed them."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec
from oauthlib.oauth1.rfc5849 import signature, utils

#: how far the clock of a consumer may be off
_CLOCK_SKEW_S = 600
_LONGEST_HEADER = 8192
_HASHES = {"HMAC-SHA1": hashlib.sha1, "HMAC-SHA256": hashlib.sha256, "HMAC-SHA512": hashlib.sha512}
_NEEDED = ("oauth_consumer_key", "oauth_nonce", "oauth_signature", "oauth_signature_method", "oauth_timestamp")


class Unsigned(Exception):
    """Not a request that was signed as it must be; says what is missing or malformed, never which secret is wrong."""


class SignedRequest(msgspec.Struct, frozen=True):
    """A request by POST, with the parameters of its Authorization header."""

    #: as the client sees it
    url: str
    authorization: str
    parameters: Mapping[str, str]

    def check_form(self, now_s: int) -> None:
        """Raise `Unsigned` unless all that a signature needs is there and of the right form."""
        for name in _NEEDED:
            if not self.parameters.get(name):
                raise Unsigned(f"Missing mandatory OAuth parameter {name}")
        if self.parameters.get("oauth_version", "1.0") != "1.0":
            raise Unsigned("Invalid OAuth version")
        if self.parameters["oauth_signature_method"] not in _HASHES:
            raise Unsigned(f"Invalid signature method, use one of {', '.join(_HASHES)}")
        stamp = self.parameters["oauth_timestamp"]
        if len(stamp) != 10 or not stamp.isascii() or not stamp.isdigit():
            raise Unsigned("Invalid timestamp")
        if abs(now_s - int(stamp)) > _CLOCK_SKEW_S:
            raise Unsigned(f"Timestamp given is invalid, it differs by more than {_CLOCK_SKEW_S} seconds")
        if self.parameters.get("realm"):
            raise Unsigned("Invalid realm, there are none")

    def is_signed_by(self, consumer_secret: str, token_secret: str = "") -> bool:
        """Whether the signature is one of these secrets; the form was checked before."""
        try:
            found = signature.collect_parameters(
                uri_query=urlsplit(self.url).query, headers={"Authorization": self.authorization}
            )
            text = signature.signature_base_string(
                "POST", signature.base_string_uri(self.url), signature.normalize_parameters(found)
            )
        except ValueError:
            return False
        key = f"{utils.escape(consumer_secret)}&{utils.escape(token_secret)}"
        wanted = hmac.new(key.encode(), text.encode(), _HASHES[self.parameters["oauth_signature_method"]]).digest()
        shown = self.parameters["oauth_signature"].encode()
        return hmac.compare_digest(base64.b64encode(wanted), shown)


def read(url: str, authorization: str | None) -> SignedRequest:
    """The request that has this Authorization header. Raises `Unsigned` for one that is not OAuth's."""
    if authorization is None:
        raise Unsigned("Missing Authorization header")
    if len(authorization) > _LONGEST_HEADER or not authorization[:6].lower() == "oauth ":
        raise Unsigned("Not an Authorization header of OAuth")
    try:
        pairs = utils.parse_authorization_header(authorization)
    except (ValueError, IndexError):
        raise Unsigned("Malformed Authorization header") from None
    return SignedRequest(url, authorization, {name: utils.unescape(value) for name, value in pairs})
