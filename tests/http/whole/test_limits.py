"""What is full is full, for two clients at once, too; and it is free again when something has gone."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.http.whole.bodies import PUBLIC_KEY
from tests.http.whole.simulated import COMPUTE, IMAGE, NETWORK, Answer, Login, wait_until
from tests.http.whole.things import new_image, new_network, public_network

CLIENTS = 12


def at_once(count: int, ask: Callable[[int], Answer]) -> list[Answer]:
    """What each of so many clients got, all of whom asked at the same moment."""
    gate = threading.Barrier(count)
    got: list[Answer | BaseException] = []

    def run(number: int) -> None:
        gate.wait()
        try:
            got.append(ask(number))
        except BaseException as error:
            got.append(error)

    crowd = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    answers = [one for one in got if isinstance(one, Answer)]
    assert len(answers) == count, got
    return answers


def _network_limit(admin: Login, owner: Login, **limits: int) -> None:
    assert admin.ask("PUT", f"{NETWORK}/quotas/{owner.project_id}", {"quota": limits}).status == 200


def _compute_limit(admin: Login, owner: Login, **limits: int) -> None:
    assert admin.ask("PUT", f"{COMPUTE}/os-quota-sets/{owner.project_id}", {"quota_set": limits}).status == 200


def _used(owner: Login, name: str) -> int:
    return int(owner.get(f"{NETWORK}/quotas/{owner.project_id}/details")["quota"][name]["used"])


@pytest.mark.parametrize("counted", ["network", "subnet", "port", "router", "security_group", "floatingip"])
def test_things_of_a_network(admin: Login, new_project: Callable[..., Login], counted: str) -> None:
    owner = new_project()
    network, _ = new_network(owner)
    public = public_network(owner)
    owner.get(f"{NETWORK}/security-groups")
    bodies: dict[str, Callable[[int], Any]] = {
        "network": lambda number: {"name": f"n{number}"},
        "subnet": lambda number: {"network_id": network, "ip_version": 4, "cidr": f"10.90.{number}.0/24"},
        "port": lambda number: {"network_id": network},
        "router": lambda number: {"name": f"r{number}"},
        "security_group": lambda number: {"name": f"g{number}"},
        "floatingip": lambda number: {"floating_network_id": public},
    }
    path = f"{NETWORK}/{counted.replace('_', '-')}s"
    before = _used(owner, counted)
    _network_limit(admin, owner, **{counted: before + 3})
    answers = at_once(CLIENTS, lambda number: owner.ask("POST", path, {counted: bodies[counted](number)}))
    assert Counter(answer.status for answer in answers) == {201: 3, 409: CLIENTS - 3}, answers
    for answer in answers:
        if answer.status == 409:
            assert answer.json()["NeutronError"]["type"] == "OverQuota"
            assert answer.message == f"Quota exceeded for resources: ['{counted}']."
    assert _used(owner, counted) == before + 3
    assert len(owner.get(f"{path}?project_id={owner.project_id}")[f"{counted}s"]) == before + 3
    made = [answer.json()[counted]["id"] for answer in answers if answer.status == 201]
    gone = at_once(CLIENTS, lambda number: owner.ask("DELETE", f"{path}/{made[0]}"))
    assert Counter(answer.status for answer in gone) == {204: 1, 404: CLIENTS - 1}
    assert _used(owner, counted) == before + 2
    assert owner.ask("POST", path, {counted: bodies[counted](200)}).status == 201
    # all of a list or nothing of it
    many = {f"{counted}s": [bodies[counted](number) for number in (201, 202)]}
    owner.remove(f"{path}/{made[1]}")
    assert owner.ask("POST", path, many).status == 409
    assert _used(owner, counted) == before + 2


def test_rules_of_groups(admin: Login, new_project: Callable[..., Login]) -> None:
    owner = new_project()
    group = owner.make(f"{NETWORK}/security-groups", {"security_group": {"name": "g"}})["id"]
    before = _used(owner, "security_group_rule")
    _network_limit(admin, owner, security_group_rule=before + 2)

    def rule(number: int) -> Answer:
        wanted = {"security_group_id": group, "direction": "ingress", "protocol": "tcp"}
        wanted |= {"port_range_min": 1000 + number, "port_range_max": 1000 + number}
        return owner.ask("POST", f"{NETWORK}/security-group-rules", {"security_group_rule": wanted})

    answers = at_once(CLIENTS, rule)
    assert Counter(answer.status for answer in answers) == {201: 2, 409: CLIENTS - 2}
    assert _used(owner, "security_group_rule") == before + 2


@pytest.mark.parametrize(
    ("limit", "amount", "word"),
    [("instances", 3, "instances"), ("cores", 3, "cores"), ("ram", 3 * 128, "ram")],
)
def test_servers(admin: Login, new_project: Callable[..., Login], limit: str, amount: int, word: str) -> None:
    owner = new_project()
    _compute_limit(admin, owner, **{limit: amount})
    wanted = {"flavorRef": owner.flavor("m1.tiny"), "imageRef": owner.image(), "networks": "none"}
    answers = at_once(
        CLIENTS, lambda number: owner.ask("POST", f"{COMPUTE}/servers", {"server": wanted | {"name": f"s{number}"}})
    )
    assert Counter(answer.status for answer in answers) == {202: 3, 403: CLIENTS - 3}, answers
    for answer in answers:
        if answer.status == 403:
            assert answer.message.startswith(f"Quota exceeded for {word}: Requested "), answer
    servers = [answer.json()["server"]["id"] for answer in answers if answer.status == 202]
    for server in servers:
        owner.server_is(server, "ACTIVE")
    absolute = {"instances": "totalInstancesUsed", "cores": "totalCoresUsed", "ram": "totalRAMUsed"}[limit]
    assert owner.get(f"{COMPUTE}/limits")["limits"]["absolute"][absolute] == amount
    several = {"server": wanted | {"name": "m", "min_count": 2, "max_count": 3}}
    owner.remove(f"{COMPUTE}/servers/{servers[0]}")
    owner.server_gone(servers[0])
    assert owner.ask("POST", f"{COMPUTE}/servers", several).status == 403
    fits = {"server": wanted | {"name": "m", "min_count": 1, "max_count": 3}}
    assert owner.ask("POST", f"{COMPUTE}/servers", fits).status == 202
    for server in owner.get(f"{COMPUTE}/servers")["servers"]:
        owner.remove(f"{COMPUTE}/servers/{server['id']}")
    for server in servers:
        owner.server_gone(server)
    wait_until(lambda: not owner.get(f"{COMPUTE}/servers")["servers"], "all servers are gone")
    assert owner.get(f"{COMPUTE}/limits")["limits"]["absolute"][absolute] == 0


def test_a_server_whose_ports_are_over_the_limit(admin: Login, new_project: Callable[..., Login]) -> None:
    owner = new_project()
    network, _ = new_network(owner)
    _network_limit(admin, owner, port=_used(owner, "port"))
    wanted = {"name": "s", "flavorRef": owner.flavor("m1.tiny"), "imageRef": owner.image()}
    answer = owner.ask("POST", f"{COMPUTE}/servers", {"server": wanted | {"networks": [{"uuid": network}]}})
    assert answer.status == 403
    assert answer.message == "Maximum number of ports exceeded"
    assert owner.get(f"{COMPUTE}/limits")["limits"]["absolute"]["totalInstancesUsed"] == 0


def test_key_pairs(cloud: Any, new_project: Callable[..., Login]) -> None:
    owner = new_project()
    most = owner.get(f"{COMPUTE}/limits")["limits"]["absolute"]["maxTotalKeypairs"]
    for number in range(most - 2):
        owner.make(f"{COMPUTE}/os-keypairs", {"keypair": {"name": f"k{number}", "public_key": PUBLIC_KEY}})

    def key(number: int) -> Answer:
        wanted = {"name": f"late-{number}", "public_key": PUBLIC_KEY}
        return owner.ask("POST", f"{COMPUTE}/os-keypairs", {"keypair": wanted})

    answers = at_once(CLIENTS, key)
    assert Counter(answer.status for answer in answers) == {201: 2, 403: CLIENTS - 2}
    refused = next(answer for answer in answers if answer.status == 403)
    assert refused.message == "Quota exceeded, too many key pairs."


def test_one_name_at_once(new_project: Callable[..., Login]) -> None:
    owner = new_project()
    key = {"keypair": {"name": "only", "public_key": PUBLIC_KEY}}
    answers = at_once(CLIENTS, lambda number: owner.ask("POST", f"{COMPUTE}/os-keypairs", key))
    assert Counter(answer.status for answer in answers) == {201: 1, 409: CLIENTS - 1}
    assert any(a.message == "Key pair 'only' already exists." for a in answers if a.status == 409)


def test_one_address_at_once(new_project: Callable[..., Login]) -> None:
    owner = new_project()
    network, subnet = new_network(owner, "10.91.0.0/29")
    fixed = [{"subnet_id": subnet, "ip_address": "10.91.0.5"}]
    port = {"port": {"network_id": network, "fixed_ips": fixed}}
    answers = at_once(CLIENTS, lambda number: owner.ask("POST", f"{NETWORK}/ports", port))
    assert Counter(answer.status for answer in answers) == {201: 1, 409: CLIENTS - 1}
    refused = next(answer for answer in answers if answer.status == 409)
    assert refused.json()["NeutronError"]["type"] == "IpAddressAlreadyAllocated"
    assert "10.91.0.5" in refused.message
    # the rest of a small subnet goes to as many as there are addresses
    any_port = {"port": {"network_id": network}}
    answers = at_once(CLIENTS, lambda number: owner.ask("POST", f"{NETWORK}/ports", any_port))
    given = [answer.json()["port"]["fixed_ips"][0]["ip_address"] for answer in answers if answer.status == 201]
    assert len(given) == len(set(given)) > 0
    refused = next(answer for answer in answers if answer.status != 201)
    assert (refused.status, refused.json()["NeutronError"]["type"]) == (409, "IpAddressGenerationFailure")
    assert network in refused.message


def test_a_server_for_which_no_address_is_left(new_project: Callable[..., Login]) -> None:
    owner = new_project()
    network, _ = new_network(owner, "10.92.0.0/30", "cramped")
    while owner.ask("POST", f"{NETWORK}/ports", {"port": {"network_id": network}}).status == 201:
        pass
    found = owner.server("s", wait="ERROR", networks=[{"uuid": network}])
    assert found["fault"]["message"] == "No more IP addresses are available on network cramped."
    assert found["fault"]["code"] == 500
    owner.remove(f"{COMPUTE}/servers/{found['id']}")
    owner.server_gone(found["id"])


def test_one_server_deleted_and_used_at_once(new_project: Callable[..., Login]) -> None:
    owner = new_project()
    for _ in range(4):
        server = owner.server("s")["id"]
        path = f"{COMPUTE}/servers/{server}"
        asks: list[Callable[[], Answer]] = [
            lambda path=path: owner.ask("DELETE", path),  # type: ignore[misc]
            lambda path=path: owner.ask("POST", f"{path}/action", {"os-stop": None}),  # type: ignore[misc]
            lambda path=path: owner.ask("POST", f"{path}/action", {"reboot": {"type": "HARD"}}),  # type: ignore[misc]
            lambda path=path: owner.ask("PUT", path, {"server": {"name": "other"}}),  # type: ignore[misc]
        ]
        answers = at_once(CLIENTS, lambda number, asks=asks: asks[number % len(asks)]())  # type: ignore[misc]
        assert {answer.status for answer in answers} <= {200, 202, 204, 404, 409}, answers
        assert 204 in {answer.status for answer in answers}
        owner.server_gone(server)


def test_an_image_uploaded_twice_at_once(new_project: Callable[..., Login]) -> None:
    owner = new_project()
    wanted = {"name": "i", "disk_format": "raw", "container_format": "bare"}
    image = owner.ask("POST", f"{IMAGE}/images", wanted).json()["id"]
    octets = {"Content-Type": "application/octet-stream"}
    path = f"{IMAGE}/images/{image}/file"
    answers = at_once(6, lambda number: owner.ask("PUT", path, bytes([number]) * (1 << 20), headers=octets))
    assert Counter(answer.status for answer in answers) == {204: 1, 409: 5}
    content = owner.ask("GET", path).body
    assert len(content) == 1 << 20
    assert len(set(content)) == 1
    assert new_image(owner) != image
