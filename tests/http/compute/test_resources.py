"""Flavors, key pairs, quotas, limits, zones, hypervisors, services, extensions."""

from __future__ import annotations

import re
from typing import Any

import pytest

from kilostack.compute.store import operators
from kilostack.store.database import Tx
from kilostack.wire.compute import HostFacts
from tests.compute.stand_ins import host_uuid
from tests.http.cloud import OTHER_PROJECT, PROJECT
from tests.http.compute.face import Cloud

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILlBc5F9Lc7/Svqb5pdDy+rtW2Y+2zelKZncBHQUYO/1 someone@somewhere"
FINGERPRINT = "92:d6:16:b9:2a:69:19:fe:6e:93:7e:3e:f0:a4:23:e3"
_SERVICE = "44444444-4444-4444-8444-000000000001"


async def _flavors(cloud: Cloud, query: str, token: str = "member") -> list[str]:
    answer = await cloud.ask("GET", f"/flavors{query}", token=token, version="2.61")
    assert answer.status == 200, answer.body
    return [flavor["id"] for flavor in answer.json()["flavors"]]


async def test_flavors_that_one_may_choose_from(cloud: Cloud) -> None:
    assert await _flavors(cloud, "") == ["1", "2"]
    assert await _flavors(cloud, "?is_public=None") == ["1", "2"]
    assert await _flavors(cloud, "", "admin") == ["1", "2"]
    assert await _flavors(cloud, "?is_public=None", "admin") == ["1", "2", "9"]
    assert await _flavors(cloud, "/detail?is_public=false", "admin") == ["9"]
    assert await _flavors(cloud, "?minRam=200") == ["2"]
    assert await _flavors(cloud, "?minDisk=3") == []
    assert await _flavors(cloud, "?sort_key=memory_mb&sort_dir=desc&limit=1") == ["2"]
    assert await _flavors(cloud, "?marker=1") == ["2"]
    assert await _flavors(cloud, "?marker=2") == []
    for query in ("?marker=0", "?minRam=x", "?sort_key=x", "?sort_dir=x", "?limit=-1"):
        assert (await cloud.ask("GET", f"/flavors{query}")).status == 400
    assert (await cloud.ask("GET", "/flavors?is_public=maybe", token="admin")).status == 400
    assert (await cloud.ask("GET", "/flavors?surprise=1", version="2.75")).status == 400
    for name in ("9", "m1.tiny", "%00", "x" * 3000):
        assert (await cloud.ask("GET", f"/flavors/{name}")).status == 404


async def test_administrators_make_flavors(cloud: Cloud) -> None:
    body = {"name": "big", "ram": "2048", "vcpus": 4, "disk": 0, "id": "big one", "swap": 512}
    answer = await cloud.ask("POST", "/flavors", {"flavor": body}, token="admin", version="2.55")
    flavor = answer.json()["flavor"]
    assert (flavor["ram"], flavor["swap"], flavor["rxtx_factor"]) == (2048, 512, 1.0)
    assert flavor["links"][0]["href"].endswith("/compute/v2.1/flavors/big%20one")
    assert (await cloud.ask("GET", "/flavors/big%20one")).status == 200
    again = await cloud.ask("POST", "/flavors", {"flavor": body}, token="admin")
    assert (again.status, "name big already exists" in again.body.decode()) == (409, True)
    other = await cloud.ask("POST", "/flavors", {"flavor": {**body, "name": "x"}}, token="admin")
    assert (other.status, "ID big one already exists" in other.body.decode()) == (409, True)
    assert (await cloud.ask("POST", "/flavors", {"flavor": body}, token="manager")).status == 403
    changed = await cloud.ask(
        "PUT", "/flavors/big%20one", {"flavor": {"description": "d"}}, token="admin", version="2.55"
    )
    assert changed.json()["flavor"]["description"] == "d"
    assert [(await cloud.ask("DELETE", "/flavors/big%20one", token="admin")).status for _ in range(2)] == [202, 404]
    for wrong in ({"ram": 0}, {"vcpus": "x"}, {"disk": -1}, {"name": " "}, {"id": "a/b"}, {"rxtx_factor": 0}):
        refused = await cloud.ask("POST", "/flavors", {"flavor": {**body, **wrong}}, token="admin")
        assert refused.status == 400, (wrong, refused.body)


