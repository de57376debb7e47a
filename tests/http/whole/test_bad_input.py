"""Single mistakes, each with the status, the dialect and the sentence that its maker gets."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.http.whole.garbage import IDS
from tests.http.whole.simulated import (
    COMPUTE,
    IDENTITY,
    IMAGE,
    NETWORK,
    TOKENS,
    Answer,
    Login,
    SimulatedCloud,
)
from tests.http.whole.things import new_network

MEGABYTE = "x" * (1 << 20)


@pytest.fixture(scope="module")
def owner(cloud: SimulatedCloud) -> Login:
    return cloud.new_project("careless", "member")


def _says(answer: Answer, status: int, *texts: str) -> None:
    assert answer.status == status, answer
    for text in texts:
        assert text in answer.message, answer.message
    assert len(answer.message) < 2000


ITEMS = (
    (f"{COMPUTE}/servers/", "itemNotFound", "Instance"),
    (f"{COMPUTE}/flavors/", "itemNotFound", "Flavor"),
    (f"{COMPUTE}/os-keypairs/", "itemNotFound", "Keypair"),
    (f"{NETWORK}/networks/", "NetworkNotFound", "Network"),
    (f"{NETWORK}/subnets/", "SubnetNotFound", "Subnet"),
    (f"{NETWORK}/ports/", "PortNotFound", "Port"),
    (f"{NETWORK}/routers/", "RouterNotFound", "Router"),
    (f"{NETWORK}/floatingips/", "FloatingIPNotFound", "Floating IP"),
    (f"{NETWORK}/security-groups/", "SecurityGroupNotFound", "Security group"),
    (f"{NETWORK}/security-group-rules/", "SecurityGroupRuleNotFound", "Security group rule"),
    (f"{IMAGE}/images/", "No image found", "image"),
)


@pytest.mark.parametrize(("path", "kind", "noun"), ITEMS, ids=[item[0] for item in ITEMS])
def test_ids_that_are_none(owner: Login, path: str, kind: str, noun: str) -> None:
    for given in IDS:
        for method in ("GET", "DELETE"):
            answer = owner.ask(method, path + given)
            # a slash ends in another route, an empty name is the list
            # and what only administrators may remove is not theirs whether it is there or not
            assert answer.status in ((400, 403, 404, 405) if "flavors" in path else (400, 404, 405)), (given, answer)
            assert answer.message
    answer = owner.ask("GET", f"{path}00000000-0000-4000-8000-000000000000")
    _says(answer, 404, noun)
    assert kind in answer.body.decode()
    # a client looks by id, then by name: the first must be a plain 404 for any name
    for name in ("my%20server", "web-1", "%C3%BCml%C3%A4ut", "a%2Fb", "what%3F", "17"):
        assert owner.ask("GET", path + name).status in (400, 404)


BROKEN = (b"{", b"", b"[]", b'"x"', b"nul", b"{'a': 1}", b"\xff\xfe", b'{"a": 1}}', b"[" * 50_000, b'{"a":NaN}')


@pytest.mark.parametrize("raw", BROKEN, ids=[repr(raw[:10]) for raw in BROKEN])
def test_bodies_that_are_no_json_object(cloud: SimulatedCloud, owner: Login, raw: bytes) -> None:
    json_type = {"Content-Type": "application/json"}
    for path in (
        *(f"{COMPUTE}/servers", f"{COMPUTE}/os-keypairs", f"{COMPUTE}/servers/x/action"),
        *(f"{NETWORK}/networks", f"{NETWORK}/ports", f"{NETWORK}/security-group-rules"),
        *(f"{IMAGE}/images", f"{IDENTITY}/users"),
    ):
        answer = owner.ask("POST", path, raw, headers=json_type)
        assert answer.status in (400, 403, 404), (path, answer)
        _says(answer, answer.status)
    _says(cloud.ask("POST", TOKENS, raw, headers=json_type), 400)


def test_names_of_a_megabyte(cloud: SimulatedCloud, owner: Login, admin: Login) -> None:
    """More than a service reads is 413; what it reads, and is too long for a name, is 400 and names the field."""
    network, _ = new_network(owner, "10.79.0.0/24")
    wanted = {"flavorRef": owner.flavor("m1.tiny"), "imageRef": owner.image(), "networks": "none"}
    for length, status in ((1 << 20, 413), (1 << 19, 400), (256, 400)):
        name = "n" * length
        for who, path, body in (
            (owner, f"{COMPUTE}/servers", {"server": wanted | {"name": name}}),
            (owner, f"{COMPUTE}/os-keypairs", {"keypair": {"name": name, "public_key": "ssh-rsa x"}}),
            (owner, f"{NETWORK}/networks", {"network": {"name": name}}),
            (owner, f"{NETWORK}/ports", {"port": {"network_id": network, "name": name}}),
            (owner, f"{NETWORK}/routers", {"router": {"name": name}}),
            (owner, f"{NETWORK}/security-groups", {"security_group": {"name": name}}),
            (owner, f"{IMAGE}/images", {"name": name}),
            (admin, f"{COMPUTE}/flavors", {"flavor": {"name": name, "ram": 1, "vcpus": 1, "disk": 1}}),
            (admin, f"{IDENTITY}/projects", {"project": {"name": name}}),
            (admin, f"{IDENTITY}/users", {"user": {"name": name}}),
        ):
            answer = who.ask("POST", path, body)
            assert answer.status == status, (path, length, answer.status, answer.body[:300])
            assert len(answer.message) < 600
            if status == 400:
                assert "name" in answer.message.lower(), (path, answer.message)
    assert cloud.ask("GET", f"{COMPUTE}/servers/{'n' * 30_000}", token=owner.token).status in (400, 404, 414, 431)
    key = {"metadata": {"k" * 256: "v"}}
    _says(owner.ask("POST", f"{COMPUTE}/servers", {"server": wanted | {"name": "s"} | key}), 400)


def test_types_and_keys_that_are_wrong(owner: Login) -> None:
    wanted = {"name": "s", "flavorRef": owner.flavor("m1.tiny"), "imageRef": owner.image(), "networks": "none"}
    for bad, text in (
        ({"name": 5}, "name"),
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"flavorRef": []}, "flavorRef"),
        ({"flavorRef": "no-such"}, "Flavor no-such could not be found."),
        ({"imageRef": "x"}, "imageRef"),
        ({"networks": "some"}, "networks"),
        ({"networks": [{"uuid": "x"}]}, "networks"),
        ({"min_count": 0}, "min_count"),
        ({"min_count": 3, "max_count": 2}, "min_count must be <= max_count"),
        ({"max_count": 10**9}, "At most"),
        ({"user_data": "%%%"}, "user_data"),
        ({"user_data": base64.b64encode(bytes(70_000)).decode()}, "user_data"),
        ({"metadata": {"k": 5}}, "k"),
        ({"metadata": []}, "metadata"),
        ({"extra": 1}, "extra"),
        ({"key_name": "no-such"}, "Invalid key_name provided."),
        ({"availability_zone": "no-such"}, "The requested availability zone is not available"),
        ({"security_groups": [{"name": "no-such"}]}, "Security group no-such not found"),
        ({"config_drive": True}, "Config drives are not offered"),
        ({"hostname": "bad host"}, "hostname"),
        ({"hostname": "a\nb"}, "hostname"),
        ({"tags": ["a,b"]}, "a,b"),
    ):
        answer = owner.ask("POST", f"{COMPUTE}/servers", {"server": wanted | bad})
        _says(answer, 400, text)
        assert "badRequest" in answer.json()
    for body in ({}, {"server": None}, {"server": []}, {"servers": wanted}, {"server": wanted, "more": 1}):
        _says(owner.ask("POST", f"{COMPUTE}/servers", body), 400)
    for bad, text in (
        ({"name": 5}, "name"),
        ({"admin_state_up": "perhaps"}, "admin_state_up"),
        ({"mtu": 5}, "mtu"),
        ({"extra": 1}, "Unrecognized attribute(s) 'extra'"),
        ({"id": "x"}, "id"),
        ({"tenant_id": "x"}, "requires admin privileges"),
    ):
        _says(owner.ask("POST", f"{NETWORK}/networks", {"network": bad}), 400, text)
    for bad, status, text in (
        ({"disk_format": "x"}, 400, "disk_format"),
        ({"min_disk": "1"}, 400, "min_disk"),
        ({"min_disk": -1}, 400, "min_disk"),
        ({"visibility": "public"}, 403, ""),
        ({"id": "x"}, 400, "id"),
        ({"status": "active"}, 403, "status"),
        ({"thing": 5}, 400, "thing"),
        ({"tags": "x"}, 400, "tags"),
    ):
        _says(owner.ask("POST", f"{IMAGE}/images", {"name": "i"} | bad), status, text)


@pytest.mark.parametrize(
    ("subnet", "text"),
    [
        ({"cidr": "x"}, "'x' is not a valid IP subnet"),
        ({"cidr": "10.0.0.1/24"}, "'10.0.0.0/24' is recommended"),
        ({"cidr": "10.0.0.0"}, "is not a valid IP subnet"),
        ({"cidr": "10.0.0.0/33"}, "is not a valid IP subnet"),
        ({"cidr": "10.0.0.0/-1"}, "is not a valid IP subnet"),
        ({"cidr": "10.0.0.0/24\n"}, "is not a valid IP subnet"),
        ({"cidr": "010.0.0.0/24"}, "is not a valid IP subnet"),
        ({"cidr": "fe80::%eth0/64", "ip_version": 6}, "is not a valid IP subnet"),
        ({"cidr": "0.0.0.0/0"}, "0 is not allowed as CIDR prefix length"),
        ({"cidr": "::/0", "ip_version": 6}, "0 is not allowed as CIDR prefix length"),
        ({"cidr": "127.0.0.0/8"}, "Loopback IP subnet is not supported"),
        ({"cidr": "224.0.0.0/4"}, "Multicast IP subnet is not supported"),
        ({"cidr": "ff00::/8", "ip_version": 6}, "Multicast IP subnet is not supported"),
        ({"cidr": "::1/128", "ip_version": 6}, "prefix length that is incompatible with DHCP"),
        ({"cidr": "2001:db8::/64"}, "ip_version"),
        ({"cidr": "10.9.0.0/24", "ip_version": 5}, "ip_version"),
        ({"cidr": "10.9.0.0/24", "ip_version": 6}, "ip_version"),
        ({"cidr": "10.9.0.0/32"}, "prefix length that is incompatible with DHCP"),
        ({"cidr": "10.9.0.0/24", "gateway_ip": "10.9.0.0"}, "Gateway is not valid on subnet"),
        ({"cidr": "10.9.0.0/24", "gateway_ip": "10.9.0.255"}, "Gateway is not valid on subnet"),
        ({"cidr": "10.9.0.0/24", "gateway_ip": "x"}, "gateway_ip"),
        ({"cidr": "10.9.0.0/24", "allocation_pools": [{"start": "10.9.0.9", "end": "10.9.0.5"}]}, "10.9.0.9"),
        ({"cidr": "10.9.0.0/24", "allocation_pools": [{"start": "10.8.0.9", "end": "10.9.0.5"}]}, "10.8.0.9"),
        (
            {
                "cidr": "10.9.0.0/24",
                "allocation_pools": [
                    {"start": "10.9.0.5", "end": "10.9.0.9"},
                    {"start": "10.9.0.9", "end": "10.9.0.12"},
                ],
            },
            "10.9.0.9",
        ),
        ({"cidr": "10.9.0.0/24", "dns_nameservers": ["x"]}, "dns_nameservers"),
        ({"cidr": "10.9.0.0/24", "dns_nameservers": ["8.8.8.8,option:x"]}, "dns_nameservers"),
        ({"cidr": "10.9.0.0/24", "host_routes": [{"destination": "x", "nexthop": "10.9.0.2"}]}, "host_routes"),
        ({"cidr": "10.9.0.0/24", "host_routes": [{"nexthop": "10.9.0.2"}]}, "host_routes"),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else "",
)
def test_absurd_subnets(owner: Login, subnet: Any, text: str) -> None:
    network = owner.make(f"{NETWORK}/networks", {"network": {"name": "absurd"}})["id"]
    wanted = {"network_id": network, "ip_version": 4} | subnet
    answer = owner.ask("POST", f"{NETWORK}/subnets", {"subnet": wanted})
    assert answer.status in (400, 409), answer
    _says(answer, answer.status, text)
    assert owner.get(f"{NETWORK}/subnets?network_id={network}")["subnets"] == []
    owner.remove(f"{NETWORK}/networks/{network}")


def test_subnets_that_overlap(owner: Login) -> None:
    network, _ = new_network(owner, "10.80.0.0/16")
    for cidr in ("10.80.0.0/16", "10.80.3.0/24", "10.0.0.0/8"):
        wanted = {"network_id": network, "ip_version": 4, "cidr": cidr}
        answer = owner.ask("POST", f"{NETWORK}/subnets", {"subnet": wanted})
        _says(answer, 400, cidr, "overlaps with another subnet")
    # of two networks they may overlap, but no router joins both
    _, first = new_network(owner, "10.81.0.0/24")
    _, second = new_network(owner, "10.81.0.0/25")
    router = owner.make(f"{NETWORK}/routers", {"router": {}})["id"]
    path = f"{NETWORK}/routers/{router}/add_router_interface"
    assert owner.ask("PUT", path, {"subnet_id": first}).status == 200
    _says(owner.ask("PUT", path, {"subnet_id": second}), 400, "10.81.0.0/25", "overlaps with cidr 10.81.0.0/24")


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"direction": "sideways"}, "direction"),
        ({"protocol": "no-such"}, "no-such"),
        ({"protocol": 256}, "256"),
        ({"protocol": "tcp; drop"}, "tcp; drop"),
        ({"protocol": "tcp", "port_range_min": 70000, "port_range_max": 70000}, "70000"),
        ({"protocol": "tcp", "port_range_min": 30, "port_range_max": 20}, "port_range_min"),
        ({"port_range_min": 30, "port_range_max": 40}, "protocol"),
        ({"ethertype": "IPv5"}, "IPv5"),
        ({"remote_ip_prefix": "x"}, "x"),
        ({"remote_ip_prefix": "10.0.0.0/8; accept"}, "accept"),
        ({"remote_ip_prefix": "2001:db8::/32"}, "IPv4"),
        ({"remote_group_id": 5}, "remote_group_id"),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else "",
)
def test_rules_that_make_no_sense(owner: Login, rule: Any, text: str) -> None:
    group = owner.make(f"{NETWORK}/security-groups", {"security_group": {"name": "strange"}})["id"]
    wanted = {"security_group_id": group, "direction": "ingress", "ethertype": "IPv4"} | rule
    answer = owner.ask("POST", f"{NETWORK}/security-group-rules", {"security_group_rule": wanted})
    _says(answer, 400, text)
    owner.remove(f"{NETWORK}/security-groups/{group}")


def test_a_flavor_that_fits_no_host(admin: Login, new_project: Callable[..., Login]) -> None:
    owner = new_project()
    for name, size in (
        ("many-cores", {"vcpus": 10_000, "ram": 64, "disk": 1}),
        ("much-memory", {"vcpus": 1, "ram": 10**9, "disk": 1}),
        ("large-disk", {"vcpus": 1, "ram": 64, "disk": 10**6}),
    ):
        flavor = admin.make(f"{COMPUTE}/flavors", {"flavor": {"name": name} | size})["id"]
        quota = {"quota_set": {"cores": -1, "ram": -1}}
        assert admin.ask("PUT", f"{COMPUTE}/os-quota-sets/{owner.project_id}", quota).status == 200
        found = owner.server(name, wait="ERROR", flavorRef=flavor)
        fault = found["fault"]
        assert fault["message"].startswith("No valid host was found. There are not enough hosts available.")
        # the owner learns why, and no name of a host
        assert "Of 2 hosts: 2" in fault["message"], fault
        assert "host-" not in json.dumps(found)
        assert "details" not in fault
        why = owner.ask("GET", f"/kilostack/v1/servers/{found['id']}/why").json()
        told = json.dumps(why)
        rule = {"many-cores": "VCPU", "much-memory": "MiB", "large-disk": "GiB"}[name]
        assert rule in told
        assert "-host-" not in told
        seen_by_admin = admin.ask("GET", f"/kilostack/v1/servers/{found['id']}/why").body.decode()
        assert "-host-1" in seen_by_admin
        owner.remove(f"{COMPUTE}/servers/{found['id']}")
        owner.server_gone(found["id"])
        admin.remove(f"{COMPUTE}/flavors/{flavor}")


def test_names_that_reach_files_of_hosts(owner: Login) -> None:
    """A name of a server ends in the name service of its network: as one harmless label, whatever it was."""
    network, _ = new_network(owner, "10.82.0.0/24")
    for name in (
        "a\nb",
        "x,10.82.0.9,set:evil",
        "a b\tc",
        "'; id",
        "$(id)",
        "../../x",
        "😀",
        "#comment",
        "a.b.c",
        "-x-",
    ):
        answer = owner.ask(
            "POST",
            f"{COMPUTE}/servers",
            {
                "server": {
                    "name": name,
                    "flavorRef": owner.flavor("m1.tiny"),
                    "imageRef": owner.image(),
                    "networks": [{"uuid": network}],
                }
            },
        )
        if answer.status == 400:
            assert "name" in answer.message
            continue
        assert answer.status == 202, (name, answer)
        server = owner.server_is(answer.json()["server"]["id"], "ACTIVE")
        hostname = server["OS-EXT-SRV-ATTR:hostname"]
        assert all(c.isascii() and (c.isalnum() or c in "-") for c in hostname), (name, hostname)
        assert not hostname.startswith("-") and not hostname.endswith("-")
        owner.remove(f"{COMPUTE}/servers/{server['id']}")
