"""Signatures of EC2 (versions 0, 1, 2 and 4) and of S3 (2 and 4): what the bearer of a secret would have sent.

A request that was signed comes as the service received it: verb, host, path, parameters, headers and the hash of its
body, or, for S3, the text that was signed. What is missing or of another form raises `BadSignature`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

_V4 = "AWS4-HMAC-SHA256"
_END = "aws4_request"
_S3_SERVICES = frozenset({"s3", "iam", "sts"})
#: they left the port out of the host that they signed
_OLD_BOTO = re.compile(r"Boto/2\.[0-9]\.[0-2]")


class BadSignature(Exception):
    """There is no signature that would fit."""


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """A request as a service of EC2 passes it on."""

    access: str
    signature: str
    verb: str = ""
    host: str = ""
    path: str = ""
    params: Mapping[str, Any] = {}
    headers: Mapping[str, Any] = {}
    body_hash: str = ""
    #: of S3: the text that was signed, in base64
    token: str | None = None


def fits(secret: str, signed: Signed) -> bool:
    """Whether `signed` was signed with `secret`. Some clients sign the host without its port."""
    if _same(_expected(secret, signed), signed.signature):
        return True
    host, colon, port = signed.host.rpartition(":")
    if not colon or not port.isdigit():
        return False
    return _same(_expected(secret, msgspec.structs.replace(signed, host=host)), signed.signature)


def fits_s3(secret: str, token: str, signature: str) -> bool:
    """Whether the text in `token` was signed with `secret`."""
    try:
        raw = base64.urlsafe_b64decode(token)
    except (binascii.Error, ValueError):
        raise BadSignature("the text that was signed is not base64") from None
    if raw.startswith(b"AWS4"):
        return _same(_s3_v4(secret, raw), signature)
    return _same(_base64(_mac(secret.encode(), raw, "sha1")), signature)


def signed_at(signed: Signed) -> str | None:
    """When the request says that it was signed; None when it does not say."""
    # version 4 signs no parameters of a POST, but always its own date
    stated = (
        None if signed.params.get("SignatureVersion") is None and _is_v4(signed) else signed.params.get("Timestamp")
    )
    found = stated or signed.headers.get("X-Amz-Date") or signed.params.get("X-Amz-Date")
    return None if not found else _text(found)


def _expected(secret: str, signed: Signed) -> str:
    version, key = signed.params.get("SignatureVersion"), secret.encode()
    if version == "0":
        text = _text(signed.params.get("Action")) + _text(signed.params.get("Timestamp"))
        return _base64(_mac(key, text.encode(), "sha1"))
    if version == "1":
        names = sorted(signed.params, key=str.lower)
        return _base64(_mac(key, "".join(name + _text(signed.params[name]) for name in names).encode(), "sha1"))
    if version == "2":
        query = _query({**signed.params, "SignatureMethod": "HmacSHA256"})
        text = "\n".join((signed.verb, signed.host, signed.path, query))
        return _base64(_mac(key, text.encode(), "sha256"))
    if version is None and _is_v4(signed):
        return _v4(secret, signed)
    raise BadSignature("the version of the signature is not known")


def _is_v4(signed: Signed) -> bool:
    authorization = signed.headers.get("Authorization")
    return (isinstance(authorization, str) and authorization.startswith(_V4)) or (
        signed.params.get("X-Amz-Algorithm") == _V4
    )


def _v4(secret: str, signed: Signed) -> str:
    names = _v4_part(signed, "SignedHeaders")
    query = "" if signed.verb.upper() == "POST" else _query(signed.params)
    request = "\n".join((signed.verb.upper(), signed.path, query, _v4_headers(signed, names), names, signed.body_hash))
    _, *scope = _v4_part(signed, "Credential").split("/")
    date = _text(signed.headers.get("X-Amz-Date") or signed.params.get("X-Amz-Date"))
    if len(scope) != 4 or scope[3] != _END or not date.startswith(scope[0]):
        raise BadSignature("the date and the scope of the signature do not belong together")
    digest = hashlib.sha256(request.encode()).hexdigest()
    return _mac(_v4_key(secret, scope), "\n".join((_V4, date, "/".join(scope), digest)).encode(), "sha256").hex()


def _v4_headers(signed: Signed, names: str) -> str:
    values = {name.lower().strip(): _text(value).strip() for name, value in signed.headers.items()}
    if _OLD_BOTO.match(values.get("user-agent", "")) and "host" in values:
        values["host"] = values["host"].split(":")[0]
    return "".join(f"{name}:{values[name]}\n" for name in names.split(";") if name in values)


def _v4_part(signed: Signed, name: str) -> str:
    """One of the parts that are in the Authorization header, or else among the parameters."""
    authorization = signed.headers.get("Authorization")
    if isinstance(authorization, str):
        return authorization.partition(f"{name}=")[2].split(",")[0].strip()
    return _text(signed.params.get(f"X-Amz-{name}"))


def _v4_key(secret: str, scope: list[str]) -> bytes:
    key = ("AWS4" + secret).encode()
    for part in scope:
        key = _mac(key, part.encode(), "sha256")
    return key


def _s3_v4(secret: str, raw: bytes) -> str:
    lines = raw.decode("utf-8", "replace").split("\n")
    scope = lines[2].split("/") if len(lines) == 4 else []
    if len(scope) != 4 or lines[0] != _V4 or scope[3] != _END or scope[2] not in _S3_SERVICES:
        raise BadSignature("the text that was signed has another form")
    return _mac(_v4_key(secret, scope), raw, "sha256").hex()


def _query(params: Mapping[str, Any]) -> str:
    """The parameters in the form in which they are signed; the presigned form does not sign its own signature."""
    left = sorted(name for name in params if name not in ("Signature", "X-Amz-Signature"))
    return "&".join(f"{quote(name, safe='')}={quote(_text(params[name]), safe='-_~')}" for name in left)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadSignature("a part of the request is missing or of another form")
    return str(value)


def _mac(key: bytes, message: bytes, digest: str) -> bytes:
    return hmac.new(key, message, digest).digest()


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode("utf-8", "replace"))
