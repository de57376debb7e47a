"""A token of a scope that an operation does not take is refused, whatever roles it has."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.identity.conftest import ADMIN, IdentityCloud

_DOMAIN = {"domain": {"id": "default"}}
_SYSTEM = {"system": {"all": True}}


async def _as_admin(cloud: IdentityCloud, scope: dict[str, Any]) -> str:
    """A token of the administrator for that scope, in which they have role admin."""
    token = await cloud.admin()
    user, role = await cloud.id_of("users", "admin"), await cloud.id_of("roles", "admin")
    path = f"/domains/default/users/{user}/roles/{role}"
    assert (await cloud.ask("PUT", path, token)).status == 204
    assert (await cloud.ask("PUT", f"/system/users/{user}/roles/{role}", token)).status == 204
    answer = await cloud.log_in("admin", ADMIN, scope)
    assert answer.status == 201, answer.body
    return answer.headers["x-subject-token"]


@pytest.mark.parametrize(
    ("scope", "method", "path", "body", "status"),
    [
        (_DOMAIN, "GET", "/services", None, 403),
        (_DOMAIN, "POST", "/domains", {"domain": {"name": "another"}}, 403),
        (_DOMAIN, "GET", "/users", None, 200),
        (_DOMAIN, "POST", "/projects", {"project": {"name": "another", "domain_id": "default"}}, 201),
        (_SYSTEM, "GET", "/services", None, 200),
        (_SYSTEM, "POST", "/domains", {"domain": {"name": "another"}}, 201),
        (_SYSTEM, "GET", "/users", None, 200),
    ],
)
async def test_scopes_are_enforced(
    cloud: IdentityCloud, scope: dict[str, Any], method: str, path: str, body: Any, status: int
) -> None:
    answer = await cloud.ask(method, path, await _as_admin(cloud, scope), json=body)
    assert answer.status == status, answer.body
    if status == 403:
        assert answer.json()["error"]["title"] == "Forbidden"


async def test_what_is_for_projects_alone_is_not_for_the_system(cloud: IdentityCloud) -> None:
    user = await cloud.id_of("users", "admin")
    body = {"application_credential": {"name": "a"}}
    path = f"/users/{user}/application_credentials"
    assert (await cloud.ask("POST", path, await _as_admin(cloud, _SYSTEM), json=body)).status == 403
    assert (await cloud.ask("POST", path, await cloud.admin(), json=body)).status == 201
