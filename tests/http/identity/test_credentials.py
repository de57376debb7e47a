"""Credentials of users: who may read them, how they are kept, and tokens for what their key pairs have signed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from keystoneclient.contrib.ec2.utils import Ec2Signer  # type: ignore[import-untyped]

from kilostack.identity.store.credentials import CREDENTIALS
from tests.http.cloud import Answer, cases, play
from tests.http.identity.conftest import DEMO, IdentityCloud, on_project, somebody


async def test_every_operation(cloud: IdentityCloud) -> None:
    other_user = await somebody(cloud, "other")
    kept = {
        "admin": await cloud.admin(),
        "demo": await cloud.demo(),
        "other": await cloud.token("other", "pw", "demo"),
        "other_user": other_user,
        "admin_user": await cloud.id_of("users", "admin"),
        "demo_user": await cloud.id_of("users", "demo"),
        "demo_project": await cloud.id_of("projects", "demo"),
    }
    for case in cases(Path(__file__).with_name("credentials.yaml")):
        await play(cloud.client, case, kept)


async def test_blobs_are_sealed_and_go_with_their_owner(cloud: IdentityCloud) -> None:
    admin, user_id = await cloud.admin(), await somebody(cloud, "other")
    body = {"credential": {"blob": "very secret", "type": "cert", "user_id": user_id}}
    assert (await cloud.ask("POST", "/credentials", admin, json=body)).status == 201
    (kept,) = await cloud.db.read(lambda tx: CREDENTIALS.where(tx, user_id=user_id))
    assert "very secret" not in str(kept)
    assert (await cloud.ask("DELETE", f"/users/{user_id}", admin)).status == 204
    assert await cloud.db.read(lambda tx: CREDENTIALS.where(tx, user_id=user_id)) == []


async def test_a_credential_goes_with_its_project(cloud: IdentityCloud) -> None:
    admin, user_id = await cloud.admin(), await cloud.id_of("users", "admin")
    made = await cloud.ask("POST", "/projects", admin, json={"project": {"name": "p"}})
    project_id = made.json()["project"]["id"]
    path = f"/users/{user_id}/credentials/OS-EC2"
    assert (await cloud.ask("POST", path, admin, json={"tenant_id": project_id})).status == 201
    assert (await cloud.ask("DELETE", f"/projects/{project_id}", admin)).status == 204
    assert (await cloud.ask("GET", path, admin)).json()["credentials"] == []


async def test_delegated_tokens_see_no_credentials(cloud: IdentityCloud) -> None:
    demo, user_id = await cloud.demo(), await cloud.id_of("users", "demo")
    body = {"application_credential": {"name": "a", "unrestricted": True}}
    made = (await cloud.ask("POST", f"/users/{user_id}/application_credentials", demo, json=body)).json()
    credential = made["application_credential"]
    identity = {
        "methods": ["application_credential"],
        "application_credential": {"id": credential["id"], "secret": credential["secret"]},
    }
    answer = await cloud.ask("POST", "/auth/tokens", json={"auth": {"identity": identity}})
    token = answer.headers["x-subject-token"]
    body = {"credential": {"blob": "x", "type": "cert", "user_id": user_id}}
    own = (await cloud.ask("POST", "/credentials", demo, json=body)).json()["credential"]["id"]
    assert (await cloud.ask("GET", "/credentials", token)).json()["credentials"] == []
    refused = [
        await cloud.ask("POST", "/credentials", token, json=body),
        await cloud.ask("GET", f"/credentials/{own}", token),
        await cloud.ask("PATCH", f"/credentials/{own}", token, json={"credential": {"blob": "y"}}),
        await cloud.ask("DELETE", f"/credentials/{own}", token),
        await cloud.ask("GET", f"/users/{user_id}/credentials/OS-EC2", token),
        await cloud.ask(
            "POST", f"/users/{user_id}/credentials/OS-EC2", token, json={"tenant_id": credential["project_id"]}
        ),
    ]
    assert [answer.status for answer in refused] == [403] * len(refused)
    assert all("Delegated tokens" in answer.json()["error"]["message"] for answer in refused)


class Pair:
    """A key pair of demo, and requests signed with it."""

    def __init__(self, cloud: IdentityCloud, admin: str, made: dict[str, Any]) -> None:
        self.cloud, self.admin = cloud, admin
        self.access, self.secret = str(made["access"]), str(made["secret"])

    async def ec2(self, **more: Any) -> Answer:
        credentials: dict[str, Any] = {
            "access": self.access,
            "host": "ec2.test:8773",
            "verb": "GET",
            "path": "/services/Cloud",
            "params": {"Action": "x", "SignatureVersion": "2", "SignatureMethod": "HmacSHA256"},
            **more,
        }
        credentials["signature"] = Ec2Signer(self.secret).generate(json.loads(json.dumps(credentials)))
        return await self.cloud.ask("POST", "/ec2tokens", self.admin, json={"ec2Credentials": credentials})

    async def s3(self, text: str, signature: str) -> Answer:
        token = base64.b64encode(text.encode()).decode()
        shown = {"access": self.access, "token": token, "signature": signature}
        return await self.cloud.ask("POST", "/s3tokens", self.admin, json={"credentials": shown})


@pytest.fixture
async def pair(cloud: IdentityCloud) -> Pair:
    path = f"/users/{await cloud.id_of('users', 'demo')}/credentials/OS-EC2"
    body = {"tenant_id": await cloud.id_of("projects", "demo")}
    made = await cloud.ask("POST", path, await cloud.demo(), json=body)
    return Pair(cloud, await cloud.admin(), made.json()["credential"])


async def test_a_token_for_a_signed_request(cloud: IdentityCloud, pair: Pair) -> None:
    answer = await pair.ec2()
    assert answer.status == 200
    token = answer.json()["token"]
    assert token["methods"] == ["ec2credential"]
    assert token["user"]["name"] == token["project"]["name"] == "demo"
    assert token["catalog"]
    issued = answer.headers["x-subject-token"]
    seen = await cloud.ask("GET", "/auth/tokens", issued, headers={"X-Subject-Token": issued})
    assert seen.json()["token"]["audit_ids"] == token["audit_ids"]


async def test_such_a_token_makes_nothing_that_lasts(cloud: IdentityCloud, pair: Pair) -> None:
    issued = (await pair.ec2()).headers["x-subject-token"]
    user_id = await cloud.id_of("users", "demo")
    body = {"application_credential": {"name": "a"}}
    refused = [
        await cloud.ask("POST", f"/users/{user_id}/application_credentials", issued, json=body),
        await cloud.ask("GET", f"/users/{user_id}/application_credentials", issued),
        await cloud.ask("GET", f"/users/{user_id}/access_rules", issued),
        await cloud.ask("GET", f"/users/{user_id}/credentials/OS-EC2", issued),
        await cloud.ask(
            "POST", "/auth/tokens", json={"auth": {"identity": {"methods": ["token"], "token": {"id": issued}}}}
        ),
    ]
    assert [answer.status for answer in refused] == [403] * len(refused)


@pytest.mark.parametrize("version", ["0", "1", "2"])
async def test_older_signatures(pair: Pair, version: str) -> None:
    params = {"Action": "x", "SignatureVersion": version, "b": "1", "A": "2"}
    if version == "0":
        params["Timestamp"] = "2999-01-01T00:00:00Z"
    assert (await pair.ec2(params=params)).status == 200


@pytest.mark.parametrize("place", ["headers", "params"])
async def test_signatures_of_version_four(cloud: IdentityCloud, pair: Pair, place: str) -> None:
    scope = "20990101/RegionOne/ec2/aws4_request"
    if place == "headers":
        authorization = f"AWS4-HMAC-SHA256 Credential={pair.access}/{scope}, SignedHeaders=host;x-amz-date, Signature=0"
        headers = {"Authorization": authorization, "Host": "ec2.test:8773", "X-Amz-Date": "20990101T000000Z"}
        more: dict[str, Any] = {"headers": headers, "params": {"Action": "x"}}
    else:
        params = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{pair.access}/{scope}",
            "X-Amz-Date": "20990101T000000Z",
            "X-Amz-SignedHeaders": "host",
        }
        more = {"headers": {"Host": "ec2.test:8773"}, "params": params}
    assert (await pair.ec2(**more, body_hash=hashlib.sha256(b"").hexdigest())).status == 200


async def test_an_old_request_of_version_four_is_not_made_young_by_what_is_not_signed(pair: Pair) -> None:
    scope = "20010101/RegionOne/ec2/aws4_request"
    authorization = f"AWS4-HMAC-SHA256 Credential={pair.access}/{scope}, SignedHeaders=host;x-amz-date, Signature=0"
    headers = {"Authorization": authorization, "Host": "ec2.test:8773", "X-Amz-Date": "20010101T000000Z"}
    body_hash = hashlib.sha256(b"").hexdigest()
    for params in ({"Action": "x"}, {"Action": "x", "Timestamp": "2999-01-01T00:00:00Z"}):
        answer = await pair.ec2(verb="POST", headers=headers, params=params, body_hash=body_hash)
        assert answer.status == 401
        assert "expired" in answer.json()["error"]["message"]


async def test_an_old_request_is_refused(pair: Pair) -> None:
    params = {"SignatureVersion": "2", "Timestamp": "2001-01-01T00:00:00Z"}
    answer = await pair.ec2(params=params)
    assert answer.status == 401
    assert "expired" in answer.json()["error"]["message"]
    assert (await pair.ec2(params=params | {"Timestamp": "yesterday"})).status == 401


async def test_what_gateways_of_s3_ask(pair: Pair) -> None:
    text = "GET\n\n\n\n/bucket"
    signature = base64.b64encode(hmac.digest(pair.secret.encode(), text.encode(), "sha1")).decode()
    answer = await pair.s3(text, signature)
    assert answer.status == 200
    assert answer.json()["token"]["project"]["name"] == "demo"
    assert "x-subject-token" not in answer.headers
    assert (await pair.s3(text + "s", signature)).status == 401


async def test_whose_pair_it_is_must_be_enabled_and_have_a_role(cloud: IdentityCloud, pair: Pair) -> None:
    user_id = await cloud.id_of("users", "demo")
    enabled = {"user": {"enabled": False}}
    assert (await cloud.ask("PATCH", f"/users/{user_id}", pair.admin, json=enabled)).status == 200
    assert (await pair.ec2()).status == 401
    enabled["user"]["enabled"] = True
    assert (await cloud.ask("PATCH", f"/users/{user_id}", pair.admin, json=enabled)).status == 200
    assert (await pair.ec2()).status == 200
    project = await cloud.id_of("projects", "demo")
    for role in ("member", "reader", "manager"):
        path = f"/projects/{project}/users/{user_id}/roles/{await cloud.id_of('roles', role)}"
        await cloud.ask("DELETE", path, pair.admin)
    assert (await cloud.log_in("demo", DEMO, on_project("demo"))).status == 401
    assert (await pair.ec2()).status == 401


async def test_a_pair_is_bound_to_the_application_credential_it_names(cloud: IdentityCloud, pair: Pair) -> None:
    """Whoever keeps such a pair gets what the credential gives, and nothing when it is gone or somebody else's."""
    demo, user_id = await cloud.demo(), await cloud.id_of("users", "demo")
    project = await cloud.id_of("projects", "demo")
    body = {"application_credential": {"name": "a", "roles": [{"name": "reader"}]}}
    path = f"/users/{user_id}/application_credentials"
    credential = (await cloud.ask("POST", path, demo, json=body)).json()["application_credential"]
    blob = {"access": "bound", "secret": "s", "app_cred_id": credential["id"]}
    document = {"type": "ec2", "blob": json.dumps(blob), "user_id": user_id, "project_id": project}
    assert (await cloud.ask("POST", "/credentials", demo, json={"credential": document})).status == 201
    bound = Pair(cloud, pair.admin, blob)
    token = (await bound.ec2()).json()["token"]
    assert [role["name"] for role in token["roles"]] == ["reader"]
    assert token["application_credential"]["id"] == credential["id"]
    assert (await cloud.ask("DELETE", f"{path}/{credential['id']}", demo)).status == 204
    assert (await bound.ec2()).status == 401


