"""Metadata, tags, addresses, interfaces, groups, history and why of a server."""

from __future__ import annotations

from typing import Any

import pytest

from kilostack.compute.model.records import Decision
from kilostack.compute.store import actions, servers
from kilostack.compute.store.tables import DECISIONS, SERVERS
from kilostack.store.database import Tx
from tests.compute.stand_ins import NOW, PORT
from tests.http.compute.face import Cloud


async def test_metadata(cloud: Cloud) -> None:
    path = f"/servers/{await cloud.server(metadata={'a': '1', 'b': '2'})}/metadata"
    assert (await cloud.ask("POST", path, {"metadata": {"b": "3", "c": "4"}})).json() == {
        "metadata": {"a": "1", "b": "3", "c": "4"}
    }
    assert (await cloud.ask("PUT", path, {"metadata": {"z": "9"}})).json() == {"metadata": {"z": "9"}}
    assert (await cloud.ask("PUT", path + "/y", {"meta": {"y": "8"}})).json() == {"meta": {"y": "8"}}
    assert (await cloud.ask("PUT", path + "/y", {"meta": {"x": "8"}})).status == 400
    assert (await cloud.ask("PUT", path + "/y", {"meta": {"y": "8", "x": "1"}})).status == 400
    assert (await cloud.ask("GET", path + "/y")).json() == {"meta": {"y": "8"}}
    assert (await cloud.ask("DELETE", path + "/z")).status == 204
    assert (await cloud.ask("DELETE", path + "/z")).status == 404
    assert (await cloud.ask("GET", path + "/z")).status == 404
    assert (await cloud.ask("GET", path)).json() == {"metadata": {"y": "8"}}
    many = {f"k{number}": "v" for number in range(128)}
    assert (await cloud.ask("POST", path, {"metadata": many})).status == 403
    assert (await cloud.ask("PUT", path, {"metadata": many})).status == 200
    for body in ({"metadata": {"a": 1}}, {"metadata": {"": "x"}}, {"meta": {}}, {"metadata": [], "x": 1}):
        assert (await cloud.ask("POST", path, body)).status == 400


async def test_tags(cloud: Cloud) -> None:
    async def ask(method: str, path: str, body: Any = None) -> Any:
        return await cloud.ask(method, f"/servers/{server_id}/tags{path}", body, version="2.26")

    server_id = await cloud.server(tags=["a"])
    added = await ask("PUT", "/b%20c")
    assert (added.status, added.headers["location"].endswith(f"{server_id}/tags/b%20c")) == (201, True)
    assert (await ask("PUT", "/b%20c")).status == 204
    assert (await ask("GET", "")).json() == {"tags": ["a", "b c"]}
    assert [(await ask("GET", path)).status for path in ("/a", "/z")] == [204, 404]
    assert [(await ask("DELETE", "/a")).status for _ in range(2)] == [204, 404]
    assert (await ask("PUT", "", {"tags": ["x", "y", "x"]})).json() == {"tags": ["x", "y"]}
    for tag in ("a,b", "t" * 61):
        assert (await ask("PUT", f"/{tag}")).status == 400
        assert (await ask("PUT", "", {"tags": [tag]})).status == 400
    assert (await ask("PUT", "", {"tags": [f"t{number}" for number in range(51)]})).status == 400
    assert (await ask("PUT", "", {"tags": [f"t{number}" for number in range(50)]})).status == 200
    assert "per-server limit 50" in (await ask("PUT", "/more")).body.decode()
    assert (await ask("DELETE", "")).status == 204
    assert (await ask("GET", "")).json() == {"tags": []}
    assert (await cloud.ask("GET", f"/servers/{server_id}/tags", version="2.25")).status == 404
    server_id = await cloud.server("building", built=False)
    assert (await ask("PUT", "/x")).status == 409


async def test_addresses_interfaces_and_groups(cloud: Cloud) -> None:
    server_id = await cloud.server()
    plain = [{"version": 4, "addr": "10.0.0.5"}, {"version": 4, "addr": "203.0.113.9"}]
    assert (await cloud.ask("GET", f"/servers/{server_id}/ips")).json() == {"addresses": {"private": plain}}
    assert (await cloud.ask("GET", f"/servers/{server_id}/ips/private")).json() == {"private": plain}
    assert (await cloud.ask("GET", f"/servers/{server_id}/ips/other")).status == 404
    listed = (await cloud.ask("GET", f"/servers/{server_id}/os-interface", version="2.70")).json()
    assert [port["tag"] for port in listed["interfaceAttachments"]] == [None]
    one = await cloud.ask("GET", f"/servers/{server_id}/os-interface/{PORT}")
    assert (one.json()["interfaceAttachment"]["mac_addr"], one.status) == ("fa:16:3e:00:00:01", 200)
    assert (await cloud.ask("GET", f"/servers/{server_id}/os-interface/none")).status == 404
    (group,) = (await cloud.ask("GET", f"/servers/{server_id}/os-security-groups")).json()["security_groups"]
    assert [(rule["ip_protocol"], rule["from_port"], rule["ip_range"], rule["group"]) for rule in group["rules"]] == [
        ("tcp", 22, {"cidr": "0.0.0.0/0"}, {}),
        (None, None, {}, {"name": "default", "tenant_id": "p"}),
    ]