async def test_a_flavor_that_is_not_public_is_for_those_with_access(cloud: Cloud) -> None:
    grant = {"addTenantAccess": {"tenant": PROJECT}}
    assert (await cloud.ask("POST", "/flavors/9/action", grant)).status == 403
    answer = await cloud.ask("POST", "/flavors/9/action", grant, token="admin")
    assert answer.json() == {"flavor_access": [{"flavor_id": "9", "tenant_id": PROJECT}]}
    assert (await cloud.ask("POST", "/flavors/9/action", grant, token="admin")).status == 409
    assert await _flavors(cloud, "") == ["1", "2", "9"]
    assert await _flavors(cloud, "", "other-member") == ["1", "2"]
    await cloud.server(flavorRef="9")
    revoke = {"removeTenantAccess": {"tenant": PROJECT}}
    answer = await cloud.ask("POST", "/flavors/9/action", revoke, token="admin")
    assert answer.json() == {"flavor_access": []}
    assert (await cloud.ask("POST", "/flavors/9/action", revoke, token="admin")).status == 404
    assert (await cloud.ask("GET", "/flavors/1/os-flavor-access", token="admin")).status == 404
    assert (await cloud.ask("POST", "/flavors/1/action", grant, token="admin")).status == 409


async def test_extra_specs(cloud: Cloud) -> None:
    path = "/flavors/1/os-extra_specs"
    assert (await cloud.ask("POST", path, {"extra_specs": {"a": "1", "b": 2}}, token="admin")).status == 200
    assert (await cloud.ask("PUT", path + "/a", {"a": "3"}, token="admin")).json() == {"a": "3"}
    assert (await cloud.ask("PUT", path + "/a", {"b": "3"}, token="admin")).status == 400
    assert (await cloud.ask("GET", path)).json() == {"extra_specs": {"a": "3", "b": "2"}}
    assert [(await cloud.ask("DELETE", path + "/a", token="admin")).status for _ in range(2)] == [200, 404]
    assert (await cloud.ask("GET", path + "/a")).status == 404
    assert (await cloud.ask("POST", path, {"extra_specs": {"a/b": "1"}}, token="admin")).status == 400
    assert (await cloud.ask("POST", path, {"extra_specs": {"a": "1"}})).status == 403
    assert (await cloud.ask("GET", path, token="none")).status == 403


async def _add_key(cloud: Cloud, version: str = "2.96", token: str = "member", **fields: Any) -> Any:
    body = {"keypair": {"name": "new", "public_key": KEY, **fields}}
    return await cloud.ask("POST", "/os-keypairs", body, token=token, version=version)


async def test_key_pairs(cloud: Cloud) -> None:
    answer = await _add_key(cloud)
    assert (answer.status, answer.json()["keypair"]["fingerprint"]) == (201, FINGERPRINT)
    again = await _add_key(cloud)
    assert (again.status, again.json()["conflictingRequest"]["message"]) == (409, "Key pair 'new' already exists.")
    listed = await cloud.ask("GET", "/os-keypairs?limit=1", version="2.35")
    assert ([item["keypair"]["name"] for item in listed.json()["keypairs"]], "keypairs_links" in listed.json()) == (
        ["k"],
        True,
    )
    rest = await cloud.ask("GET", "/os-keypairs?marker=k", version="2.35")
    assert [item["keypair"]["name"] for item in rest.json()["keypairs"]] == ["new"]
    assert (await cloud.ask("GET", "/os-keypairs?marker=zz", version="2.35")).status == 400
    assert (await cloud.ask("DELETE", "/os-keypairs/new", version="2.2")).status == 204
    assert (await cloud.ask("GET", "/os-keypairs/new")).status == 404
    assert (await cloud.ask("DELETE", "/os-keypairs/k", version="2.1")).status == 202
    assert (await cloud.ask("DELETE", "/os-keypairs/%C3%BC%2F")).status == 404


