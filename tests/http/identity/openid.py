"""An identity provider in memory: it has keys, publishes them, and signs what the test wants."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import msgspec
from joserfc import jwk, jwt
from joserfc.errors import SecurityWarning

from kilostack.drivers.web.memory import MemoryWeb
from tests.http.cloud import Answer
from tests.http.identity.conftest import IdentityCloud

ISSUER = "https://idp.test/realms/acme"
CLIENT = "cloud"


@cache
def _first_key(issuer: str) -> jwk.Key:
    """The same in every test: it takes long to find one."""
    return jwk.RSAKey.generate_key(2048, {"kid": "first"})


class Provider:
    """`publish` after each change of its keys."""

    def __init__(self, web: MemoryWeb, cloud: IdentityCloud, issuer: str = ISSUER) -> None:
        self.web, self.cloud, self.issuer = web, cloud, issuer
        self.keys: list[jwk.Key] = [_first_key(issuer)]
        self.publish()

    def publish(self) -> None:
        documents = {
            "/.well-known/openid-configuration": {
                "issuer": self.issuer,
                "jwks_uri": self.issuer + "/keys",
                "authorization_endpoint": self.issuer + "/authorize",
                "token_endpoint": self.issuer + "/token",
            },
            "/keys": {"keys": [key.as_dict(private=False) for key in self.keys]},
        }
        for path, document in documents.items():
            self.web.documents[self.issuer + path] = msgspec.json.encode(document)

    def token(self, sub: str = "alice", *, key: jwk.Key | None = None, alg: str = "RS256", **claims: Any) -> str:
        """A token that is fine, except for what `claims` say; one that is None is left out."""
        now = self.cloud.world.now() // 1_000_000
        said = {"iss": self.issuer, "aud": CLIENT, "sub": sub, "iat": now, "exp": now + 300} | claims
        signing = key or self.keys[-1]
        header = {"alg": alg} if signing.kid is None else {"alg": alg, "kid": signing.kid}
        given = {name: value for name, value in said.items() if value is not None}
        with warnings.catch_warnings():
            # it warns of old names of algorithms, which providers use
            warnings.simplefilter("ignore", SecurityWarning)
            return jwt.encode(header, given, signing, algorithms=[alg])

    async def log_in(self, token: str, provider: str = "acme", protocol: str = "openid") -> Answer:
        path = f"/OS-FEDERATION/identity_providers/{provider}/protocols/{protocol}/auth"
        return await self.cloud.ask("POST", path, headers={"Authorization": f"Bearer {token}"})


async def known(cloud: IdentityCloud, admin: str, *, local: Any, remote: Any = None, version: str = "1.0") -> None:
    """The provider, a mapping of one rule, and the protocol between them."""
    root, rule = "/OS-FEDERATION", {"local": local, "remote": remote or [{"type": "sub"}]}
    mapping = {"mapping": {"rules": [rule], "schema_version": version}}
    provider = {"enabled": True, "remote_ids": [ISSUER, f"aud:{CLIENT}"]}
    for path, body in (
        ("/identity_providers/acme", {"identity_provider": provider}),
        ("/mappings/rules", mapping),
        ("/identity_providers/acme/protocols/openid", {"protocol": {"mapping_id": "rules"}}),
    ):
        answer = await cloud.ask("PUT", root + path, admin, json=body)
        assert answer.status == 201, answer.body
