"""What belongs to another project is not there: 404, in the words for what was never made, and nothing leaks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.http.whole.bodies import bodies
from tests.http.whole.simulated import COMPUTE, IMAGE, NETWORK, NOBODY, Login, SimulatedCloud, password_body
from tests.http.whole.things import belongings, new_image, new_network, public_network, public_routes

NOWHERE = "00000000-0000-4000-8000-000000000000"
#: collections whose items are everybody's, or have tests of their own: who may see quotas is a matter of roles
_NOT_OWNED = re.compile(r"/(flavors|extensions|agents|os-hypervisors|os-services|quotas|os-quota-sets|os-aggregates)/")


@pytest.fixture(scope="module")
def owner(cloud: SimulatedCloud) -> Login:
    return cloud.new_project("owner", "member")


@pytest.fixture(scope="module")
def known(owner: Login) -> dict[str, str]:
    return belongings(owner, new_image(owner))


@pytest.fixture(params=["member", "reader", "manager"])
def stranger(request: pytest.FixtureRequest, new_project: Callable[..., Login]) -> Login:
    return new_project(request.param)


def _fill(template: str, known: dict[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        collection = template[: match.start()].rstrip("/").rsplit("/", 1)[-1]
        return known[f"{collection}/{match[1].split(':')[0]}"]

    return re.sub(r"\{([^}]+)\}", value, template)


async def test_every_route_to_a_thing(stranger: Login, known: dict[str, str], tmp_path: Path) -> None:
    unknown = {name: NOWHERE if re.search("[0-9]", value) else value for name, value in known.items()}
    sent = bodies(known | dict.fromkeys(_IDENTITY, "x"))
    problems: list[Any] = []
    async with public_routes(tmp_path) as routes:
        ways = [(method, template) for method, template in routes if _is_owned(template)]
    assert len(ways) > 50
    for method, template in ways:
        headers = {"Content-Type": _TYPES.get((method, template), "application/json")}
        body = sent.get(f"{method} {template}", {"os-stop": None} if template.endswith("/action") else {})
        raw = None if method in ("GET", "DELETE") else json.dumps(body).encode()
        found = stranger.ask(method, _fill(template, known), raw, headers=headers)
        nothing = stranger.ask(method, _fill(template, unknown), raw, headers=headers)
        if found.status != nothing.status or found.status not in (403, 404):
            problems.append((method, template, found, nothing))
        elif (
            found.status == 403
            and "disallowed by policy" not in found.message
            and "not authorized" not in (found.message + nothing.message)
        ):
            problems.append((method, template, found))
        elif _worded(found.body, known) != _worded(nothing.body, unknown):
            problems.append((method, template, found, nothing))
    assert not problems, "\n".join(map(str, problems))


_IDENTITY = ("users/record_id", "projects/record_id", "services/record_id", "token", "user", "password")
_TYPES = {
    ("PUT", f"{IMAGE}/images/{{image_id}}/file"): "application/octet-stream",
    ("PATCH", f"{IMAGE}/images/{{image_id}}"): "application/openstack-images-v2.1-json-patch",
}


def _is_owned(template: str) -> bool:
    ours = template.startswith((COMPUTE, NETWORK, IMAGE, "/kilostack"))
    return ours and "{" in template and "{project_id" not in template and not _NOT_OWNED.search(template)


def _worded(body: bytes, ids: dict[str, str]) -> str:
    """The text with every id taken out."""
    text = body.decode()
    for value in sorted(ids.values(), key=len, reverse=True):
        if len(value) > 2:
            text = text.replace(value, "ID")
    return text


async def test_every_list(stranger: Login, known: dict[str, str], owner: Login, tmp_path: Path) -> None:
    async with public_routes(tmp_path) as routes:
        lists = [path for method, path in routes if method == "GET" and "{" not in path and path != "/metrics"]
    # what everybody may see
    private = {value for name, value in known.items() if name not in ("public", "flavors/flavor_id") and "/" in name}
    private = {value for value in private if len(value) > 30} | {owner.project_id, owner.user_id}
    assert len(private) >= 10
    for path in lists:
        for query in ("", f"?project_id={owner.project_id}", f"?tenant_id={owner.project_id}&all_tenants=1"):
            answer = stranger.ask("GET", path + query)
            assert answer.status < 500
            asked = query.replace(owner.project_id, "")
            text = answer.body.decode().replace(query, asked).replace(f"project_id={owner.project_id}", "")
            assert not [value for value in private if value in text], (path, query, answer)
            if answer.status != 200 or query:
                continue
            for value in sorted(private):
                marked, unmarked = (stranger.ask("GET", f"{path}?marker={marker}") for marker in (value, NOWHERE))
                assert marked.status == unmarked.status, (path, value, marked)
                assert marked.body.replace(value.encode(), b"") == unmarked.body.replace(NOWHERE.encode(), b"")


def test_what_a_request_names_in_its_body(new_project: Callable[..., Login], known: dict[str, str]) -> None:
    stranger = new_project()
    own, subnet = new_network(stranger, "10.78.0.0/24")
    port = stranger.make(f"{NETWORK}/ports", {"port": {"network_id": own}})["id"]
    group = stranger.make(f"{NETWORK}/security-groups", {"security_group": {"name": "mine"}})["id"]
    router = stranger.make(f"{NETWORK}/routers", {"router": {"name": "mine"}})["id"]
    public = public_network(stranger)
    floating = stranger.make(f"{NETWORK}/floatingips", {"floatingip": {"floating_network_id": public}})["id"]
    theirs = {name.split("/")[0]: value for name, value in known.items()}
    rule = {"security_group_id": group, "direction": "ingress", "remote_group_id": theirs["security-groups"]}
    for method, path, body in (
        ("POST", "subnets", {"subnet": {"network_id": theirs["networks"], "ip_version": 4, "cidr": "10.99.0.0/24"}}),
        ("POST", "ports", {"port": {"network_id": theirs["networks"]}}),
        ("POST", "ports", {"port": {"network_id": own, "security_groups": [theirs["security-groups"]]}}),
        ("PUT", f"ports/{port}", {"port": {"security_groups": [theirs["security-groups"]]}}),
        ("POST", "security-group-rules", {"security_group_rule": rule}),
        (
            "POST",
            "security-group-rules",
            {"security_group_rule": rule | {"security_group_id": rule["remote_group_id"]}},
        ),
        ("PUT", f"routers/{router}/add_router_interface", {"subnet_id": theirs["subnets"]}),
        ("PUT", f"routers/{router}/add_router_interface", {"port_id": theirs["ports"]}),
        ("PUT", f"routers/{router}/remove_router_interface", {"port_id": theirs["ports"]}),
        ("PUT", f"routers/{router}", {"router": {"external_gateway_info": {"network_id": theirs["networks"]}}}),
        ("POST", "floatingips", {"floatingip": {"floating_network_id": public, "port_id": theirs["ports"]}}),
        ("POST", "floatingips", {"floatingip": {"floating_network_id": theirs["networks"]}}),
        ("PUT", f"floatingips/{floating}", {"floatingip": {"port_id": theirs["ports"]}}),
    ):
        answer = stranger.ask(method, f"{NETWORK}/{path}", body)
        assert answer.status == 404, (path, body, answer)
        assert "could not be found" in answer.message or "does not" in answer.message, answer
    # an address of a network that only its owner sees says nothing either
    foreign = {"network_id": own, "fixed_ips": [{"subnet_id": theirs["subnets"]}]}
    answer = stranger.ask("POST", f"{NETWORK}/ports", {"port": foreign})
    unknown = stranger.ask("POST", f"{NETWORK}/ports", {"port": foreign | {"fixed_ips": [{"subnet_id": NOWHERE}]}})
    assert (answer.status, answer.message.replace(theirs["subnets"], NOWHERE)) == (unknown.status, unknown.message)
    assert subnet


def test_what_a_new_server_names(new_project: Callable[..., Login], known: dict[str, str]) -> None:
    stranger = new_project()
    wanted = {"name": "s", "flavorRef": stranger.flavor("m1.tiny"), "imageRef": stranger.image(), "networks": "none"}
    for bad, text in (
        ({"imageRef": known["images/image_id"]}, "Can not find requested image"),
        ({"networks": [{"uuid": known["networks/id"]}]}, "could not be found"),
        ({"networks": [{"port": known["ports/id"]}]}, "could not be found"),
        ({"key_name": known["os-keypairs/name"]}, "Invalid key_name provided."),
        ({"security_groups": [{"name": known["security-groups/id"]}]}, "not found"),
    ):
        answer = stranger.ask("POST", f"{COMPUTE}/servers", {"server": wanted | bad})
        assert answer.status == 400, answer
        assert text in answer.message
    assert stranger.get(f"{COMPUTE}/servers")["servers"] == []


def test_all_projects_are_for_administrators(new_project: Callable[..., Login], owner: Login) -> None:
    member = new_project("manager")
    answer = member.ask("GET", f"{COMPUTE}/servers?all_tenants=1")
    assert answer.status == 403
    assert "os_compute_api:servers:index:get_all_tenants" in answer.message
    for path in (
        f"{COMPUTE}/os-quota-sets/{owner.project_id}",
        f"{COMPUTE}/os-quota-sets/{owner.project_id}/detail",
        f"{NETWORK}/quotas/{owner.project_id}",
        f"{COMPUTE}/os-hypervisors",
        f"{COMPUTE}/os-services",
        f"{COMPUTE}/os-availability-zone/detail",
        "/identity/v3/users",
        "/identity/v3/role_assignments",
        f"/identity/v3/projects/{owner.project_id}",
        f"/identity/v3/users/{owner.user_id}",
        f"/identity/v3/users/{owner.user_id}/application_credentials",
    ):
        answer = member.ask("GET", path)
        assert answer.status in (403, 404), (path, answer)
        assert owner.user_id not in answer.message or owner.user_id in path
    assert member.ask("GET", f"{NETWORK}/agents").json() == {"agents": []}


def test_without_a_role_nothing_can_be_done(cloud: SimulatedCloud, admin: Login) -> None:
    user = {"name": "roleless", "password": "roleless-password", "domain_id": "default"}
    admin.make("/identity/v3/users", {"user": user})
    refused = cloud.ask("POST", "/identity/v3/auth/tokens", _password("roleless", "demo"))
    assert refused.status == 401
    unscoped = cloud.ask("POST", "/identity/v3/auth/tokens", _password("roleless", None))
    assert unscoped.status == 201
    token = unscoped.headers["x-subject-token"]
    assert "project" not in unscoped.json()["token"]
    for path in (f"{COMPUTE}/servers", f"{NETWORK}/networks", f"{NETWORK}/ports", f"{IMAGE}/images"):
        answer = cloud.ask("GET", path, token=token)
        assert answer.status in (200, 403), (path, answer)
        if answer.status == 200:
            # public things are everybody's
            shown = next(iter(answer.json().values()))
            assert all(item.get("router:external") or item.get("visibility") == "public" for item in shown), shown
    for path, body in (
        (f"{COMPUTE}/servers", {"server": {"name": "s", "flavorRef": "1", "imageRef": NOWHERE, "networks": "none"}}),
        (f"{NETWORK}/networks", {"network": {"name": "n"}}),
        (f"{IMAGE}/images", {"name": "n"}),
        (f"{COMPUTE}/flavors", {"flavor": {"name": "f", "ram": 1, "vcpus": 1, "disk": 1}}),
    ):
        answer = cloud.ask("POST", path, body, token=token)
        assert answer.status in (400, 403), (path, answer)
        assert answer.message


def _password(user: str, project: str | None) -> dict[str, Any]:
    return password_body(user, f"{user}-password", project)


def test_a_reader_changes_nothing(cloud: SimulatedCloud, admin: Login, owner: Login, known: dict[str, str]) -> None:
    user = admin.make("/identity/v3/users", {"user": {"name": "watcher", "password": "watcher-password"}})["id"]
    roles = {role["name"]: role["id"] for role in admin.get("/identity/v3/roles")["roles"]}
    granted = f"/identity/v3/projects/{owner.project_id}/users/{user}/roles/{roles['reader']}"
    assert admin.ask("PUT", granted).status == 204
    reader = cloud.log_in("watcher", "watcher-password", project="owner")
    server = f"{COMPUTE}/servers/{known['servers/server_id']}"
    assert reader.get(server)["server"]["id"] == known["servers/server_id"]
    for method, path, body in (
        ("DELETE", server, None),
        ("PUT", server, {"server": {"name": "x"}}),
        ("POST", f"{server}/action", {"os-stop": None}),
        ("POST", f"{server}/metadata", {"metadata": {"a": "b"}}),
        ("PUT", f"{server}/tags/x", None),
        ("POST", f"{NETWORK}/networks", {"network": {"name": "x"}}),
        ("DELETE", f"{NETWORK}/networks/{known['networks/id']}", None),
        ("PUT", f"{NETWORK}/ports/{known['ports/id']}", {"port": {"name": "x"}}),
        ("POST", f"{IMAGE}/images", {"name": "x"}),
        ("DELETE", f"{IMAGE}/images/{known['images/image_id']}", None),
    ):
        answer = reader.ask(method, path, body)
        assert answer.status == 403, (method, path, answer)
        assert answer.message
    assert NOBODY not in json.dumps(reader.get(server))
