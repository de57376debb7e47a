"""Servers: what is made, what is refused and in which words, and who may."""

from __future__ import annotations

from typing import Any

import pytest

from kilostack.compute.model.server import Fault, ServerState
from kilostack.compute.store.tables import SAGAS, SERVERS
from tests.compute.stand_ins import BIG_IMAGE, IMAGE, NETWORK, NOW, PORT, QUEUED_IMAGE, finish_build
from tests.http.cloud import PROJECT
from tests.http.compute.face import Cloud

_GARBAGE = ["nothing", "%C3%BC%F0%9F%98%80", "a%2Fb", "..%2f", "%00", "x" * 5000, "a%3Fb=c", "'%20OR%201=1"]


def _body(**fields: Any) -> dict[str, Any]:
    server = {"name": "n", "flavorRef": "1", "imageRef": IMAGE, "networks": "auto", **fields}
    return {"server": {key: value for key, value in server.items() if value is not None}}


async def _create(cloud: Cloud, body: dict[str, Any], *, token: str = "member", version: str = "2.96") -> Any:
    return await cloud.ask("POST", "/servers", body, token=token, version=version)


async def test_a_create_writes_server_history_and_saga_at_once(cloud: Cloud) -> None:
    server_id = await cloud.server("web 1_a.b", built=False, key_name="k", tags=["t", "t"], metadata={"a": "b"})
    server = await cloud.record(server_id)
    assert (server.hostname, server.state, server.task_state) == ("web-1-a-b", ServerState.BUILD, "scheduling")
    assert (server.tags, server.keys) == (("t",), {"k": "ssh-ed25519 AAAA k"})
    sagas = await cloud.db.read(lambda tx: SAGAS.rows.where(tx, resource_id=server_id))
    assert [(saga.kind, saga.id) for saga in sagas] == [("server_create", server.saga_id)]
    listed = await cloud.ask("GET", f"/servers/{server_id}/os-instance-actions")
    assert [action["action"] for action in listed.json()["instanceActions"]] == ["create"]


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"imageRef": "33333333-3333-4333-8333-333333333333"}, 400, "Can not find requested image"),
        ({"imageRef": QUEUED_IMAGE}, 400, "is not active"),
        ({"imageRef": BIG_IMAGE}, 400, "Flavor's disk is too small"),
        ({"imageRef": ""}, 400, "Invalid imageRef provided"),
        ({"flavorRef": "77"}, 400, "Flavor 77 could not be found"),
        ({"flavorRef": "9"}, 400, "Flavor 9 could not be found"),
        ({"key_name": "nokey"}, 400, "Invalid key_name provided"),
        ({"availability_zone": "mars"}, 400, "availability zone is not available"),
        ({"availability_zone": "nova:h1"}, 403, "create:forced_host"),
        ({"host": "h1"}, 403, "requested_destination"),
        ({"security_groups": [{"name": "missing"}]}, 400, "Security group missing not found"),
        ({"networks": [{"port": PORT, "fixed_ip": "10.0.0.1"}]}, 400, "cannot be used with port"),
        ({"networks": [{"port": PORT}, {"port": PORT}]}, 400, "specified twice"),
        ({"networks": [{"port": PORT}], "min_count": 2}, 400, "single configured port ID"),
        ({"networks": [{"uuid": NETWORK, "fixed_ip": "10.0.0.1"}], "max_count": 2}, 400, "fixed_ip"),
        ({"networks": [{}]}, 400, "missing uuid"),
        ({"networks": [{"uuid": "nope"}]}, 400, "networks"),
        ({"min_count": 3, "max_count": 2}, 400, "min_count must be <= max_count"),
        ({"min_count": 0}, 400, "min_count"),
        ({"max_count": 100000}, 400, "At most 1000"),
        ({"hostname": "h", "max_count": 2}, 400, "hostname"),
        ({"hostname": "host", "max_count": 2}, 400, "single hostname"),
        ({"config_drive": True}, 400, "Config drives are not offered"),
        ({"user_data": "not base64!"}, 400, "base64"),
        ({"user_data": "A" * 65536}, 400, "user_data"),
        ({"block_device_mapping": [{"volume_id": PORT}]}, 400, "Volumes are not offered"),
        ({"block_device_mapping_v2": [{"source_type": "volume", "boot_index": 0}]}, 400, "Volumes and further"),
        ({"block_device_mapping_v2": [{"source_type": "blank", "boot_index": -1}]}, 400, "Volumes and further"),
        ({"metadata": {f"k{number}": "v" for number in range(129)}}, 403, "metadata items exceeds 128"),
        ({"metadata": {"k": 5}}, 400, "is not of type"),
        ({"metadata": {"k" * 256: "v"}}, 400, "metadata"),
        ({"name": " lead"}, 400, "name"),
        ({"name": "x" * 1_000_000}, 400, "longer than 255"),
        ({"name": 7}, 400, "name"),
        ({"name": None}, 400, "required"),
        ({"networks": None}, 400, "required"),
        ({"surprise": 1}, 400, "surprise"),
        ({"personality": []}, 400, "personality"),
        ({"min_count": 11}, 403, "Quota exceeded for instances: Requested 11, but already used 0 of 10 instances"),
    ],
)
async def test_what_is_wrong_is_refused_by_name(cloud: Cloud, fields: Any, status: int, words: str) -> None:
    answer = await _create(cloud, _body(**fields))
    assert (answer.status, words in answer.body.decode()) == (status, True), answer.body[:500]
    assert list(answer.json()) == ["badRequest" if status == 400 else "forbidden"]
    assert await cloud.db.read(lambda tx: SERVERS.count(tx)) == 0