@pytest.mark.parametrize(
    ("fields", "version"),
    [
        ({"public_key": "ssh-ed25519 nonsense"}, "2.96"),
        ({"public_key": "no key"}, "2.96"),
        ({"public_key": KEY + "\nssh-rsa AAAA second line"}, "2.96"),
        ({"public_key": ""}, "2.96"),
        ({"public_key": "x" * 100_000}, "2.96"),
        ({"public_key": 5}, "2.96"),
        ({"type": "x509"}, "2.96"),
        ({"type": "pgp"}, "2.96"),
        ({"name": "a/b"}, "2.96"),
        ({"name": "a.b"}, "2.91"),
        ({"name": "x" * 256}, "2.96"),
        ({"name": " x"}, "2.96"),
        ({"surprise": 1}, "2.96"),
        ({"type": "ssh"}, "2.1"),
        ({"user_id": "u"}, "2.9"),
    ],
)
async def test_keys_that_are_none(cloud: Cloud, fields: Any, version: str) -> None:
    answer = await _add_key(cloud, version, **fields)
    assert (answer.status, list(answer.json())) == (400, ["badRequest"])


async def test_a_key_is_made_until_clients_have_to_bring_their_own(cloud: Cloud) -> None:
    made = await cloud.ask("POST", "/os-keypairs", {"keypair": {"name": "made"}}, version="2.91")
    keypair = made.json()["keypair"]
    assert keypair["private_key"].startswith("-----BEGIN RSA PRIVATE KEY-----")
    assert keypair["public_key"].startswith("ssh-rsa ")
    shown = (await cloud.ask("GET", "/os-keypairs/made")).json()["keypair"]
    assert ("private_key" in shown, shown["fingerprint"]) == (False, keypair["fingerprint"])
    assert (await cloud.ask("POST", "/os-keypairs", {"keypair": {"name": "m2"}}, version="2.92")).status == 400


async def test_key_pairs_belong_to_users(cloud: Cloud) -> None:
    assert (await cloud.ask("GET", "/os-keypairs/k", token="reader")).status == 404
    assert (await cloud.ask("GET", "/os-keypairs?user_id=member-id", token="reader", version="2.10")).status == 403
    listed = await cloud.ask("GET", "/os-keypairs?user_id=member-id", token="admin", version="2.10")
    assert [item["keypair"]["name"] for item in listed.json()["keypairs"]] == ["k"]
    assert (await _add_key(cloud, token="admin", user_id="member-id")).json()["keypair"]["user_id"] == "member-id"
    assert (await cloud.ask("GET", "/os-keypairs/new")).status == 200
    assert (await _add_key(cloud, user_id="reader-id")).status == 403


async def test_quotas(cloud: Cloud) -> None:
    path = f"/os-quota-sets/{PROJECT}"
    await cloud.server()
    assert (await cloud.ask("GET", path)).json()["quota_set"]["cores"] == 20
    detail = (await cloud.ask("GET", path + "/detail")).json()["quota_set"]
    assert detail["instances"] == {"limit": 10, "in_use": 1, "reserved": 0}
    assert (await cloud.ask("GET", path, token="other-member")).status == 403
    assert (await cloud.ask("GET", path, token="admin")).status == 200
    assert (await cloud.ask("PUT", path, {"quota_set": {"cores": 5}})).status == 403

    async def put(limits: Any, version: str = "2.57") -> Any:
        return await cloud.ask("PUT", path, {"quota_set": limits}, token="admin", version=version)

    assert (await put({"cores": "5", "ram": -1})).json()["quota_set"]["cores"] == 5
    assert (await put({"instances": 0})).status == 400
    assert (await put({"instances": 0, "force": True})).json()["quota_set"]["instances"] == 0
    for wrong in ({"cores": -2}, {"cores": "x"}, {"gigabytes": 1}, {"injected_files": 1}, {"cores": 1 << 40}):
        assert (await put(wrong)).status == 400
    assert (await put({"injected_files": 1}, "2.56")).status == 200
    assert (await put({"floating_ips": 1})).status == 400
    refused = await cloud.ask("POST", "/servers", {"server": {"name": "n", "flavorRef": "1", "imageRef": ""}})
    assert refused.status == 400
    answer = await cloud.ask("PUT", path + "?user_id=u", {"quota_set": {"cores": 5}}, token="admin")
    assert (answer.status, "single users" in answer.body.decode()) == (400, True)
    assert (await cloud.ask("DELETE", path, token="admin")).status == 202
    assert (await cloud.ask("GET", path)).json()["quota_set"]["instances"] == 10
    assert (await cloud.ask("GET", "/os-quota-sets/%C3%BC/defaults", token="admin")).status == 400


