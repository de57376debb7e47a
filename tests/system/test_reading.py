"""What a user and an administrator read of a new cloud, with each client at both ends of its microversions."""

from __future__ import annotations

from typing import Any

from tests.clouds import UserCloud


def column(rows: list[dict[str, Any]], name: str) -> list[Any]:
    return [row[name] for row in rows]


def lower(record: dict[str, Any]) -> dict[str, Any]:
    """The same with names as all clients could write them."""
    return {key.lower().replace("-", "_").replace(" ", "_"): value for key, value in record.items()}


def test_who_one_is_and_where_things_are(client: UserCloud) -> None:
    token = client.ask("token", "issue")
    assert len(token["project_id"]) == len(token["user_id"]) == 32
    assert token["id"] and token["expires"]
    catalog = {row["Type"]: row["Endpoints"] for row in client.ask("catalog", "list")}
    assert {"identity", "compute", "network", "image"} <= set(catalog)
    assert f"http://127.0.0.1:{client.port}/compute/v2.1" in str(catalog["compute"])
    kinds = client.ask("versions", "show")
    compute = next(row for row in kinds if (row["Service Type"], row["Version"]) == ("compute", "2.1"))
    assert (compute["Min Microversion"], compute["Max Microversion"]) == ("2.1", "2.96")
    assert compute["Status"] == "CURRENT"


def test_what_a_server_is_made_of(client: UserCloud) -> None:
    assert [(row["Name"], row["Status"]) for row in client.ask("image", "list")] == [("tiny", "active")]
    image = client.ask("image", "show", "tiny")
    assert (image["name"], image["disk_format"], image["visibility"]) == ("tiny", "qcow2", "public")
    flavors = {row["Name"]: (row["VCPUs"], row["RAM"], row["Disk"]) for row in client.ask("flavor", "list")}
    assert flavors == {"m1.tiny": (1, 128, 1), "m1.small": (1, 256, 2), "m1.medium": (2, 1024, 10)}
    networks = client.ask("network", "list")
    assert sorted(column(networks, "Name")) == ["private", "public"]
    assert all(len(row["Subnets"]) == 1 for row in networks)
    zones = client.ask("availability", "zone", "list", "--compute")
    assert [(row["Zone Name"], row["Zone Status"]) for row in zones] == [("nova", "available")]
    assert set(column(client.ask("availability", "zone", "list"), "Zone Name")) == {"nova"}


def test_what_one_may_have(client: UserCloud) -> None:
    limits = {row["Name"]: row["Value"] for row in client.ask("limits", "show", "--absolute")}
    assert limits.get("instances", limits.get("maxTotalInstances")) == 10
    assert limits.get("total_ram", limits.get("maxTotalRAMSize", limits.get("max_total_ram_size"))) == 51200
    assert client.ask("limits", "show", "--rate") == []
    shown = client.ask("quota", "show")
    if isinstance(shown, list):
        shown = {row["Resource"]: row["Limit"] for row in shown}
    quota = lower(shown)
    compute = {name: quota[name] for name in ("instances", "cores", "ram", "key_pairs", "properties")}
    assert compute == {"instances": 10, "cores": 20, "ram": 51200, "key_pairs": 100, "properties": 128}
    network = {name: quota[name] for name in ("networks", "subnets", "ports", "routers", "floating_ips")}
    assert network == {"networks": 100, "subnets": 100, "ports": 500, "routers": 10, "floating_ips": 50}
    assert quota.get("security_groups", quota.get("secgroups")) == 10
    assert quota.get("security_group_rules", quota.get("secgroup_rules")) == 100


def test_extensions(client: UserCloud) -> None:
    aliases = set(column(client.ask("extension", "list"), "Alias"))
    assert {"router", "security-group", "os-keypairs", "OS-EXT-STS"} <= aliases
    network = set(column(client.ask("extension", "list", "--network"), "Alias"))
    assert "router" in network and "os-keypairs" not in network


def test_what_runs_is_for_the_administrator(client: UserCloud) -> None:
    host = f"{client.name}-host-1"
    hypervisors = client.ask("hypervisor", "list", admin=True)
    assert [(row["Hypervisor Hostname"], row["State"]) for row in hypervisors] == [(host, "up")]
    services = {row["Binary"]: row for row in client.ask("compute", "service", "list", admin=True)}
    assert {"nova-compute", "nova-conductor", "nova-scheduler"} == set(services)
    assert services["nova-compute"]["Host"] == host
    assert {(row["Status"], row["State"]) for row in services.values()} == {("enabled", "up")}
    agents = client.ask("network", "agent", "list", admin=True)
    kinds = {"Linux bridge agent", "DHCP agent", "L3 agent", "Metadata agent"}
    assert {row["Agent Type"] for row in agents} == kinds
    assert all(row["Alive"] in (True, ":-)") and row["Host"] == host for row in agents)
    for refused in (("hypervisor", "list"), ("compute", "service", "list")):
        said = client.refused(*refused)
        assert "403" in said or "not allow" in said.lower(), said


def test_who_is_there_is_for_the_administrator(client: UserCloud) -> None:
    assert sorted(column(client.ask("user", "list", admin=True), "Name")) == ["admin", "demo"]
    assert {"admin", "demo"} <= set(column(client.ask("project", "list", admin=True), "Name"))
    roles = {"admin", "manager", "member", "reader", "service"}
    assert set(column(client.ask("role", "list", admin=True), "Name")) == roles
    said = client.refused("user", "list")
    assert "403" in said or "not allow" in said.lower() or "forbidden" in said.lower(), said
