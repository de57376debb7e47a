"""Delete, the power verbs and the other actions: legal when, refused how, and what they leave for the sagas."""

from __future__ import annotations

from typing import Any

import pytest

from kilostack.compute.model.server import ServerState
from kilostack.compute.store.tables import FOLLOWS_NETWORK, PLACES, SAGAS
from tests.compute.stand_ins import finish_build
from tests.http.compute.face import Cloud
from tests.waiting import until


async def _act(
    cloud: Cloud, server_id: str, action: dict[str, Any], token: str = "member", version: str = "2.1"
) -> Any:
    return await cloud.ask("POST", f"/servers/{server_id}/action", action, token=token, version=version)


async def _sagas(cloud: Cloud, server_id: str) -> list[tuple[str, bool, bool]]:
    rows = await cloud.db.read(lambda tx: SAGAS.rows.where(tx, resource_id=server_id))
    rows.sort(key=lambda row: row.created_at)
    return [(row.kind, row.cancelled, row.waits_for is not None) for row in rows]


async def test_delete_supersedes_a_create_and_is_not_begun_twice(cloud: Cloud) -> None:
    server_id = await cloud.server(built=False)
    for _ in range(3):
        assert (await cloud.ask("DELETE", f"/servers/{server_id}")).status == 204
    assert await _sagas(cloud, server_id) == [("server_create", True, False), ("server_delete", False, True)]
    shown = (await cloud.ask("GET", f"/servers/{server_id}")).json()["server"]
    assert (shown["status"], shown["OS-EXT-STS:task_state"]) == ("BUILD", "deleting")


async def test_delete_of_an_idle_server_waits_for_nobody(cloud: Cloud) -> None:
    server_id = await cloud.server()
    assert (await cloud.ask("DELETE", f"/servers/{server_id}")).status == 204
    assert (await _sagas(cloud, server_id))[-1] == ("server_delete", False, False)


@pytest.mark.parametrize(
    ("action", "state", "saga", "task", "status"),
    [
        ({"os-start": None}, ServerState.SHUTOFF, "server_start", "powering-on", "SHUTOFF"),
        ({"os-stop": None}, ServerState.ACTIVE, "server_stop", "powering-off", "ACTIVE"),
        ({"os-stop": None}, ServerState.ERROR, "server_stop", "powering-off", "ERROR"),
        ({"os-start": {}}, ServerState.SHUTOFF, "server_start", "powering-on", "SHUTOFF"),
        ({"os-stop": {}}, ServerState.ACTIVE, "server_stop", "powering-off", "ACTIVE"),
        ({"reboot": {"type": "SOFT"}}, ServerState.ACTIVE, "server_reboot_soft", "rebooting", "REBOOT"),
        ({"reboot": {"type": "Hard"}}, ServerState.ACTIVE, "server_reboot_hard", "rebooting_hard", "HARD_REBOOT"),
        ({"reboot": {"type": "HARD"}}, ServerState.SHUTOFF, "server_reboot_hard", "rebooting_hard", "SHUTOFF"),
    ],
)
async def test_power(cloud: Cloud, action: Any, state: ServerState, saga: str, task: str, status: str) -> None:
    server_id = await cloud.server()
    await finish_build(cloud.db, server_id, state)
    answer = await _act(cloud, server_id, action)
    assert (answer.status, answer.body) == (202, b"")
    assert (await _sagas(cloud, server_id))[-1] == (saga, False, False)
    shown = (await cloud.ask("GET", f"/servers/{server_id}")).json()["server"]
    assert (shown["OS-EXT-STS:task_state"], shown["status"]) == (task, status)
    again = await _act(cloud, server_id, action)
    assert (again.status, task in again.json()["conflictingRequest"]["message"]) == (409, True)


@pytest.mark.parametrize(
    ("action", "state", "words"),
    [
        ({"os-start": None}, ServerState.ACTIVE, "Cannot 'start' instance"),
        ({"os-stop": None}, ServerState.SHUTOFF, "while it is in vm_state stopped"),
        ({"reboot": {"type": "SOFT"}}, ServerState.SHUTOFF, "Cannot 'reboot' instance"),
        ({"os-start": None}, ServerState.BUILD, "vm_state building"),
    ],
)
async def test_power_in_the_wrong_state(cloud: Cloud, action: Any, state: ServerState, words: str) -> None:
    server_id = await cloud.server()
    await finish_build(cloud.db, server_id, state)
    answer = await _act(cloud, server_id, action)
    assert (answer.status, words in answer.body.decode()) == (409, True), answer.body


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"pause": None}, 501, "The action pause is not implemented"),
        ({"resize": {"flavorRef": "2"}}, 501, "resize"),
        ({"noSuchThing": None}, 400, "no such action"),
        ({}, 400, "exactly one key"),
        ({"os-start": None, "os-stop": None}, 400, "exactly one key"),
        ({"reboot": {"type": "LUKEWARM"}}, 400, "LUKEWARM"),
        ({"reboot": None}, 400, "reboot"),
        ([], 400, "exactly one key"),
    ],
)
async def test_actions_that_are_not_here(cloud: Cloud, body: Any, status: int, words: str) -> None:
    server_id = await cloud.server()
    answer = await _act(cloud, server_id, body)
    assert (answer.status, words in answer.body.decode()) == (status, True), answer.body