async def test_the_old_proxy_of_security_groups_is_read(cloud: Cloud) -> None:
    for path in ("", "/detail"):
        (group,) = (await cloud.ask("GET", f"/os-security-groups{path}")).json()["security_groups"]
        assert (group["id"], group["name"]) == ("g2", "web")
    assert (await cloud.ask("GET", "/os-security-groups/g2")).json()["security_group"]["name"] == "web"
    assert (await cloud.ask("GET", "/os-security-groups/web")).status == 404
    assert (await cloud.ask("GET", "/os-security-groups", version="2.36")).status == 404
    assert (await cloud.ask("POST", "/os-security-groups", {})).status == 405
    assert (await cloud.ask("GET", "/os-security-groups", token="none")).status == 403


async def test_history(cloud: Cloud) -> None:
    server_id = await cloud.server()
    path = f"/servers/{server_id}/os-instance-actions"
    stopped = await cloud.ask("POST", f"/servers/{server_id}/action", {"os-stop": None})
    request_id = stopped.headers["x-compute-request-id"]
    listed = (await cloud.ask("GET", path)).json()["instanceActions"]
    assert [action["action"] for action in listed] == ["stop", "create"]
    assert (listed[0]["request_id"], listed[0]["instance_uuid"]) == (request_id, server_id)
    await cloud.db.write(lambda tx: actions.finish(tx, server_id, request_id, NOW, "h1 is gone"))

    async def shown(token: str, version: str) -> Any:
        return (await cloud.ask("GET", f"{path}/{request_id}", token=token, version=version)).json()["instanceAction"]

    assert "events" not in await shown("member", "2.50")
    (event,) = (await shown("member", "2.84"))["events"]
    assert (event["result"], sorted(event)) == (
        "Error",
        ["event", "finish_time", "hostId", "result", "start_time"],
    )
    (event,) = (await shown("admin", "2.84"))["events"]
    assert (event["host"], event["details"], event["traceback"]) == ("h1", "h1 is gone", None)
    page = (await cloud.ask("GET", path + "?limit=1", version="2.58")).json()
    assert (len(page["instanceActions"]), page["links"][0]["rel"]) == (1, "next")
    rest = (await cloud.ask("GET", f"{path}?limit=1&marker={request_id}", version="2.58")).json()
    assert [action["action"] for action in rest["instanceActions"]] == ["create"]
    assert (await cloud.ask("GET", path + "?marker=none", version="2.58")).status == 400
    assert (await cloud.ask("GET", path + "/req-none")).status == 404
    assert (await cloud.ask("GET", path, token="other-member")).status == 404


async def test_a_deleted_server_keeps_its_past(cloud: Cloud) -> None:
    server_id = await cloud.server()

    async def unit(tx: Tx) -> None:
        await servers.remove(tx, await SERVERS.get(tx, id=server_id))

    await cloud.db.write(unit)
    path = f"/servers/{server_id}/os-instance-actions"
    assert (await cloud.ask("GET", path, version="2.20")).status == 404
    assert (await cloud.ask("GET", path, version="2.21")).status == 200
    assert (await cloud.ask("GET", path, version="2.21", token="other-member")).status == 404


@pytest.fixture
async def decided(cloud: Cloud) -> str:
    """The id of a server with a recorded decision that names its host."""
    server_id = await cloud.server("web")
    record = {"rules": [{"rule": "enough memory", "left": 1, "removed": {"h1": 1}}], "tried": ["h1: took it"]}
    decision = Decision(server_id=server_id, saga_id="s", at=NOW, outcome="placed on h1.", host="h1", record=record)
    await cloud.db.write(lambda tx: DECISIONS.insert(tx, decision))
    return server_id


async def test_why_tells_the_owner_without_naming_hosts(cloud: Cloud, decided: str) -> None:
    for name in (decided, "web"):
        answer = await cloud.ask("GET", f"/kilostack/v1/servers/{name}/why")
        why = answer.json()
        assert (why["server"]["id"], [saga["name"] for saga in why["sagas"]]) == (decided, ["server_create"])
        (decision,) = why["decisions"]
        assert decision["at"] == "2026-09-21T14:13:20.000000Z"
        assert decision["outcome"] == f"placed on {decision['host']}."
        assert (decision["host"].startswith("host-"), "h1" in answer.body.decode()) == (True, False)
    ours = (await cloud.ask("GET", "/kilostack/v1/servers/web/why", token="admin")).json()
    assert ours["decisions"][0]["record"]["rules"][0]["removed"] == {"h1": 1}


@pytest.mark.parametrize(("token", "status"), [("reader", 200), ("none", 403), ("other-member", 404), (None, 401)])
async def test_why_is_for_those_who_may_see_the_server(
    cloud: Cloud, decided: str, token: str | None, status: int
) -> None:
    assert (await cloud.ask("GET", f"/kilostack/v1/servers/{decided}/why", token=token)).status == status


async def test_why_of_a_name_that_several_have(cloud: Cloud, decided: str) -> None:
    await cloud.server("web")
    assert (await cloud.ask("GET", "/kilostack/v1/servers/web/why")).status == 409
