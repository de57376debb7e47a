"""A real OpenID provider, the official client, and a browser: logging in over sockets."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
import requests
from keystoneauth1 import exceptions, session
from keystoneauth1.identity import v3

from kilostack.core.secret import Secret
from kilostack.drivers.web.real import RealWeb
from kilostack.identity.app.settings import IdentitySettings
from tests.http.identity.conftest import ClockWorld, IdentityCloud
from tests.http.serving import served
from tests.waiting import until

T = TypeVar("T")
_DASHBOARD = "http://dashboard.test/auth/websso/"
_RULES = [
    {
        "local": [
            {"user": {"name": "{0}", "email": "{1}", "id": "{2}"}},
            {"groups": "{3}", "domain": {"id": "default"}},
        ],
        "remote": [{"type": name} for name in ("OIDC-nickname", "HTTP_OIDC_EMAIL", "sub", "groups")],
    }
]


class Place(msgspec.Struct, frozen=True):
    """Where both answer."""

    issuer: str
    auth_url: str
    project_id: str


@pytest.fixture
def web(clock: ClockWorld) -> RealWeb:
    return RealWeb(clock)


@pytest.fixture
def settings(issuer: str) -> IdentitySettings:
    return IdentitySettings(trusted_dashboards=(_DASHBOARD,), client_secrets={issuer: Secret("secret")})


def _started(command: list[str], errors: BinaryIO) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stderr=errors)


@pytest.fixture
async def issuer(tmp_path: Path) -> AsyncIterator[str]:
    """A provider in a process of its own: it has no part in our rules for warnings."""
    alice = {"sub": "alice-1", "nickname": "Alice", "email": "alice@acme.test", "groups": ["staff", "others"]}
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", "0", "--user-claims", json.dumps(alice)]
    log = tmp_path / "provider.log"
    with log.open("wb") as errors, _started(command, errors) as process:

        async def answers() -> bool:
            assert process.poll() is None, log.read_text()
            return "Uvicorn running on" in log.read_text()

        try:
            await until(answers)
            found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
            assert found is not None
            yield found[0]
        finally:
            process.terminate()


@pytest.fixture
async def place(cloud: IdentityCloud, issuer: str) -> AsyncIterator[Place]:
    """The provider is known, and its group `staff` may work in project demo."""
    admin, root = await cloud.admin(), "/OS-FEDERATION"
    provider = {"enabled": True, "remote_ids": [issuer, "aud:cloud"]}
    group = (await cloud.ask("POST", "/groups", admin, json={"group": {"name": "staff"}})).json()["group"]["id"]
    project, role = await cloud.id_of("projects", "demo"), await cloud.id_of("roles", "member")
    for path, body in (
        (f"{root}/identity_providers/acme", {"identity_provider": provider}),
        (f"{root}/mappings/rules", {"mapping": {"rules": _RULES}}),
        (f"{root}/identity_providers/acme/protocols/openid", {"protocol": {"mapping_id": "rules"}}),
        (f"/projects/{project}/groups/{group}/roles/{role}", None),
    ):
        assert (await cloud.ask("PUT", path, admin, json=body)).status < 300
    async with served(cloud.client.app) as (host, port):
        yield Place(issuer, f"http://{host}:{port}/identity/v3", project)


async def _apart(call: Callable[..., T], *args: Any, **more: Any) -> T:
    """Official clients block: the server needs the loop meanwhile."""
    return await asyncio.to_thread(call, *args, **more)


def _code(place: Place, url: str) -> str:
    """Say yes on the provider's page."""
    asked = {"client_id": "cloud", "redirect_uri": url, "response_type": "code", "scope": "openid profile email"}
    page, yes = f"{place.issuer}/oauth2/authorize", {"sub": "alice-1"}
    answer = requests.post(page, params=asked, data=yes, allow_redirects=False, timeout=10)
    return parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]


def _plugin(place: Place, **scope: Any) -> v3.OidcAuthorizationCode:
    return v3.OidcAuthorizationCode(
        auth_url=place.auth_url,
        identity_provider="acme",
        protocol="openid",
        client_id="cloud",
        client_secret="secret",
        access_token_type="id_token",
        discovery_endpoint=f"{place.issuer}/.well-known/openid-configuration",
        redirect_uri="http://client.test/",
        code=_code(place, "http://client.test/"),
        **scope,
    )


