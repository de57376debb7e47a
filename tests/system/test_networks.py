"""Networks, subnets, routers, groups and ports, as the newest and Debian's client show them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.clouds import UserCloud
from tests.system.conftest import CLIENTS


@pytest.fixture(params=["newest-highest", "debian-lowest"])
def client(request: pytest.FixtureRequest, cloud: UserCloud) -> UserCloud:
    """Microversions are compute's alone, so each client serves once."""
    return cloud.by(*CLIENTS[request.param])


def flat(value: Any) -> str:
    """What was printed, whichever way the client nests it."""
    return json.dumps(value)


def test_a_network_with_a_subnet_and_a_router(client: UserCloud) -> None:
    network = client.ask("network", "create", "--description", "blue things", "blue")
    assert (network["name"], network["mtu"], network["status"]) == ("blue", 1450, "ACTIVE")
    pools = ("--allocation-pool", "start=192.168.40.10,end=192.168.40.19")
    pools += ("--allocation-pool", "start=192.168.40.100,end=192.168.40.110")
    more = ("--dns-nameserver", "192.0.2.53", "--host-route", "destination=198.51.100.0/24,gateway=192.168.40.9")
    where = ("--network", "blue", "--subnet-range", "192.168.40.0/24", "--gateway", "192.168.40.254")
    subnet = client.ask("subnet", "create", *where, *pools, *more, "blue-sub")
    assert (subnet["cidr"], subnet["gateway_ip"], subnet["ip_version"]) == ("192.168.40.0/24", "192.168.40.254", 4)
    for word in ("192.168.40.10", "192.168.40.19", "192.168.40.100", "192.168.40.110", "192.0.2.53", "198.51.100.0/24"):
        assert word in flat(subnet)
    assert "blue-sub" in flat(client.ask("subnet", "list", "--network", "blue"))

    router = client.ask("router", "create", "--external-gateway", "public", "blue-router")
    assert router["status"] == "ACTIVE"
    client.openstack("router", "add", "subnet", "blue-router", "blue-sub")
    shown = client.ask("router", "show", "blue-router")
    assert "192.168.40.254" in flat(shown["interfaces_info"])
    assert "external_fixed_ips" in flat(shown["external_gateway_info"])
    said = client.refused("network", "delete", "blue")
    assert "409" in said or "in use" in said.lower(), said
    assert "409" in client.refused("router", "delete", "blue-router")
    client.openstack("router", "remove", "subnet", "blue-router", "blue-sub")
    client.openstack("router", "unset", "--external-gateway", "blue-router")
    client.openstack("router", "set", "--external-gateway", "public", "blue-router")
    client.openstack("router", "delete", "blue-router")
    client.openstack("subnet", "delete", "blue-sub")
    client.openstack("network", "delete", "blue")
    assert "blue" not in flat(client.ask("network", "list"))


RULES = {
    ("--protocol", "tcp", "--dst-port", "8000:8080"): ("tcp", "8000", "8080"),
    ("--protocol", "udp", "--dst-port", "53", "--remote-ip", "203.0.113.0/24"): ("udp", "53", "203.0.113.0/24"),
    ("--protocol", "icmp", "--icmp-type", "8"): ("icmp", "8"),
    ("--protocol", "tcp", "--dst-port", "22", "--remote-group", "doors"): ("tcp", "22", "group"),
    ("--ethertype", "IPv6", "--protocol", "tcp", "--dst-port", "443", "--remote-ip", "2001:db8::/32"): (
        *("IPv6", "tcp", "443"),
        "2001:db8::/32",
    ),
    ("--ethertype", "IPv6", "--protocol", "ipv6-icmp"): ("IPv6", "ipv6-icmp"),
    ("--egress", "--protocol", "udp", "--dst-port", "123"): ("egress", "udp", "123"),
}


def test_a_security_group_and_its_rules(client: UserCloud) -> None:
    group = client.ask("security", "group", "create", "--description", "who may come in", "doors")
    assert (group["name"], group["description"]) == ("doors", "who may come in")
    made = []
    for options, words in RULES.items():
        rule = client.ask("security", "group", "rule", "create", *options, "doors")
        made.append(rule["id"])
        for word in words:
            assert (group["id"] if word == "group" else word) in flat(rule), (options, rule)
    said = client.refused("security", "group", "rule", "create", "--protocol", "icmp", "--icmp-type", "8", "doors")
    assert "409" in said or "exists" in said, said
    listed = client.ask("security", "group", "rule", "list", "doors")
    assert set(made) <= {row["ID"] for row in listed}
    assert len(listed) == len(RULES) + 2  # each new group lets everything out, in both families
    client.openstack("security", "group", "rule", "delete", *made)
    assert "doors" in flat(client.ask("security", "group", "list"))
    client.openstack("security", "group", "delete", "doors")
    assert "doors" not in flat(client.ask("security", "group", "list"))


def test_a_port_is_made_and_changed(client: UserCloud) -> None:
    client.openstack("security", "group", "create", "narrow")
    how = ("--network", "private", "--fixed-ip", "ip-address=10.0.0.44", "--security-group", "narrow")
    port = client.ask("port", "create", *how, "--mac-address", "fa:16:3e:12:34:56", "socket")
    assert (port["name"], port["mac_address"], port["status"]) == ("socket", "fa:16:3e:12:34:56", "DOWN")
    assert "10.0.0.44" in flat(port["fixed_ips"])
    client.openstack(
        "port", "set", "--name", "plug", "--description", "moved", "--fixed-ip", "ip-address=10.0.0.45", "socket"
    )
    client.openstack("port", "set", "--no-security-group", "--security-group", "default", "plug")
    shown = client.ask("port", "show", "plug")
    assert shown["description"] == "moved"
    assert "10.0.0.44" in flat(shown["fixed_ips"]) and "10.0.0.45" in flat(shown["fixed_ips"])
    default = client.ask("security", "group", "show", "default")["id"]
    assert default in flat(shown["security_group_ids"])
    subnet = client.ask("subnet", "list", "--network", "private")[0]["ID"]
    client.openstack("port", "unset", "--fixed-ip", f"subnet={subnet},ip-address=10.0.0.44", "plug")
    assert "10.0.0.44" not in flat(client.ask("port", "show", "plug")["fixed_ips"])
    said = client.refused("port", "create", "--network", "private", "--fixed-ip", "ip-address=10.0.0.45", "second")
    assert "10.0.0.45" in said, said
    assert "plug" in flat(client.ask("port", "list", "--network", "private"))
    client.openstack("port", "delete", "plug")
    client.openstack("security", "group", "delete", "narrow")


def test_floating_ips_come_and_go(client: UserCloud) -> None:
    made = client.ask("floating", "ip", "create", "public")
    assert made["status"] == "DOWN"
    port = client.ask("port", "create", "--network", "private", "target")
    client.openstack("floating", "ip", "set", "--port", port["id"], made["floating_ip_address"])
    assert client.ask("floating", "ip", "show", made["floating_ip_address"])["port_id"] == port["id"]
    client.openstack("floating", "ip", "unset", "--port", made["floating_ip_address"])
    assert made["floating_ip_address"] in flat(client.ask("floating", "ip", "list"))
    client.openstack("floating", "ip", "delete", made["floating_ip_address"])
    client.openstack("port", "delete", "target")
