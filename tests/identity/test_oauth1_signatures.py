"""Signed requests of OAuth 1.0a: the examples of its text, and whatever a library that others wrote signs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oauthlib.oauth1 import Client

from kilostack.identity.model.oauth1 import VERIFIER_LENGTH, is_verifier, verifier_of
from kilostack.identity.model.oauth1_signatures import Unsigned, read

_URL = "http://cloud.test/identity/v3/auth/tokens"
_NOW = 1_700_000_000
_text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)


def _signed(consumer: str, token: str, method: str = "HMAC-SHA1", url: str = _URL) -> str:
    client = Client(
        "key",
        client_secret=consumer,
        resource_owner_key="granted",
        resource_owner_secret=token,
        signature_method=method,
        timestamp=str(_NOW),
    )
    return str(client.sign(url, http_method="POST")[1]["Authorization"])


def test_the_example_of_the_text() -> None:
    """RFC 5849, 1.2: the client asks for token credentials."""
    header = (
        'OAuth realm="Photos", oauth_consumer_key="dpf43f3p2l4k3l03", oauth_token="hh5s93j4hdidpola", '
        'oauth_signature_method="HMAC-SHA1", oauth_timestamp="137131201", oauth_nonce="walatlh", '
        'oauth_verifier="hfdp7dh39dks9884", oauth_signature="gKgrFCywp7rO0OXSjdot%2FIHF7IU%3D"'
    )
    request = read("https://photos.example.net/token", header)
    assert request.parameters["oauth_signature"] == "gKgrFCywp7rO0OXSjdot/IHF7IU="
    assert request.is_signed_by("kd94hf93k423kf44", "hdhd0244k9j7ao03")
    assert not request.is_signed_by("kd94hf93k423kf44")
    assert not request.is_signed_by("kd94hf93k423kf44", "hdhd0244k9j7ao04")


@given(_text, _text, st.sampled_from(("HMAC-SHA1", "HMAC-SHA256", "HMAC-SHA512")))
def test_what_others_sign(consumer: str, token: str, method: str) -> None:
    request = read(_URL, _signed(consumer, token, method))
    request.check_form(_NOW + 599)
    assert request.is_signed_by(consumer, token)
    assert not request.is_signed_by(consumer + "x", token)
    assert not request.is_signed_by(consumer, token + "x")
    assert not read(_URL + "/x", request.authorization).is_signed_by(consumer, token)


@pytest.mark.parametrize(
    "url", [f"{_URL}?nocatalog=", f"{_URL}?a=b&c=%20d&a=1", "http://cloud.test:80/x", _URL.upper()]
)
def test_where_a_request_goes(url: str) -> None:
    assert read(url, _signed("a", "b", url=url)).is_signed_by("a", "b")


@pytest.mark.parametrize(
    ("found", "instead"),
    [
        ('oauth_version="1.0"', 'oauth_version="2.0"'),
        ("HMAC-SHA1", "RSA-SHA1"),
        (str(_NOW), str(_NOW - 601)),
        (str(_NOW), str(_NOW + 601)),
        (str(_NOW), "now"),
        ("oauth_nonce", "oauth_other"),
        ("oauth_signature=", "oauth_signed="),
        ("OAuth ", 'OAuth realm="x", '),
    ],
)
def test_what_is_not_signed_as_it_must_be(found: str, instead: str) -> None:
    header = _signed("a", "b")
    assert found in header
    with pytest.raises(Unsigned):
        read(_URL, header.replace(found, instead)).check_form(_NOW)


@given(st.text(max_size=60))
def test_no_header_is_an_error_of_ours(text: str) -> None:
    for header in (text, "OAuth " + text, f'OAuth oauth_nonce="{text}"'):
        try:
            request = read(_URL, header)
            request.check_form(_NOW)
        except Unsigned:
            continue
        assert not request.is_signed_by("a")


@given(st.binary(min_size=2 * VERIFIER_LENGTH, max_size=2 * VERIFIER_LENGTH))
def test_verifiers(noise: bytes) -> None:
    assert is_verifier(verifier_of(noise))
    for wrong in ("", "short", "lO01lO01", "äöüäöüäö"):
        assert not is_verifier(wrong)