async def test_a_locked_server_obeys_administrators_alone(cloud: Cloud) -> None:
    server_id = await cloud.server()
    lock = {"lock": {"locked_reason": "mine"}}
    assert (await _act(cloud, server_id, lock, version="2.73")).status == 202
    shown = (await cloud.ask("GET", f"/servers/{server_id}", version="2.73")).json()["server"]
    assert (shown["locked"], shown["locked_reason"]) == (True, "mine")
    assert "is locked" in (await _act(cloud, server_id, {"os-stop": None})).body.decode()
    assert (await cloud.ask("DELETE", f"/servers/{server_id}")).status == 409
    assert (await cloud.ask("PUT", f"/servers/{server_id}/metadata", {"metadata": {}})).status == 409
    assert (await _act(cloud, server_id, {"unlock": None})).status == 202
    assert (await _act(cloud, server_id, {"lock": None}, token="admin")).status == 202
    assert (await _act(cloud, server_id, {"lock": None})).status == 202
    assert (await _act(cloud, server_id, {"unlock": None})).status == 403
    assert (await _act(cloud, server_id, {"os-stop": None}, token="admin")).status == 202
    assert (await _act(cloud, server_id, {"unlock": None}, token="admin")).status == 202
    assert (await cloud.ask("DELETE", f"/servers/{server_id}")).status == 204


async def test_security_groups_are_changed_by_network(cloud: Cloud) -> None:
    server_id = await cloud.server()
    assert (await _act(cloud, server_id, {"addSecurityGroup": {"name": "web"}})).status == 202
    assert (await _act(cloud, server_id, {"removeSecurityGroup": {"name": "web"}})).status == 202
    changes = [(change.server_id, change.group, change.add) for change in cloud.neighbours.group_changes]
    assert changes == [(server_id, "web", True), (server_id, "web", False)]
    answer = await _act(cloud, server_id, {"addSecurityGroup": {"name": "missing"}})
    assert (answer.status, list(answer.json())) == (404, ["itemNotFound"])
    assert (await _act(cloud, server_id, {"addSecurityGroup": {}})).status == 400
    assert (await _act(cloud, server_id, {"addSecurityGroup": {"name": "web"}}, token="reader")).status == 403


async def test_a_changed_group_is_shown_to_who_asks_next(cloud: Cloud) -> None:
    server_id = await cloud.server()
    cloud.neighbours.newest = 7

    async def changed() -> bool:
        return bool(cloud.neighbours.group_changes)

    async def follow() -> None:
        await until(changed)
        await cloud.db.write(lambda tx: PLACES.set(tx, FOLLOWS_NETWORK, 7))

    following = cloud.parts.world.spawn(follow(), "follower")
    assert (await _act(cloud, server_id, {"removeSecurityGroup": {"name": "web"}})).status == 202
    assert await cloud.db.read(lambda tx: PLACES.get(tx, FOLLOWS_NETWORK)) == 7
    await following


async def test_the_console_is_read_from_the_host(cloud: Cloud) -> None:
    server_id = await cloud.server()
    whole = (await _act(cloud, server_id, {"os-getConsoleOutput": {}})).json()["output"]
    assert whole.splitlines() == [f"line {number}" for number in range(1, 11)]
    some = (await _act(cloud, server_id, {"os-getConsoleOutput": {"length": "2"}})).json()["output"]
    assert some == "line 10\n"
    all_of_it = (await _act(cloud, server_id, {"os-getConsoleOutput": {"length": -1}})).json()["output"]
    assert all_of_it == whole
    waiting = await cloud.server("two", built=False)
    assert (await _act(cloud, waiting, {"os-getConsoleOutput": {}})).status == 409
    assert (await _act(cloud, server_id, {"os-getConsoleOutput": {}}, token="reader")).status == 403