async def test_bodies_follow_their_version(cloud: Cloud) -> None:
    old = {"server": {"name": "n", "flavorRef": "1", "imageRef": IMAGE}}
    assert (await _create(cloud, old, version="2.1")).status == 202
    assert (await _create(cloud, old, version="2.37")).status == 400
    described = {"server": {**old["server"], "description": "d"}}
    assert (await _create(cloud, described, version="2.18")).status == 400
    assert (await _create(cloud, described, version="2.19")).status == 202
    files = {"server": {**old["server"], "personality": [{"path": "/a", "contents": "AAAA"}]}}
    assert "cannot be injected" in (await _create(cloud, files, version="2.1")).body.decode()


async def test_the_local_disk_that_clients_describe_is_the_image(cloud: Cloud) -> None:
    device = {"uuid": IMAGE, "boot_index": 0, "source_type": "image", "destination_type": "local"}
    answer = await _create(cloud, _body(block_device_mapping_v2=[device]))
    assert answer.status == 202
    answer = await _create(cloud, _body(imageRef=BIG_IMAGE, block_device_mapping_v2=[device]))
    assert "different images" in answer.body.decode()


async def test_several_servers_are_numbered_and_fill_the_quota_as_far_as_they_may(cloud: Cloud) -> None:
    answer = await _create(cloud, _body(name="web", min_count=2, max_count=30, return_reservation_id=True))
    assert list(answer.json()) == ["reservation_id"]
    reservation = answer.json()["reservation_id"]
    listed = await cloud.ask("GET", f"/servers?reservation_id={reservation}&sort_key=launch_index&sort_dir=asc")
    assert [server["name"] for server in listed.json()["servers"]] == [f"web-{number}" for number in range(1, 11)]
    first = await cloud.record(listed.json()["servers"][0]["id"])
    assert (first.hostname, first.launch_index) == ("web-1", 0)


async def test_an_administrator_chooses_the_host(cloud: Cloud) -> None:
    for fields in ({"availability_zone": "nova:h1"}, {"availability_zone": ":h1"}, {"host": "h1"}):
        answer = await _create(cloud, _body(**fields), token="admin")
        assert answer.status == 202, answer.body
        (saga,) = await cloud.db.read(lambda tx, it=answer: SAGAS.rows.where(tx, resource_id=it.json()["server"]["id"]))
        assert b'"host":"h1"' in bytes(saga.params)
    answer = await _create(cloud, _body(host="h2"), token="admin")
    assert (answer.status, "Compute host h2 could not be found" in answer.body.decode()) == (400, True)


@pytest.mark.parametrize("name", _GARBAGE)
async def test_garbage_ids_are_not_found(cloud: Cloud, name: str) -> None:
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/ips"), ("GET", "/metadata"), ("PUT", "")):
        answer = await cloud.ask(method, f"/servers/{name}{path}", {"server": {}} if method == "PUT" else None)
        assert (answer.status, list(answer.json())) == (404, ["itemNotFound"]), answer.body[:300]


@pytest.mark.parametrize(
    ("token", "get", "put", "delete"),
    [
        ("admin", 200, 200, 204),
        ("project-admin", 200, 200, 204),
        ("manager", 200, 200, 204),
        ("member", 200, 200, 204),
        ("reader", 200, 403, 403),
        ("other-member", 404, 404, 404),
        ("none", 403, 403, 403),
        ("unscoped", 404, 404, 404),
        ("nobody", 401, 401, 401),
    ],
)
async def test_personas(cloud: Cloud, token: str, get: int, put: int, delete: int) -> None:
    server_id = await cloud.server()
    path = f"/servers/{server_id}"
    assert (await cloud.ask("GET", path, token=token)).status == get
    assert (await cloud.ask("PUT", path, {"server": {"name": "x"}}, token=token)).status == put
    stopped = await cloud.ask("POST", path + "/action", {"os-stop": None}, token=token)
    assert stopped.status == (202 if put == 200 else put)
    assert (await cloud.ask("DELETE", path, token=token)).status == delete


