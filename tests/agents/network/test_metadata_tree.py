"""The metadata trees, document by document."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from kilostack.agents.network.metadata import respond
from kilostack.agents.network.metadata_tree import EC2_VERSIONS, OPENSTACK_VERSIONS, View, find
from kilostack.wire.compute import Guest, ImageRef, Metadata, Nic
from kilostack.wire.network import tap_name
from tests.drivers.net.site import NET, SUBNET, Site, identifier, mac

SITE = Site(homes={10: "here"}, nameservers=("192.0.2.53",))
KEY = "ssh-ed25519 AAAAC3Nz me@there"
USER_DATA = b"#!/bin/sh\necho \xff\n"


def guest(number: int = 10, user_data: bytes | None = USER_DATA, **more: Any) -> Guest:
    port = SITE.port(number)
    return Guest(
        id=identifier(6, number),
        generation=1,
        name="instance-1",
        vcpus=1,
        memory_mib=128,
        disk_gib=1,
        image=ImageRef(id=identifier(8, 1), disk_format="qcow2", size_bytes=1, sha512=""),
        nics=(Nic(port_id=port.id, network_id=NET, mac=port.mac, tap=tap_name(port.id), mtu=1450),),
        power="on",
        boot=1,
        metadata=Metadata(
            hostname="vm-10",
            name="vm 10",
            project_id="p",
            user_id="u",
            availability_zone="nova",
            reservation_id="r-12345678",
            flavor="m1.tiny",
            keys={"k": KEY},
            user_data=None if user_data is None else base64.b64encode(user_data).decode(),
            meta={"role": "web"},
            security_groups=("default", "web"),
            **more,
        ),
    )


def view(made: Guest | None = None) -> View:
    return View(
        guest=made or guest(),
        ports=(SITE.port(10),),
        networks={NET: SITE.network()},
        floating_ip="172.24.9.60",
        seed=lambda: b"s" * 512,
    )


def text(path: str, made: Guest | None = None) -> str | None:
    document = find(view(made), path)
    return None if document is None else document.body.decode("latin-1")


def load(path: str) -> Any:
    return json.loads(text(path) or "")


def test_versions_are_listed_as_upstream_lists_them() -> None:
    assert (text("/openstack") or "").split("\n") == [*OPENSTACK_VERSIONS, "latest"]
    assert (text("/") or "").split("\n") == [*EC2_VERSIONS, "latest"]
    assert text("/openstack/") == text("/openstack") == text("//openstack")


def test_a_version_lists_its_documents() -> None:
    assert text("/openstack/2012-08-10") == "meta_data.json\nuser_data"
    assert text("/openstack/latest") == (
        "meta_data.json\nuser_data\nvendor_data.json\nnetwork_data.json\nvendor_data2.json"
    )
    assert text("/openstack/latest", guest(user_data=None)) == (
        "meta_data.json\nvendor_data.json\nnetwork_data.json\nvendor_data2.json"
    )


def test_meta_data() -> None:
    found = load("/openstack/latest/meta_data.json")
    assert len(base64.b64decode(found.pop("random_seed"))) == 512
    assert found == {
        "uuid": identifier(6, 10),
        "availability_zone": "nova",
        "hostname": "vm-10",
        "launch_index": 0,
        "name": "vm 10",
        "meta": {"role": "web"},
        "public_keys": {"k": KEY},
        "keys": [{"name": "k", "type": "ssh", "data": KEY}],
        "project_id": "p",
        "devices": [],
        "dedicated_cpus": [],
    }
    old = load("/openstack/2012-08-10/meta_data.json")
    assert "random_seed" not in old
    assert "keys" not in old


def test_network_data() -> None:
    tap = tap_name(SITE.port(10).id)
    assert load("/openstack/latest/network_data.json") == {
        "links": [
            {"id": tap, "vif_id": SITE.port(10).id, "type": "bridge", "mtu": 1450, "ethernet_mac_address": mac(10)}
        ],
        "networks": [{"id": "network0", "link": tap, "network_id": NET, "type": "ipv4_dhcp"}],
        "services": [{"type": "dns", "address": "192.0.2.53"}],
    }


def test_network_data_of_a_subnet_without_dhcp() -> None:
    network = SITE.network()
    subnet = network.subnets[0]
    fields = {name: getattr(subnet, name) for name in subnet.__struct_fields__}
    plain = type(subnet)(**{**fields, "enable_dhcp": False})
    still = type(network)(
        **{**{name: getattr(network, name) for name in network.__struct_fields__}, "subnets": (plain,)}
    )
    shown = View(guest=guest(), ports=(SITE.port(10),), networks={NET: still}, seed=lambda: b"")
    document = find(shown, "/openstack/latest/network_data.json")
    assert document is not None
    (found,) = json.loads(document.body)["networks"]
    assert found["type"] == "ipv4"
    assert found["ip_address"] == SITE.address(10)
    assert found["netmask"] == "255.255.255.0"
    assert found["routes"] == [
        {"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": SITE.address(1)},
        {"network": "192.168.77.0", "netmask": "255.255.255.0", "gateway": SITE.address(99)},
    ]
    assert subnet.id == SUBNET


def test_user_data_is_what_the_user_sent() -> None:
    for path in ("/openstack/latest/user_data", "/latest/user-data", "/2009-04-04/user-data"):
        document = find(view(), path)
        assert document is not None
        assert document.body == USER_DATA
    assert text("/openstack/latest/user_data", guest(user_data=None)) is None
    assert text("/latest/user-data", guest(user_data=None)) is None


def test_vendor_data() -> None:
    assert load("/openstack/latest/vendor_data.json") == {}
    assert load("/openstack/latest/vendor_data2.json") == {"static": {}}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/latest", "meta-data/\nuser-data"),
        ("/latest/meta-data/instance-id", "i-0006000a"),
        ("/latest/meta-data/hostname", "vm-10"),
        ("/latest/meta-data/local-ipv4", "10.10.0.10"),
        ("/latest/meta-data/public-ipv4", "172.24.9.60"),
        ("/latest/meta-data/security-groups", "default\nweb"),
        ("/latest/meta-data/public-keys/", "0=k"),
        ("/latest/meta-data/public-keys/0", "openssh-key"),
        ("/latest/meta-data/public-keys/0/openssh-key", KEY),
        ("/latest/meta-data/placement/availability-zone", "nova"),
        ("/latest/meta-data/block-device-mapping/", "ami\nroot"),
        ("/latest/meta-data/block-device-mapping/root", "/dev/vda"),
        ("/ec2/latest/meta-data/instance-type", "m1.tiny"),
    ],
)
def test_ec2(path: str, expected: str) -> None:
    assert text(path) == expected


def test_the_ec2_directory() -> None:
    assert (text("/latest/meta-data/") or "").split("\n") == [
        "ami-id",
        "ami-launch-index",
        "ami-manifest-path",
        "block-device-mapping/",
        "hostname",
        "instance-action",
        "instance-id",
        "instance-type",
        "local-hostname",
        "local-ipv4",
        "placement/",
        "public-hostname",
        "public-ipv4",
        "public-keys/",
        "reservation-id",
        "security-groups",
    ]
    assert "placement/" not in (text("/1.0/meta-data") or "")


@pytest.mark.parametrize(
    "path",
    [
        "/openstack/2011-01-01",
        "/openstack/latest/nothing.json",
        "/openstack/latest/meta_data.json/more",
        "/2001-01-01/meta-data",
        "/latest/meta-data/nothing",
        "/latest/meta-data/hostname/more",
        "/../etc/passwd",
        "/openstack/%2e%2e/x",
    ],
)
def test_what_is_not_there(path: str) -> None:
    assert text(path) is None


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /openstack HTTP/1.1\r\nHost: x\r\n\r\n", b"200"),
        (b"GET /openstack?a=b HTTP/1.0\r\n\r\n", b"200"),
        (b"GET http://169.254.169.254/openstack HTTP/1.1\r\n\r\n", b"200"),
        (b"GET /nothing HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /openstack HTTP/1.1\r\n\r\n", b"405"),
        (b"GET /\r\n\r\n", b"400"),
        (b"\xff\xfe\r\n\r\n", b"400"),
    ],
)
def test_requests(head: bytes, status: bytes) -> None:
    assert respond(head, view()).split(b" ", 2)[1] == status


def test_a_head_request_has_no_body() -> None:
    answer = respond(b"HEAD /openstack HTTP/1.1\r\n\r\n", view())
    assert answer.endswith(b"\r\n\r\n")
    assert b"Content-Length: 0" not in answer


def test_an_unknown_guest_gets_nothing() -> None:
    assert b" 404 " in respond(b"GET /openstack/latest/meta_data.json HTTP/1.1\r\n\r\n", None)