async def test_limits(cloud: Cloud) -> None:
    await cloud.server(flavorRef="2")
    limits = (await cloud.ask("GET", "/limits")).json()["limits"]
    assert (limits["rate"], limits["absolute"]["totalRAMUsed"], limits["absolute"]["maxTotalCores"]) == ([], 256, 20)
    new = (await cloud.ask("GET", "/limits", version="2.57")).json()["limits"]["absolute"]
    gone = {"maxPersonality", "maxImageMeta", "maxSecurityGroups", "totalFloatingIpsUsed"}
    assert (gone & set(limits["absolute"]), gone & set(new)) == (gone, set())
    assert (await cloud.ask("GET", f"/limits?tenant_id={OTHER_PROJECT}")).status == 403
    other = await cloud.ask("GET", f"/limits?tenant_id={OTHER_PROJECT}", token="admin")
    assert other.json()["limits"]["absolute"]["totalRAMUsed"] == 0
    assert (await cloud.ask("GET", "/limits", token="none")).status == 200


@pytest.mark.parametrize(
    "path",
    [
        *("/os-hypervisors", "/os-hypervisors/detail", "/os-hypervisors/1", "/os-services", "/os-aggregates"),
        "/os-availability-zone/detail",
    ],
)
async def test_operators_pages_are_for_administrators(cloud: Cloud, path: str) -> None:
    assert (await cloud.ask("GET", path)).status == 403
    assert (await cloud.ask("GET", path, token="admin")).status == 200


async def test_hypervisors(cloud: Cloud) -> None:
    async def ask(path: str, version: str = "2.96") -> Any:
        return await cloud.ask("GET", f"/os-hypervisors{path}", token="admin", version=version)

    server_id = await cloud.server()
    (hypervisor,) = (await ask("/detail?with_servers=true")).json()["hypervisors"]
    assert (hypervisor["hypervisor_hostname"], hypervisor["servers"]) == ("h1", [{"uuid": server_id, "name": "one"}])
    (old,) = (await ask("/detail", "2.27")).json()["hypervisors"]
    assert (old["id"], old["vcpus_used"], old["running_vms"], type(old["cpu_info"])) == (1, 2, 1, str)
    assert (await ask("?hypervisor_hostname_pattern=h")).status == 200
    assert (await ask("?hypervisor_hostname_pattern=zz")).status == 404
    assert (await ask("?hypervisor_hostname_pattern=h&limit=1")).status == 400
    assert (await ask("?limit=1")).json()["hypervisors_links"][0]["rel"] == "next"
    assert (await ask("/h1/servers", "2.52")).json()["hypervisors"][0]["servers"][0]["name"] == "one"
    assert (await ask("/zz/search", "2.52")).status == 404
    assert [(await ask("/1/uptime", version)).status for version in ("2.52", "2.88")] == [501, 404]
    assert [(await ask("/h1/search", version)).status for version in ("2.52", "2.53")] == [200, 404]
    assert [(await ask("/statistics", version)).status for version in ("2.87", "2.88")] == [200, 404]
    assert [(await ask("/nope", version)).status for version in ("2.52", "2.53")] == [404, 400]


@pytest.mark.parametrize(("days", "told"), [(0, " up  3:07,"), (1, " up 1 day,  3:07,"), (93, " up 93 days,  3:07,")])
async def test_uptime_is_told_as_clients_take_it_apart(cloud: Cloud, days: int, told: str) -> None:
    up_s = days * 86_400 + 3 * 3600 + 7 * 60 + 5
    facts = HostFacts(
        hostname="h1",
        vcpus=4,
        memory_mib=8192,
        disk_gib=100,
        accelerator="kvm",
        booted_at=cloud.parts.world.now() - up_s * 1_000_000,
    )

    async def change(**fields: Any) -> None:
        async def unit(tx: Tx) -> None:
            (host,) = await operators.every(tx)
            await operators.change(tx, host, cloud.parts.world.now(), **fields)

        await cloud.db.write(unit)

    await change(facts=facts)
    asked = {version: await _uptimes(cloud, version) for version in ("2.52", "2.87", "2.88", "2.96")}
    for texts in asked.values():
        for text in texts:
            assert told in text
            parts = re.match(r"\s*(.+)\sup\s+(.+),\s+(.+)\susers?,\s+load average:\s(.+)", text)
            assert parts is not None and len(parts[1]) == 8
    await change(connected=False)
    assert await _uptimes(cloud, "2.96") == ["", ""]
    gone = await cloud.ask("GET", "/os-hypervisors/1/uptime", token="admin", version="2.52")
    assert (gone.status, "unavailable" in gone.json()["badRequest"]["message"]) == (400, True)


