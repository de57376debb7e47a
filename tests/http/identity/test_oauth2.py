"""OAuth 2.0 client credentials: application credentials in the words of another protocol."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.http.cloud import ROOT, Answer
from tests.http.identity.conftest import IdentityCloud

_GRANT = "grant_type=client_credentials"


async def _ask(cloud: IdentityCloud, form: str, basic: str | None = None, **headers: str) -> Answer:
    sent = {"Content-Type": "application/x-www-form-urlencoded"}
    if basic is not None:
        sent["Authorization"] = "Basic " + base64.b64encode(basic.encode()).decode()
    return await cloud.ask("POST", "/OS-OAUTH2/token", body=form.encode(), headers=sent | headers)


@pytest.fixture
async def credential(cloud: IdentityCloud) -> str:
    """The id of one whose secret is `s`."""
    path = f"/users/{await cloud.id_of('users', 'demo')}/application_credentials"
    new = {"application_credential": {"name": "robot", "secret": "s", "roles": [{"name": "reader"}]}}
    return str((await cloud.ask("POST", path, await cloud.demo(), json=new)).json()["application_credential"]["id"])


async def test_a_token_for_an_application_credential(cloud: IdentityCloud, credential: str) -> None:
    for answer in (
        await _ask(cloud, _GRANT, f"{credential}:s"),
        await _ask(cloud, f"{_GRANT}&client_id={credential}&client_secret=s"),
        await _ask(cloud, f"{_GRANT}&scope=x", f"{credential}:s"),
    ):
        assert answer.status == 200, answer.body
        body = answer.json()
        text = body.pop("access_token")
        assert body == {"token_type": "Bearer", "expires_in": 3600}
        shown = await cloud.ask("GET", "/auth/tokens", await cloud.admin(), headers={"X-Subject-Token": text})
        token = shown.json()["token"]
        assert token["application_credential"]["id"] == credential
        assert [role["name"] for role in token["roles"]] == ["reader"]


@pytest.mark.parametrize(
    ("form", "basic", "status", "error"),
    [
        (_GRANT, "{id}:wrong", 401, "invalid_client"),
        (_GRANT, None, 401, "invalid_client"),
        (_GRANT, "{id}:", 401, "invalid_client"),
        (_GRANT, "{id}", 401, "invalid_client"),
        (_GRANT, ":s", 401, "invalid_client"),
        (f"{_GRANT}&client_id=x", None, 401, "invalid_client"),
        ("", "{id}:s", 400, "invalid_request"),
        ("grant_type=password", "{id}:s", 400, "unsupported_grant_type"),
        ("grant_type=", "{id}:s", 400, "invalid_request"),
        ("%ff%fe=%00", "{id}:s", 400, "invalid_request"),
        ("&".join(f"a{at}=b" for at in range(500)), "{id}:s", 400, "invalid_request"),
    ],
)
async def test_refusals(
    cloud: IdentityCloud, credential: str, form: str, basic: str | None, status: int, error: str
) -> None:
    answer = await _ask(cloud, form, None if basic is None else basic.format(id=credential))
    assert answer.status == status, answer.body
    body: dict[str, Any] = answer.json()
    assert body["error"] == error
    assert set(body) == {"error", "error_description"}
    if status == 401:
        assert answer.headers["www-authenticate"] == f'Keystone uri="{ROOT}/identity"'


async def test_who_is_not_known(cloud: IdentityCloud) -> None:
    answer = await _ask(cloud, _GRANT, "nothing:s")
    assert answer.status in (401, 404)
    assert answer.json()["error"] in ("invalid_client", "other_error")


@pytest.mark.parametrize("header", ["Basic %%%", "Basic", "Bearer x", "Basic " + "A" * 9000, "Basic /////w=="])
async def test_headers_that_make_no_sense(cloud: IdentityCloud, header: str) -> None:
    assert (await _ask(cloud, _GRANT, Authorization=header)).status in (401, 404)


async def test_a_form_is_a_form(cloud: IdentityCloud, credential: str) -> None:
    body = {"grant_type": "client_credentials", "client_id": credential, "client_secret": "s"}
    answer = await cloud.ask("POST", "/OS-OAUTH2/token", json=body)
    assert (answer.status, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
async def test_other_methods(cloud: IdentityCloud, method: str) -> None:
    answer = await cloud.ask(method, "/OS-OAUTH2/token")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    if method != "HEAD":
        assert answer.json()["error"] == "other_error"
