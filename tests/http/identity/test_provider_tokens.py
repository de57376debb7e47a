"""Which tokens of an identity provider are taken: claims, clocks, keys, algorithms, and silent providers."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

import pytest
from joserfc import jwk

from kilostack.drivers.web.memory import MemoryWeb
from tests.http.identity.conftest import IdentityCloud
from tests.http.identity.openid import CLIENT, ISSUER, Provider, known

_USER = [{"user": {"name": "{0}"}}]


@pytest.fixture
async def provider(web: MemoryWeb, cloud: IdentityCloud) -> Provider:
    return Provider(web, cloud)


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"iss": "https://evil.test"}, 403),
        ({"iss": None}, 403),
        ({"iss": ISSUER + "/"}, 403),
        ({"iss": [ISSUER]}, 403),
        ({"aud": "somebody-else"}, 401),
        ({"aud": None}, 401),
        ({"aud": ["x", "y"]}, 401),
        ({"aud": {"cloud": 1}}, 401),
        ({"exp": None}, 401),
        ({"exp": "never"}, 401),
        ({"exp": True}, 401),
        ({"sub": ""}, 401),
        ({"sub": 5}, 401),
        ({"nbf": "x"}, 401),
        ({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}, 401),
    ],
)
async def test_claims_that_are_refused(
    cloud: IdentityCloud, provider: Provider, wrong: dict[str, Any], status: int
) -> None:
    await known(cloud, await cloud.admin(), local=_USER)
    token = provider.token(**({"sub": "alice"} | wrong))
    assert (await provider.log_in(token)).status == status
    assert (await provider.log_in(provider.token())).status == 201


@pytest.mark.parametrize(
    ("claim", "offset", "status"),
    [("exp", -59, 201), ("exp", -61, 401), ("nbf", 59, 201), ("nbf", 61, 401), ("iat", 61, 401)],
)
async def test_clocks_that_differ(
    cloud: IdentityCloud, provider: Provider, claim: str, offset: int, status: int
) -> None:
    await known(cloud, await cloud.admin(), local=_USER)
    cloud.world.ahead_s -= (cloud.world.now() % 1_000_000) / 1e6
    token = provider.token(**{claim: cloud.world.now() // 1_000_000 + offset})
    assert (await provider.log_in(token)).status == status


async def test_keys_and_algorithms(cloud: IdentityCloud, provider: Provider) -> None:
    await known(cloud, await cloud.admin(), local=_USER)
    for key, alg in (
        (jwk.ECKey.generate_key("P-256", {"kid": "ec"}), "ES256"),
        (jwk.ECKey.generate_key("P-384", {"kid": "ec3"}), "ES384"),
        (jwk.OKPKey.generate_key("Ed25519", {"kid": "ed"}), "EdDSA"),
        (provider.keys[0], "PS256"),
    ):
        provider.keys.append(key)
        provider.publish()
        cloud.world.passed_s += 11
        assert (await provider.log_in(provider.token(alg=alg))).status == 201, alg
    stranger = jwk.RSAKey.generate_key(2048, {"kid": "first"})
    assert (await provider.log_in(provider.token(key=stranger))).status == 401


def _coded(header: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")


async def test_a_public_key_is_no_shared_secret(cloud: IdentityCloud, provider: Provider) -> None:
    await known(cloud, await cloud.admin(), local=_USER)
    assert (await provider.log_in(provider.token())).status == 201
    head, claims, _ = provider.token().split(".")
    public = provider.keys[0].as_pem(private=False)
    confused = _coded({"alg": "HS256", "kid": "first"}) + "." + claims
    mac = base64.urlsafe_b64encode(hmac.digest(public, confused.encode(), "sha256")).decode().rstrip("=")
    assert (await provider.log_in(f"{confused}.{mac}")).status == 401
    for header in (
        {"alg": "none"},
        {"alg": "none", "kid": "first"},
        {"alg": 5},
        {},
        {"alg": "RS256", "kid": ["first"]},
    ):
        text = _coded(header)
        assert (await provider.log_in(f"{text}.{claims}.")).status == 401
        assert (await provider.log_in(f"{text}.{claims}.AAAA")).status == 401
    assert (await provider.log_in(f"{head}.{claims}.AAAA")).status == 401


_HEAD = "eyJhbGciOiJSUzI1NiJ9"
_NO_CLAIMS = f"{_HEAD}.bnVsbA.AAAA"
_DEEP = f"{_HEAD}.{base64.urlsafe_b64encode(b'[' * 5000).decode().rstrip('=')}.AAAA"


async def test_garbage_is_refused(cloud: IdentityCloud, provider: Provider) -> None:
    await known(cloud, await cloud.admin(), local=_USER)
    for garbage in ("", ".", "..", "a.b.c", "e30.e30.", "x" * 40_000, "W10.W10.W10", "\xff", _NO_CLAIMS, _DEEP):
        assert (await provider.log_in(garbage)).status == 401, garbage
    for header in ("Basic eDp5", "Bearer", "bearer  ", ""):
        path = "/OS-FEDERATION/identity_providers/acme/protocols/openid/auth"
        assert (await cloud.ask("GET", path, headers={"Authorization": header})).status == 401
    assert provider.web.asked == []


async def test_keys_are_kept_and_asked_for_again(cloud: IdentityCloud, provider: Provider) -> None:
    await known(cloud, await cloud.admin(), local=_USER)
    for _ in range(3):
        assert (await provider.log_in(provider.token())).status == 201
    assert len(provider.web.asked) == 2
    # a new key is found at once, but nobody can make us ask again and again
    provider.keys.append(jwk.RSAKey.generate_key(2048, {"kid": "second"}))
    provider.publish()
    cloud.world.passed_s += 11
    assert (await provider.log_in(provider.token())).status == 201
    assert len(provider.web.asked) == 4
    for at in range(5):
        stranger = jwk.RSAKey.generate_key(2048, {"kid": f"stranger-{at}"})
        assert (await provider.log_in(provider.token(key=stranger))).status == 401
    assert len(provider.web.asked) == 4
    # one that is not published any more is not taken for long
    old, provider.keys = provider.keys[0], provider.keys[1:]
    provider.publish()
    assert (await provider.log_in(provider.token(key=old))).status == 201
    cloud.world.passed_s += 3601
    assert (await provider.log_in(provider.token(key=old))).status == 401


async def test_a_provider_that_does_not_answer(cloud: IdentityCloud, provider: Provider) -> None:
    await known(cloud, await cloud.admin(), local=_USER)
    documents, provider.web.documents = provider.web.documents, {}
    answer = await provider.log_in(provider.token())
    assert (answer.status, answer.headers["retry-after"]) == (503, "10")
    cloud.world.passed_s += 11
    provider.web.documents = documents
    assert (await provider.log_in(provider.token())).status == 201
    # keys that are known go on for a day
    provider.web.documents = {}
    cloud.world.passed_s += 2 * 3600
    assert (await provider.log_in(provider.token())).status == 201
    cloud.world.passed_s += 24 * 3600
    assert (await provider.log_in(provider.token())).status == 503
    for wrong in (b"", b"[]", b"{}", b"\xff", b'{"issuer": "https://other.test", "jwks_uri": "https://other.test"}'):
        provider.web.documents = documents | {ISSUER + "/.well-known/openid-configuration": wrong}
        cloud.world.passed_s += 11
        assert (await provider.log_in(provider.token())).status == 503, wrong


async def test_without_an_audience_nobody_gets_in(cloud: IdentityCloud, provider: Provider) -> None:
    admin = await cloud.admin()
    await known(cloud, admin, local=_USER)
    for remote_ids in ([ISSUER], [ISSUER, CLIENT], [ISSUER, "aud:other"]):
        change = {"identity_provider": {"remote_ids": remote_ids}}
        await cloud.ask("PATCH", "/OS-FEDERATION/identity_providers/acme", admin, json=change)
        assert (await provider.log_in(provider.token())).status == 401