@pytest.mark.parametrize(
    ("token", "listed", "everywhere", "create"),
    [
        ("admin", 200, 200, 202),
        ("member", 200, 403, 202),
        ("reader", 200, 403, 403),
        ("none", 403, 403, 403),
        ("unscoped", 403, 403, 403),
    ],
)
async def test_personas_of_the_collection(cloud: Cloud, token: str, listed: int, everywhere: int, create: int) -> None:
    assert (await cloud.ask("GET", "/servers", token=token)).status == listed
    assert (await cloud.ask("GET", "/servers/detail", token=token)).status == listed
    assert (await cloud.ask("GET", "/servers?all_tenants=1", token=token)).status == everywhere
    assert (await _create(cloud, _body(), token=token)).status == create


async def test_only_administrators_see_hosts(cloud: Cloud) -> None:
    server_id = await cloud.server()
    theirs = (await cloud.ask("GET", f"/servers/{server_id}", version="2.96")).json()["server"]
    assert "h1" not in str(theirs)
    assert not {key for key in theirs if key.startswith("OS-EXT-SRV-ATTR:")} - {"OS-EXT-SRV-ATTR:hostname"}
    ours = (await cloud.ask("GET", f"/servers/{server_id}", token="admin", version="2.96")).json()["server"]
    assert (ours["OS-EXT-SRV-ATTR:host"], ours["host_status"]) == ("h1", "UP")


async def test_a_fault_is_shown_on_error_alone(cloud: Cloud) -> None:
    server_id = await cloud.server(built=False)
    fault = Fault(code=500, message="No valid host was found.", created_at=NOW, details="h1 is full")
    await finish_build(cloud.db, server_id, ServerState.ERROR, host=None, fault=fault)
    theirs = (await cloud.ask("GET", f"/servers/{server_id}")).json()["server"]
    assert (theirs["status"], theirs["fault"]["message"]) == ("ERROR", "No valid host was found.")
    assert "details" not in theirs["fault"]
    ours = (await cloud.ask("GET", f"/servers/{server_id}", token="admin")).json()["server"]
    assert ours["fault"]["details"] == "h1 is full"
    await finish_build(cloud.db, server_id, fault=fault)
    assert "fault" not in (await cloud.ask("GET", f"/servers/{server_id}")).json()["server"]


async def test_update_changes_what_it_names_and_nothing_else(cloud: Cloud) -> None:
    server_id = await cloud.server(built=False)
    before = await cloud.record(server_id)
    answer = await cloud.ask("PUT", f"/servers/{server_id}", {"server": {"name": "new", "accessIPv4": "1.2.3.4"}})
    assert (answer.json()["server"]["name"], answer.json()["server"]["accessIPv4"]) == ("new", "1.2.3.4")
    after = await cloud.record(server_id)
    assert (after.saga_id, after.task_state, after.hostname) == (before.saga_id, before.task_state, before.hostname)
    for body in ({"server": {"name": ""}}, {"server": {"flavorRef": "2"}}, {"server": {"accessIPv4": "x"}}, {}):
        assert (await cloud.ask("PUT", f"/servers/{server_id}", body)).status == 400


async def test_a_path_with_a_project_is_that_projects(cloud: Cloud) -> None:
    server_id = await cloud.server()
    assert (await cloud.ask("GET", f"/{PROJECT}/servers/{server_id}")).status == 200
    assert (await cloud.ask("GET", f"/{PROJECT}")).json()["version"]["id"] == "v2.1"
    wrong = await cloud.ask("GET", f"/{'b' * 32}/servers/{server_id}")
    assert (wrong.status, "doesn't match" in wrong.body.decode()) == (400, True)


async def test_access_addresses_are_shown_in_their_shortest_form(cloud: Cloud) -> None:
    async def shown(server_id: str) -> tuple[str, str]:
        server = (await cloud.ask("GET", f"/servers/{server_id}")).json()["server"]
        return server["accessIPv4"], server["accessIPv6"]

    long = "0000:0000:0000:0000:0000:babe:220.12.22.2"
    server_id = await cloud.server(accessIPv4="192.0.2.1", accessIPv6=long)
    assert await shown(server_id) == ("192.0.2.1", "::babe:dc0c:1602")
    changed = await cloud.ask(
        "PUT", f"/servers/{server_id}", {"server": {"accessIPv4": "", "accessIPv6": "2001:DB8:0::1"}}
    )
    assert (changed.status, await shown(server_id)) == (200, ("", "2001:db8::1"))