async def test_the_official_client_with_a_code(place: Place) -> None:
    def log_in() -> None:
        plugin = _plugin(place, project_name="demo", project_domain_id="default")
        access = plugin.get_access(session.Session())
        assert (access.username, access.project_name) == ("Alice", "demo")
        assert set(access.role_names) == {"member", "reader"}
        assert access.has_service_catalog()
        # the plugin keeps what it has, and so goes where else the user may
        again = session.Session(auth=plugin)
        assert again.get(f"{place.auth_url}/auth/projects").json()["projects"][0]["name"] == "demo"

    await _apart(log_in)


async def test_the_official_client_with_a_token(place: Place) -> None:
    def log_in() -> None:
        fields = {"grant_type": "authorization_code", "code": _code(place, "http://client.test/")}
        fields |= {"redirect_uri": "http://client.test/", "client_id": "cloud", "client_secret": "secret"}
        tokens = requests.post(f"{place.issuer}/oauth2/token", data=fields, timeout=10).json()
        known = {"auth_url": place.auth_url, "identity_provider": "acme", "protocol": "openid"}
        plugin = v3.OidcAccessToken(**known, access_token=tokens["id_token"], project_id=place.project_id)
        access = plugin.get_access(session.Session())
        assert access.project_id == place.project_id and access.is_federated
        unscoped = v3.OidcAccessToken(**known, access_token=tokens["id_token"]).get_access(session.Session())
        assert not unscoped.scoped and unscoped.user_id == access.user_id
        # this provider's access tokens say nothing that could be verified
        wrong = v3.OidcAccessToken(**known, access_token=tokens["access_token"])
        with pytest.raises(exceptions.Unauthorized):
            wrong.get_access(session.Session())

    await _apart(log_in)


async def test_the_official_client_for_somebody_else(place: Place, cloud: IdentityCloud) -> None:
    change = {"identity_provider": {"remote_ids": [place.issuer, "aud:another"]}}
    await cloud.ask("PATCH", "/OS-FEDERATION/identity_providers/acme", await cloud.admin(), json=change)
    with pytest.raises(exceptions.Unauthorized):
        await _apart(lambda: _plugin(place).get_access(session.Session()))


@pytest.mark.parametrize("path", ["identity_providers/acme/protocols/openid/websso", "websso/openid"])
async def test_a_browser(place: Place, path: str) -> None:
    def browse() -> None:
        browser = requests.Session()
        start = browser.get(
            f"{place.auth_url}/auth/OS-FEDERATION/{path}",
            params={"origin": _DASHBOARD},
            allow_redirects=False,
            timeout=10,
        )
        assert start.status_code == 302 and start.headers["Location"].startswith(place.issuer)
        assert "HttpOnly" in start.headers["Set-Cookie"]
        allowed = browser.post(start.headers["Location"], data={"sub": "alice-1"}, allow_redirects=False, timeout=10)
        back = allowed.headers["Location"]
        # another browser cannot use what was begun in this one
        assert requests.get(back, timeout=10).status_code == 401
        page = browser.get(back, timeout=10)
        assert page.status_code == 200, page.text
        assert f'action="{_DASHBOARD}"' in page.text
        found = re.search(r'name="token" value="([^"]+)"', page.text)
        assert found is not None
        listed = requests.get(f"{place.auth_url}/auth/projects", headers={"X-Auth-Token": found[1]}, timeout=10)
        assert [one["name"] for one in listed.json()["projects"]] == ["demo"]
        # a code is good once
        assert browser.get(back, timeout=10).status_code == 401

    await _apart(browse)


async def test_a_browser_that_was_sent_away(place: Place) -> None:
    def browse() -> None:
        browser = requests.Session()
        url = f"{place.auth_url}/auth/OS-FEDERATION/identity_providers/acme/protocols/openid/websso"
        assert browser.get(url, params={"origin": "http://evil.test/"}, timeout=10).status_code == 401
        start = browser.get(url, params={"origin": _DASHBOARD}, allow_redirects=False, timeout=10)
        denied = browser.post(start.headers["Location"], data={"action": "deny"}, allow_redirects=False, timeout=10)
        state = parse_qs(urlsplit(start.headers["Location"]).query)["state"][0]
        assert browser.get(url, params={"state": state, "error": "access_denied"}, timeout=10).status_code == 401
        assert browser.get(url, params={"state": state, "code": "wrong"}, timeout=10).status_code == 401
        assert denied.status_code == 302

    await _apart(browse)