async def _uptimes(cloud: Cloud, version: str) -> list[str]:
    """Every uptime that is shown of the one host."""

    async def ask(path: str) -> Any:
        return (await cloud.ask("GET", f"/os-hypervisors{path}", token="admin", version=version)).json()

    named = "1" if version == "2.52" else host_uuid(1)
    if version < "2.88":
        return [(await ask(f"/{named}/uptime"))["hypervisor"]["uptime"]]
    return [(await ask("/detail"))["hypervisors"][0]["uptime"], (await ask(f"/{named}"))["hypervisor"]["uptime"]]


async def test_services_are_enabled_and_disabled(cloud: Cloud) -> None:
    async def put(path: str, body: Any, version: str) -> Any:
        return await cloud.ask("PUT", f"/os-services/{path}", body, token="admin", version=version)

    listed = (await cloud.ask("GET", "/os-services", token="admin", version="2.53")).json()["services"]
    assert sorted(service["binary"] for service in listed) == ["nova-compute", "nova-conductor", "nova-scheduler"]
    body = {"status": "disabled", "disabled_reason": "broken"}
    answer = await put(_SERVICE, body, "2.53")
    assert (answer.json()["service"]["status"], answer.json()["service"]["disabled_reason"]) == ("disabled", "broken")
    (zone,) = (await cloud.ask("GET", "/os-availability-zone")).json()["availabilityZoneInfo"]
    assert zone == {"zoneName": "nova", "zoneState": {"available": False}, "hosts": None}
    named = {"host": "h1", "binary": "nova-compute"}
    assert (await put("enable", named, "2.1")).json()["service"]["status"] == "enabled"
    assert (await put("disable-log-reason", named, "2.1")).status == 400
    assert (await put("force-down", {**named, "forced_down": True}, "2.11")).json()["service"]["forced_down"] is True
    (state,) = {
        service["state"]
        for service in (await cloud.ask("GET", "/os-services?host=h1", token="admin")).json()["services"]
    }
    assert state == "down"
    conductor = next(service["id"] for service in listed if service["binary"] == "nova-conductor")
    for path, wrong, version, status in (
        ("nonsense", body, "2.53", 400),
        ("55555555-5555-4555-8555-555555555555", body, "2.53", 404),
        (conductor, body, "2.53", 400),
        (_SERVICE, {}, "2.53", 400),
        (_SERVICE, {"disabled_reason": "x"}, "2.53", 400),
        ("explode", named, "2.1", 404),
        ("disable", {**named, "host": "h9"}, "2.1", 404),
        ("disable", {**named, "binary": "nova-conductor"}, "2.1", 400),
    ):
        assert (await put(path, wrong, version)).status == status, path
    assert (await cloud.ask("PUT", f"/os-services/{_SERVICE}", body, version="2.53")).status == 403


async def test_what_is_not_here_is_not_advertised(cloud: Cloud) -> None:
    aliases = {item["alias"] for item in (await cloud.ask("GET", "/extensions")).json()["extensions"]}
    assert not aliases & {"os-server-groups", "os-volumes", "os-floating-ips", "os-rescue", "os-shelve"}
    assert (await cloud.ask("GET", "/extensions/os-keypairs")).json()["extension"]["name"] == "Keypairs"
    assert (await cloud.ask("GET", "/extensions/os-volumes")).status == 404
    for path in ("/os-server-groups", "/os-volumes", "/os-floating-ips", "/images"):
        answer = await cloud.ask("GET", path)
        assert (answer.status, list(answer.json())) == (404, ["itemNotFound"])
