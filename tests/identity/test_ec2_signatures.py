"""Signatures of EC2 and S3, made here as clients make them."""

from __future__ import annotations

import base64
import hashlib
import hmac
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kilostack.identity.model.ec2_signatures import BadSignature, Signed, fits, fits_s3

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


def _mac(key: bytes, text: str, digest: str = "sha256") -> bytes:
    return hmac.new(key, text.encode(), digest).digest()


def _key(*scope: str) -> bytes:
    key = b"AWS4" + SECRET.encode()
    for part in (*scope, "aws4_request"):
        key = _mac(key, part)
    return key


def test_the_example_of_version_four() -> None:
    """The one that Amazon's own documentation shows for IAM, with its published result."""
    authorization = (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date, Signature=whatever"
    )
    signed = Signed(
        access="AKIDEXAMPLE",
        signature="5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
        verb="GET",
        host="iam.amazonaws.com",
        path="/",
        params={"Action": "ListUsers", "Version": "2010-05-08"},
        headers={
            "Authorization": authorization,
            "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
            "Host": "iam.amazonaws.com",
            "X-Amz-Date": "20150830T123600Z",
        },
        body_hash=hashlib.sha256(b"").hexdigest(),
    )
    assert fits(SECRET, signed)
    assert not fits(SECRET + "x", signed)


def test_version_zero_and_one() -> None:
    params = {"SignatureVersion": "0", "Action": "Do", "Timestamp": "2010-01-01T00:00:00Z"}
    signature = base64.b64encode(_mac(SECRET.encode(), "Do2010-01-01T00:00:00Z", "sha1")).decode()
    assert fits(SECRET, Signed(access="a", signature=signature, params=params))
    params = {"SignatureVersion": "1", "b": "2", "A": "1"}
    signature = base64.b64encode(_mac(SECRET.encode(), "A1b2SignatureVersion1", "sha1")).decode()
    assert fits(SECRET, Signed(access="a", signature=signature, params=params))
    assert not fits(SECRET, Signed(access="a", signature=signature, params={**params, "b": "3"}))


def _version_two(host: str, values: dict[str, str]) -> str:
    params = {**values, "SignatureVersion": "2", "SignatureMethod": "HmacSHA256"}
    query = "&".join(f"{quote(k, safe='')}={quote(v, safe='-_~')}" for k, v in sorted(params.items()))
    return base64.b64encode(_mac(SECRET.encode(), f"GET\n{host}\n/x\n{query}")).decode()


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8"))))
def test_version_two(values: dict[str, str]) -> None:
    values = {name: value for name, value in values.items() if not name.startswith(("Signature", "X-Amz"))}
    params = {**values, "SignatureVersion": "2", "SignatureMethod": "HmacSHA256"}
    signature = _version_two("h:80", values)
    assert fits(SECRET, Signed(access="a", signature=signature, verb="GET", host="h:80", path="/x", params=params))
    assert not fits(SECRET, Signed(access="a", signature="no", verb="GET", host="h:80", path="/x", params=params))


def test_a_host_that_was_signed_without_its_port() -> None:
    params = {"SignatureVersion": "2", "SignatureMethod": "HmacSHA256"}
    asked = Signed(access="a", signature=_version_two("h", {}), verb="GET", host="h:8773", path="/x", params=params)
    assert fits(SECRET, asked)


def test_what_gateways_of_s3_send() -> None:
    text = "GET\n\n\nTue, 27 Mar 2007 19:36:42 +0000\n/awsexamplebucket1/photos/puppy.jpg"
    # the result that Amazon's documentation shows
    token = base64.b64encode(text.encode()).decode()
    assert fits_s3("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", token, "qgk2+6Sv9/oM7G3qLEjTH1a1l1g=")
    assert not fits_s3(SECRET, token, "qgk2+6Sv9/oM7G3qLEjTH1a1l1g=")
    text = f"AWS4-HMAC-SHA256\n20260101T000000Z\n20260101/r/s3/aws4_request\n{'0' * 64}"
    token = base64.b64encode(text.encode()).decode()
    assert fits_s3(SECRET, token, _mac(_key("20260101", "r", "s3"), text).hex())


@pytest.mark.parametrize(
    "text", ["AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256\nd\nd/r/ec2/aws4_request\n0", "AWS4-HMAC-SHA256\nd\nd/r/s3/x\n0"]
)
def test_a_text_for_another_service_is_refused(text: str) -> None:
    with pytest.raises(BadSignature):
        fits_s3(SECRET, base64.b64encode(text.encode()).decode(), "0")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(st.sampled_from(["SignatureVersion", "Action", "X-Amz-Algorithm", "X-Amz-Credential", "x"]), _JSON),
    st.dictionaries(st.sampled_from(["Authorization", "X-Amz-Date", "Host"]), _JSON),
)
def test_whatever_comes_there_is_no_other_error(params: dict[str, Any], headers: dict[str, Any]) -> None:
    with suppress(BadSignature):
        assert not fits(SECRET, Signed(access="a", signature="no", host="h:1", params=params, headers=headers))
