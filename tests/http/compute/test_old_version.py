"""Compute 2.0: the same operations without microversions, for whom unknown keys do no harm."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.cloud import PROJECT, Answer
from tests.http.compute.face import Cloud

OLD = "/compute/v2"
_LATEST = {"OpenStack-API-Version": "compute 2.96", "X-OpenStack-Nova-API-Version": "2.96"}


async def _ask(cloud: Cloud, method: str, path: str, body: Any = None) -> Answer:
    return await cloud.http.request(method, OLD + path, token="member", json=body, headers=_LATEST)


@pytest.mark.parametrize("below", ["", f"/{PROJECT}"])
async def test_a_server_is_shown_as_at_2_1_whatever_is_asked_for(cloud: Cloud, below: str) -> None:
    server_id = await cloud.server()
    old, new = await _ask(cloud, "GET", f"{below}/servers/{server_id}"), await cloud.ask("GET", f"/servers/{server_id}")
    shown, expected = old.json()["server"], new.json()["server"]
    assert shown["links"][0]["href"].endswith(f"{OLD}/servers/{server_id}")
    assert shown.pop("links")[1] == expected.pop("links")[1]
    assert shown == expected
    assert not {"openstack-api-version", "x-openstack-nova-api-version", "vary"} & old.headers.keys()


async def test_unknown_keys_are_let_through_and_wrong_ones_are_not(cloud: Cloud) -> None:
    server_id = await cloud.server()
    path = f"/servers/{server_id}"
    updated = await _ask(cloud, "PUT", path, {"server": {"name": "new", "colour": "red"}, "more": 1})
    assert (updated.status, updated.json()["server"]["name"]) == (200, "new")
    assert (await _ask(cloud, "PUT", path, {"server": {"name": 5}})).status == 400
    reboot = await _ask(cloud, "POST", path + "/action", {"reboot": {"type": "HARD", "colour": "red"}})
    assert reboot.status == 202
    assert (await cloud.ask("PUT", path, {"server": {"name": "new", "colour": "red"}})).status == 400


async def test_what_later_versions_brought_is_not_there(cloud: Cloud) -> None:
    server_id = await cloud.server()
    assert (await _ask(cloud, "GET", f"/servers/{server_id}/tags")).status == 404
    # and what they took away is
    assert (await _ask(cloud, "GET", "/extensions")).status == 200
