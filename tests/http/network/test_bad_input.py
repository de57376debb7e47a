"""Whatever is sent, the answer is a sentence in neutron's dialect, and never a 5xx."""

from __future__ import annotations

from typing import Any

import pytest

from kilostack.network.app.quotas import Quotas
from tests.http.cloud import PROJECT, Client
from tests.network.cloud import ADMIN, Cloud

_PLURALS = {
    "networks": "network",
    "subnets": "subnet",
    "ports": "port",
    "routers": "router",
    "floatingips": "floatingip",
    "security-groups": "security_group",
    "security-group-rules": "security_group_rule",
}
_IDS = ["x", "%2F", "..%2f..%2fetc", "%00", "%C3%BC%E2%82%AC", "a" * 5000, "1; DROP TABLE ports", "%25s%25n", "null"]
_VALUES: list[Any] = [None, 7, -1, 1.5, True, "", "x", "y" * 1_000_000, [], ["x"], [None], {}, {"a": 1}, "\x00", "ünï"]


@pytest.mark.parametrize("collection", _PLURALS)
async def test_garbage_ids(network: Client, collection: str) -> None:
    body = {_PLURALS[collection]: {"name": "x"}}
    for garbage in _IDS:
        path = f"/network/v2.0/{collection}/{garbage}"
        for method, document in (("GET", None), ("PUT", body), ("DELETE", None)):
            answer = await network.request(method, path, token="admin", json=document)
            assert answer.status in (404, 400, 405), (method, path, answer.body)
            assert answer.json()["NeutronError"]["message"]


@pytest.mark.parametrize("collection", _PLURALS)
async def test_wrong_values_of_every_attribute(network: Client, cloud: Cloud, collection: str) -> None:
    noun = _PLURALS[collection]
    attributes = [
        *("name", "description", "admin_state_up", "shared", "router:external", "mtu", "provider:network_type"),
        *("provider:segmentation_id", "network_id", "cidr", "ip_version", "gateway_ip", "allocation_pools"),
        *("dns_nameservers", "host_routes", "enable_dhcp", "fixed_ips", "mac_address", "device_id", "device_owner"),
        *("security_groups", "allowed_address_pairs", "binding:host_id", "binding:profile", "binding:vnic_type"),
        *("external_gateway_info", "routes", "floating_network_id", "floating_ip_address", "port_id", "subnet_id"),
        *("fixed_ip_address", "security_group_id", "direction", "ethertype", "protocol", "port_range_min"),
        *("port_range_max", "remote_ip_prefix", "remote_group_id", "project_id", "tenant_id", "id", "status"),
    ]
    for attribute in attributes:
        for value in _VALUES:
            answer = await network.request(
                "POST", f"/network/v2.0/{collection}", token="admin", json={noun: {attribute: value}}
            )
            assert answer.status in (201, 400, 403, 404, 409, 413), (attribute, str(value)[:50], answer.body)
            assert len(answer.body) < 5000
            if answer.status == 201:
                created = answer.json()[noun]["id"]
                await network.request("DELETE", f"/network/v2.0/{collection}/{created}", token="admin")


@pytest.mark.parametrize("body", [b"{", b"[]", b"7", b"null", b'{"network": []}', b'{"network": null}', b"{}", b"\xff"])
async def test_wrong_bodies(network: Client, body: bytes) -> None:
    for collection in _PLURALS:
        answer = await network.request("POST", f"/network/v2.0/{collection}", token="member", body=body)
        assert answer.status == 400
        assert answer.json()["NeutronError"]["message"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("nothing=1", 400),
        ("seen_by=1", 400),
        ("limit=-1", 400),
        ("limit=x", 400),
        ("limit=99999999999999999999", 400),
        ("limit=2&marker=nobody", 400),
        ("marker=nobody", 200),
        ("sort_key=name", 400),
        ("sort_key=nope&sort_dir=asc", 400),
        ("sort_key=name&sort_dir=up", 400),
        ("fields=nope", 200),
        ("name=" + "x" * 3000, 200),
        ("name=%00", 200),
        ("name=%FF", 200),
        ("changed_since=yesterday", 400),
        ("changed_since=2020-01-01T00:00:00Z", 200),
        ("revision_number=x", 400),
        ("page_reverse=x", 200),
    ],
)
async def test_queries(network: Client, query: str, status: int) -> None:
    for collection in ("networks", "security-groups", "ports", "subnets", "routers", "floatingips"):
        if "sort_key=name" in query and collection == "floatingips":
            continue
        if query.startswith("name=") and collection == "floatingips":
            continue
        answer = await network.request("GET", f"/network/v2.0/{collection}?{query}", token="member")
        assert answer.status == status, (collection, answer.body)


@pytest.mark.parametrize("collection", _PLURALS)
async def test_an_unknown_attribute_is_named(network: Client, collection: str) -> None:
    body = {_PLURALS[collection]: {"colour": "red"}}
    answer = await network.request("POST", f"/network/v2.0/{collection}", token="member", json=body)
    assert answer.status == 400
    assert "Unrecognized attribute(s) 'colour'" in answer.json()["NeutronError"]["message"]


async def test_every_quota_is_held(network: Client, cloud: Cloud) -> None:
    nothing = dict.fromkeys(
        ("network", "subnet", "port", "router", "floatingip", "security_group", "security_group_rule"), 0
    )
    group = await cloud.service.groups.ensure_default(PROJECT)
    found = (await network.request("GET", "/network/v2.0/networks?sort_key=name&sort_dir=asc", token="member")).json()
    private, public = (item["id"] for item in found["networks"])
    await Quotas(cloud.service._parts, cloud.service._rights).update(ADMIN, PROJECT, nothing, force=True)
    for collection, item in {
        "networks": {"name": "n"},
        "subnets": {"network_id": private, "cidr": "10.9.0.0/24", "ip_version": 4},
        "ports": {"network_id": private},
        "routers": {"name": "r"},
        "floatingips": {"floating_network_id": public},
        "security-groups": {"name": "g"},
        "security-group-rules": {"security_group_id": group, "direction": "ingress"},
    }.items():
        body = {_PLURALS[collection]: item}
        answer = await network.request("POST", f"/network/v2.0/{collection}", token="member", json=body)
        assert (answer.status, answer.json()["NeutronError"]["type"]) == (409, "OverQuota"), collection


async def test_a_list_of_many_pages(network: Client) -> None:
    body = {"networks": [{"name": f"n{number:03}"} for number in range(60)]}
    assert (await network.request("POST", "/network/v2.0/networks", token="member", json=body)).status == 201
    url: str | None = "/network/v2.0/networks?limit=7&sort_key=name&sort_dir=asc"
    names: list[str] = []
    while url is not None:
        page = (await network.request("GET", url, token="member")).json()
        names += [item["name"] for item in page["networks"]]
        following = [link["href"] for link in page.get("networks_links", ()) if link["rel"] == "next"]
        url = following[0].removeprefix("http://cloud.test") if following else None
    assert names == sorted([f"n{number:03}" for number in range(60)] + ["private", "public"])
