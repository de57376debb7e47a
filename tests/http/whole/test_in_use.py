"""What is in use stays, and the answer says by what it is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.http.whole.bodies import PUBLIC_KEY
from tests.http.whole.simulated import COMPUTE, IDENTITY, IMAGE, NETWORK, Login
from tests.http.whole.things import new_image, new_network, public_network


@pytest.fixture
def owner(new_project: Callable[..., Login]) -> Login:
    return new_project()


def _kept(owner: Login, asked: str, kind: str, text: str, body: Any = None) -> None:
    """A request ("METHOD path") is refused with 409, in these words, and what it was about is still there."""
    method, _, path = asked.partition(" ")
    answer = owner.ask(method, path, body)
    assert answer.status == 409, answer
    if path.startswith(NETWORK):
        assert answer.json()["NeutronError"]["type"] == kind
    else:
        assert kind in answer.json()
    assert text in answer.message, answer.message
    if method == "DELETE":
        assert owner.ask("GET", path).status == 200


def _router(owner: Login, subnet: str) -> str:
    gateway = {"network_id": public_network(owner)}
    router = str(owner.make(f"{NETWORK}/routers", {"router": {"name": "r", "external_gateway_info": gateway}})["id"])
    joined = owner.ask("PUT", f"{NETWORK}/routers/{router}/add_router_interface", {"subnet_id": subnet})
    assert joined.status == 200
    return router


def test_a_network_and_a_subnet_with_a_port(owner: Login) -> None:
    network, subnet = new_network(owner)
    port = owner.make(f"{NETWORK}/ports", {"port": {"network_id": network}})["id"]
    text = "There are one or more ports still in use on the network"
    _kept(owner, f"DELETE {NETWORK}/networks/{network}", "NetworkInUse", text)
    _kept(owner, f"DELETE {NETWORK}/subnets/{subnet}", "SubnetInUse", "One or more ports have an IP allocation")
    owner.remove(f"{NETWORK}/ports/{port}")
    owner.remove(f"{NETWORK}/networks/{network}")
    assert owner.ask("GET", f"{NETWORK}/subnets/{subnet}").status == 404


def test_a_network_with_a_server(owner: Login) -> None:
    network, _ = new_network(owner)
    server = owner.server("s", networks=[{"uuid": network}])["id"]
    text = "There are one or more ports still in use on the network"
    _kept(owner, f"DELETE {NETWORK}/networks/{network}", "NetworkInUse", text)
    owner.remove(f"{COMPUTE}/servers/{server}")
    owner.server_gone(server)
    owner.remove(f"{NETWORK}/networks/{network}")


def test_a_router_with_legs_and_floating_ips(owner: Login) -> None:
    network, subnet = new_network(owner)
    router = _router(owner, subnet)
    path = f"{NETWORK}/routers/{router}"
    _kept(owner, f"DELETE {path}", "RouterInUse", "still has ports")
    leg = owner.get(f"{NETWORK}/ports?device_id={router}&network_id={network}")["ports"][0]["id"]
    _kept(owner, f"DELETE {NETWORK}/ports/{leg}", "ServicePortInUse", "has device owner network:router_interface")
    _kept(owner, f"DELETE {NETWORK}/subnets/{subnet}", "SubnetInUse", "One or more ports have an IP allocation")
    port = owner.make(f"{NETWORK}/ports", {"port": {"network_id": network}})["id"]
    wanted = {"floating_network_id": public_network(owner), "port_id": port}
    floating = owner.make(f"{NETWORK}/floatingips", {"floatingip": wanted})["id"]
    needed = "is required by one or more floating IPs"
    kind = "RouterExternalGatewayInUseByFloatingIp"
    _kept(owner, f"PUT {path}", kind, needed, {"router": {"external_gateway_info": None}})
    kind = "RouterInterfaceInUseByFloatingIP"
    text = "required by one or more floating IPs"
    _kept(owner, f"PUT {path}/remove_router_interface", kind, text, {"subnet_id": subnet})
    owner.remove(f"{NETWORK}/floatingips/{floating}")
    route = {"destination": "192.0.2.0/24", "nexthop": "10.77.0.9"}
    assert owner.ask("PUT", path, {"router": {"routes": [route]}}).status == 200
    kind = "RouterInterfaceInUseByRoute"
    _kept(owner, f"PUT {path}/remove_router_interface", kind, "required by one or more routes", {"subnet_id": subnet})
    assert owner.ask("PUT", path, {"router": {"routes": []}}).status == 200
    assert owner.ask("PUT", f"{path}/remove_router_interface", {"subnet_id": subnet}).status == 200
    owner.remove(path)


def test_the_network_and_the_range_outside(admin: Login, owner: Login) -> None:
    public = public_network(owner)
    made = owner.make(f"{NETWORK}/floatingips", {"floatingip": {"floating_network_id": public}})
    text = "There are one or more ports still in use on the network"
    _kept(admin, f"DELETE {NETWORK}/networks/{public}", "NetworkInUse", text)
    subnet = admin.get(f"{NETWORK}/subnets?network_id={public}")["subnets"][0]["id"]
    _kept(admin, f"DELETE {NETWORK}/subnets/{subnet}", "SubnetInUse", "One or more ports have an IP allocation")
    owner.remove(f"{NETWORK}/floatingips/{made['id']}")


def test_a_security_group(owner: Login) -> None:
    network, _ = new_network(owner)
    group = owner.make(f"{NETWORK}/security-groups", {"security_group": {"name": "g"}})["id"]
    wanted = {"network_id": network, "security_groups": [group]}
    port = owner.make(f"{NETWORK}/ports", {"port": wanted})["id"]
    _kept(owner, f"DELETE {NETWORK}/security-groups/{group}", "SecurityGroupInUse", f"Security Group {group} in use.")
    owner.remove(f"{NETWORK}/ports/{port}")
    owner.remove(f"{NETWORK}/security-groups/{group}")
    default = owner.get(f"{NETWORK}/security-groups?name=default")["security_groups"][0]["id"]
    answer = owner.ask("DELETE", f"{NETWORK}/security-groups/{default}")
    assert answer.status == 409
    assert answer.json()["NeutronError"]["type"] == "SecurityGroupCannotRemoveDefault"
    assert owner.ask("GET", f"{NETWORK}/security-groups/{default}").status == 200


def test_a_port_of_a_server(owner: Login) -> None:
    network, _ = new_network(owner)
    port = owner.make(f"{NETWORK}/ports", {"port": {"network_id": network}})["id"]
    server = owner.server("s", networks=[{"port": port}])["id"]
    wanted = {"name": "t", "flavorRef": owner.flavor("m1.tiny"), "imageRef": owner.image()}
    _kept(
        owner,
        f"POST {COMPUTE}/servers",
        "conflictingRequest",
        f"Port {port} is still in use.",
        {"server": wanted | {"networks": [{"port": port}]}},
    )
    for change in ({"device_id": "x"}, {"device_id": ""}):
        kind, text = "PortInUse", f"Port already has an attached device {server}"
        _kept(owner, f"PUT {NETWORK}/ports/{port}", kind, text, {"port": change})
    subnet = owner.get(f"{NETWORK}/ports/{port}")["port"]["fixed_ips"][0]["subnet_id"]
    router = _router(owner, subnet)
    text = f"Port already has an attached device {server}"
    _kept(owner, f"PUT {NETWORK}/routers/{router}/add_router_interface", "PortInUse", text, {"port_id": port})
    owner.remove(f"{COMPUTE}/servers/{server}")
    owner.server_gone(server)
    # it was the user's, so it stays, and is free
    assert owner.get(f"{NETWORK}/ports/{port}")["port"]["device_id"] == ""


def test_a_protected_image(owner: Login) -> None:
    image = new_image(owner, protected=True)
    answer = owner.ask("DELETE", f"{IMAGE}/images/{image}")
    assert answer.status == 403
    assert answer.message == f"Image {image} is protected and cannot be deleted."


def test_a_key_pair_and_an_image_of_a_server_may_go(owner: Login) -> None:
    owner.make(f"{COMPUTE}/os-keypairs", {"keypair": {"name": "k", "public_key": PUBLIC_KEY}})
    image = new_image(owner)
    server = owner.server("s", imageRef=image, key_name="k")["id"]
    owner.remove(f"{COMPUTE}/os-keypairs/k")
    owner.remove(f"{IMAGE}/images/{image}")
    assert owner.ask("POST", f"{COMPUTE}/servers/{server}/action", {"reboot": {"type": "HARD"}}).status == 202
    shown = owner.server_is(server, "ACTIVE")
    assert (shown["key_name"], shown["image"]["id"]) == ("k", image)


def test_a_flavor_of_a_server_may_go(admin: Login, owner: Login) -> None:
    flavor = admin.make(f"{COMPUTE}/flavors", {"flavor": {"name": "passing", "ram": 64, "vcpus": 1, "disk": 1}})["id"]
    server = owner.server("s", flavorRef=flavor)["id"]
    admin.remove(f"{COMPUTE}/flavors/{flavor}")
    assert owner.get(f"{COMPUTE}/servers/{server}")["server"]["flavor"]["original_name"] == "passing"
    assert owner.ask("POST", f"{COMPUTE}/servers/{server}/action", {"os-stop": None}).status == 202
    owner.server_is(server, "SHUTOFF")


@pytest.mark.parametrize(
    ("state", "action", "text"),
    [
        ("ACTIVE", {"os-start": None}, "Cannot 'start' instance {id} while it is in vm_state active"),
        ("SHUTOFF", {"os-stop": None}, "Cannot 'stop' instance {id} while it is in vm_state stopped"),
        ("SHUTOFF", {"reboot": {"type": "SOFT"}}, "Cannot 'reboot' instance {id} while it is in vm_state stopped"),
    ],
)
def test_a_verb_in_the_wrong_state(owner: Login, state: str, action: Any, text: str) -> None:
    server = owner.server("s")["id"]
    path = f"{COMPUTE}/servers/{server}/action"
    if state == "SHUTOFF":
        assert owner.ask("POST", path, {"os-stop": None}).status == 202
        owner.server_is(server, state)
    _kept(owner, f"POST {path}", "conflictingRequest", text.format(id=server), action)


def test_a_locked_server(admin: Login, owner: Login) -> None:
    server = owner.server("s")["id"]
    path = f"{COMPUTE}/servers/{server}"
    assert owner.ask("POST", f"{path}/action", {"lock": {"locked_reason": "not now"}}).status == 202
    for action in ({"os-stop": None}, {"reboot": {"type": "HARD"}}):
        answer = owner.ask("POST", f"{path}/action", action)
        # its owner may do all that to a server that its owner has locked
        assert answer.status in (202, 409), answer
    assert owner.ask("POST", f"{path}/action", {"unlock": None}).status == 202


def test_projects_users_and_roles(admin: Login, owner: Login) -> None:
    answer = admin.ask("DELETE", f"{IDENTITY}/domains/default")
    assert answer.status == 403
    assert answer.message
    service = admin.make(f"{IDENTITY}/services", {"service": {"type": "thing"}})["id"]
    region = admin.make(f"{IDENTITY}/regions", {"region": {"id": "parent"}})["id"]
    admin.make(f"{IDENTITY}/regions", {"region": {"id": "child", "parent_region_id": region}})
    endpoint = {"service_id": service, "interface": "public", "url": "http://x.test", "region_id": "child"}
    admin.make(f"{IDENTITY}/endpoints", {"endpoint": endpoint})
    answer = admin.ask("DELETE", f"{IDENTITY}/regions/{region}")
    assert answer.status == 403, answer
    assert "child regions" in answer.message
    admin.remove(f"{IDENTITY}/services/{service}")