async def test_a_pair_is_bound_to_the_trust_it_names(cloud: IdentityCloud, pair: Pair) -> None:
    """It lets in whom the trust lets in, and nobody who merely knows what the trust is called."""
    demo, trustor = await cloud.demo(), await cloud.id_of("users", "demo")
    trustee, project = await somebody(cloud, "trustee"), await cloud.id_of("projects", "demo")
    stranger = await somebody(cloud, "stranger")
    trust = {
        "trustor_user_id": trustor,
        "trustee_user_id": trustee,
        "project_id": project,
        "impersonation": True,
        "roles": [{"name": "reader"}],
    }
    trust_id = (await cloud.ask("POST", "/OS-TRUST/trusts", demo, json={"trust": trust})).json()["trust"]["id"]
    for user_id, status in ((trustor, 200), (trustee, 200), (stranger, 401)):
        blob = {"access": f"by-{user_id}", "secret": "s", "trust_id": trust_id}
        document = {"type": "ec2", "blob": json.dumps(blob), "user_id": user_id, "project_id": project}
        made = await cloud.ask("POST", "/credentials", pair.admin, json={"credential": document})
        assert made.status == 201
        answer = await Pair(cloud, pair.admin, blob).ec2()
        assert answer.status == status, answer.body
        if status == 200:
            token = answer.json()["token"]
            assert token["OS-TRUST:trust"]["id"] == trust_id
            assert token["user"]["id"] == trustor
            assert [role["name"] for role in token["roles"]] == ["reader"]
