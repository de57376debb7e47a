"""Every service's version document, word for word where clients read it."""

from __future__ import annotations

import pytest

from kilostack.core.world import RealWorld
from kilostack.http import discovery
from kilostack.http.dialects import KEYSTONE, NEUTRON, NOVA
from kilostack.http.microversions import Microversions
from kilostack.http.routes import Api
from tests.http.cloud import ROOT, Client, client

_COMPUTE = Microversions("compute", (2, 1), (2, 96), "x-openstack-nova-api-version")

_IDENTITY_V3 = {
    "id": "v3.14",
    "status": "stable",
    "updated": "2020-04-07T00:00:00Z",
    "links": [{"rel": "self", "href": f"{ROOT}/identity/v3/"}],
    "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
}
_COMPUTE_V21 = {
    "id": "v2.1",
    "status": "CURRENT",
    "version": "2.96",
    "min_version": "2.1",
    "updated": "2013-07-23T11:33:21Z",
    "links": [{"rel": "self", "href": f"{ROOT}/compute/v2.1/"}],
}
_COMPUTE_V21_ALONE = {
    "version": _COMPUTE_V21
    | {
        "links": [
            {"rel": "self", "href": f"{ROOT}/compute/v2.1/"},
            {"rel": "describedby", "type": "text/html", "href": "http://docs.openstack.org/"},
        ],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.compute+json;version=2.1"}],
    }
}
_COMPUTE_V20 = {
    "id": "v2.0",
    "status": "SUPPORTED",
    "version": "",
    "min_version": "",
    "updated": "2011-01-21T11:33:21Z",
    "links": [{"rel": "self", "href": f"{ROOT}/compute/v2/"}],
}
_COMPUTE_V20_ALONE = {
    "version": {
        **_COMPUTE_V20,
        "links": [
            {"rel": "self", "href": f"{ROOT}/compute/v2/"},
            {"rel": "describedby", "type": "text/html", "href": "http://docs.openstack.org/"},
        ],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.compute+json;version=2"}],
    }
}
_IMAGE = {
    "versions": [
        {"id": "v2.1", "status": "CURRENT", "links": [{"rel": "self", "href": f"{ROOT}/image/v2/"}]},
        {"id": "v2.0", "status": "SUPPORTED", "links": [{"rel": "self", "href": f"{ROOT}/image/v2/"}]},
    ]
}
_DOCUMENTS = [
    ("/", 200, {"services": [{"type": "identity", "name": "keystone", "href": f"{ROOT}/identity"}]}),
    ("/identity", 300, {"versions": {"values": [_IDENTITY_V3]}}),
    ("/identity/v3", 200, {"version": _IDENTITY_V3}),
    ("/compute", 200, {"versions": [_COMPUTE_V20, _COMPUTE_V21]}),
    ("/compute/v2", 200, _COMPUTE_V20_ALONE),
    ("/compute/v2.1", 200, _COMPUTE_V21_ALONE),
    ("/compute/v2.1/0123456789abcdef0123456789abcdef", 200, _COMPUTE_V21_ALONE),
    ("/image", 300, _IMAGE),
    ("/image/versions", 200, _IMAGE),
    (
        "/network",
        200,
        {
            "versions": [
                {"id": "v2.0", "status": "CURRENT", "links": [{"rel": "self", "href": f"{ROOT}/network/v2.0/"}]}
            ]
        },
    ),
    (
        "/network/v2.0",
        200,
        {
            "resources": [
                {
                    "name": "security_group",
                    "collection": "security_groups",
                    "links": [{"rel": "self", "href": f"{ROOT}/network/v2.0/security-groups"}],
                }
            ]
        },
    ),
]


@pytest.fixture
def cloud(world: RealWorld) -> Client:
    return client(
        [
            Api(name="identity", prefix="/identity/v3", dialect=KEYSTONE, routes=discovery.identity_version()),
            Api(
                name="compute",
                prefix="/compute/v2.1",
                dialect=NOVA,
                microversions=_COMPUTE,
                routes=discovery.compute_version(_COMPUTE),
            ),
            Api(name="compute", prefix="/compute/v2", dialect=NOVA, routes=discovery.compute_old_version()),
            Api(
                name="network",
                prefix="/network/v2.0",
                dialect=NEUTRON,
                routes=discovery.network_version([("security_group", "security_groups")]),
            ),
            discovery.cloud_root([discovery.ServiceRoot("identity", "keystone", "/identity")]),
            discovery.identity_root(),
            discovery.compute_root(_COMPUTE),
            discovery.network_root(),
            discovery.image_root(1),
        ],
        world,
    )


@pytest.mark.parametrize(("path", "status", "document"), _DOCUMENTS)
async def test_documents_need_no_token(cloud: Client, path: str, status: int, document: object) -> None:
    answer = await cloud.request("GET", path)
    assert (answer.status, answer.json()) == (status, document)
    if path != "/":
        slashed = await cloud.request("GET", path + "/")
        assert (slashed.status, slashed.json()) == (status, document)


async def test_links_carry_what_the_client_sees_behind_a_proxy(cloud: Client) -> None:
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "cloud.example", "X-Forwarded-Prefix": "/stack/"}
    answer = await cloud.request("GET", "/identity", headers=forwarded)
    expected = "https://cloud.example/stack/identity/v3/"
    assert answer.json()["versions"]["values"][0]["links"][0]["href"] == expected
    assert answer.headers["location"] == expected


@pytest.mark.parametrize("said", ['a"b', "é", "a b", "a/b", "<x>", "h" * 300, ""])
@pytest.mark.parametrize(
    "template",
    [
        {"Host": "{0}"},
        {"X-Forwarded-Host": "{0}"},
        {"X-Forwarded-Proto": "{0}"},
        {"X-Forwarded-Proto": "javascript"},
        {"X-Forwarded-Prefix": "/?{0}"},
        {"Forwarded": 'host="{0}";proto={0}'},
    ],
)
async def test_what_is_no_place_is_in_no_link(cloud: Client, template: dict[str, str], said: str) -> None:
    headers = {name: value.format(said) for name, value in template.items()}
    plain = "http://cloud.test/identity/v3/"
    assert (await cloud.request("GET", "/identity", headers=headers)).headers["location"] == plain
    refused = await cloud.request("GET", "/identity/v3/users", headers=headers)
    assert refused.headers["www-authenticate"].startswith('Keystone uri="http://cloud.test')


async def test_the_versioned_api_keeps_its_unknown_paths(cloud: Client) -> None:
    """Its sink wins over that of the shorter prefix: an unknown path there echoes the microversion."""
    answer = await cloud.request("GET", "/compute/v2.1/nothing", token="member")
    assert (answer.status, answer.headers["openstack-api-version"]) == (404, "compute 2.1")


async def test_other_methods_are_refused(cloud: Client) -> None:
    answer = await cloud.request("POST", "/compute", token="member", json={})
    assert (answer.status, answer.headers["allow"]) == (405, "GET")
