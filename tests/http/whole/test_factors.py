"""keystoneauth's own plugins for passcodes and for more than one factor, against a running cloud."""

from __future__ import annotations

import base64
import hmac
import time

import pytest
from keystoneauth1 import exceptions
from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from tests.http.whole.simulated import IDENTITY, Login, SimulatedCloud

_KEY = b"a seed of twenty bytes"
_STEP_S = 30


def _passcode(steps: int) -> str:
    """As a device makes it, for a step from now."""
    digest = hmac.digest(_KEY, (int(time.time()) // _STEP_S + steps).to_bytes(8, "big"), "sha1")
    start = digest[-1] & 15
    return f"{(int.from_bytes(digest[start : start + 4], 'big') & 0x7FFFFFFF) % 1_000_000:06}"


@pytest.fixture
def careful(cloud: SimulatedCloud, admin: Login) -> Login:
    """Somebody with a device; each test takes it from the start."""
    for kind in ("users", "projects"):
        for found in admin.get(f"{IDENTITY}/{kind}?name=careful")[kind]:
            admin.remove(f"{IDENTITY}/{kind}/{found['id']}")
    person = cloud.new_project("careful", "member")
    seed = base64.b32encode(_KEY).decode()
    admin.make(f"{IDENTITY}/credentials", {"credential": {"type": "totp", "blob": seed, "user_id": person.user_id}})
    return person


def _url(cloud: SimulatedCloud) -> str:
    return f"http://127.0.0.1:{cloud.port}{IDENTITY}"


def _require_both(admin: Login, person: Login) -> None:
    rules = {"multi_factor_auth_enabled": True, "multi_factor_auth_rules": [["password", "totp"]]}
    changed = admin.ask("PATCH", f"{IDENTITY}/users/{person.user_id}", {"user": {"options": rules}})
    assert changed.status == 200, changed


def test_v3totp(cloud: SimulatedCloud, careful: Login) -> None:
    plugin = v3.TOTP(
        _url(cloud), _passcode(0), user_id=careful.user_id, project_id=careful.project_id, reauthenticate=False
    )
    session = Session(plugin)
    assert session.get_user_id() == careful.user_id
    assert session.get_project_id() == careful.project_id
    assert plugin.get_access(session).has_service_catalog()


def test_v3multifactor(cloud: SimulatedCloud, admin: Login, careful: Login) -> None:
    _require_both(admin, careful)
    plugin = v3.MultiFactor(
        _url(cloud),
        ["v3password", "v3totp"],
        user_id=careful.user_id,
        password="careful-password",
        passcode=_passcode(0),
        project_id=careful.project_id,
    )
    assert Session(plugin).get_project_id() == careful.project_id


def test_a_password_alone_comes_with_a_receipt_that_completes(
    cloud: SimulatedCloud, admin: Login, careful: Login
) -> None:
    _require_both(admin, careful)
    password = v3.Password(_url(cloud), user_id=careful.user_id, password="careful-password", unscoped=True)
    with pytest.raises(exceptions.MissingAuthMethods) as caught:
        Session(password).get_token()
    error = caught.value
    assert error.receipt is not None
    assert error.methods == ["password"]
    assert error.required_auth_methods == [["password", "totp"]]
    totp = v3.TOTP(_url(cloud), _passcode(0), user_id=careful.user_id, unscoped=True)
    totp.add_method(v3.ReceiptMethod(receipt=error.receipt))
    assert Session(totp).get_user_id() == careful.user_id
