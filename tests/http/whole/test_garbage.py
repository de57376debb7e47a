"""Every route of every public table, by several people, with requests that no client should send: never a 500."""

from __future__ import annotations

import random
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from kilostack.assembly.cloud import SCHEMAS, Cloud, Ground
from kilostack.bus.hints import LocalHints
from kilostack.core.world import RealWorld
from kilostack.drivers.blobs.memory import MemoryBlobs
from tests.databases import sqlite_database
from tests.http.whole.bodies import PUBLIC_KEY, bodies
from tests.http.whole.garbage import Garbage, Table
from tests.http.whole.simulated import COMPUTE, IDENTITY, IMAGE, NETWORK, Answer, Login, SimulatedCloud, message_of

#: requests for one route by one person
COUNT = 12
SEEDS = 2


@pytest.fixture
def cloud() -> Iterator[SimulatedCloud]:
    """A cloud of its own: nothing in it is safe."""
    with tempfile.TemporaryDirectory(prefix="ks-garbage-") as home:
        made = SimulatedCloud(Path(home), "garbage")
        made.up()
        yield made
        made.down("--wipe")


@pytest.fixture
async def routes(tmp_path: Path) -> AsyncIterator[list[tuple[str, str]]]:
    """Method and template of every public operation, as the product's own tables have them."""
    world = RealWorld()
    hints = LocalHints(world)
    databases = {
        name: await sqlite_database(tmp_path / name, world, hints.send, *schema) for name, schema in SCHEMAS.items()
    }
    ground = Ground(world=world, hints=hints, databases=databases, blobs=MemoryBlobs(), master_key=b"k" * 32)
    apis = Cloud(ground).apis()
    yield sorted({(route.method, api.prefix + route.path or "/") for api in apis for route in api.routes})
    await world.close()


def _things(owner: Login, name: str, admin: Login, number: int) -> dict[str, str]:
    """Ids of things that exist, by collection and field of the path."""
    network = owner.make(f"{NETWORK}/networks", {"network": {"name": f"n{number}"}})["id"]
    subnet = {"network_id": network, "ip_version": 4, "cidr": "10.77.0.0/24"}
    subnet_id = owner.make(f"{NETWORK}/subnets", {"subnet": subnet})["id"]
    public = owner.get(f"{NETWORK}/networks?name=public")["networks"][0]["id"]
    image = _image(admin)
    server = owner.server(f"s{number}", networks=[{"uuid": network}], imageRef=image, metadata={"k": "v"})
    user = admin.make(f"{IDENTITY}/users", {"user": {"name": f"victim-{number}", "password": "p"}})["id"]
    group = owner.make(f"{NETWORK}/security-groups", {"security_group": {"name": "g"}})
    key = {"name": f"k{number}", "public_key": PUBLIC_KEY}
    known = {
        "networks/id": network,
        "subnets/id": subnet_id,
        "public": public,
        "ports/id": owner.make(f"{NETWORK}/ports", {"port": {"network_id": network}})["id"],
        "routers/id": owner.make(f"{NETWORK}/routers", {"router": {"name": "r"}})["id"],
        "floatingips/id": owner.make(f"{NETWORK}/floatingips", {"floatingip": {"floating_network_id": public}})["id"],
        "security-groups/id": group["id"],
        "security-group-rules/id": group["security_group_rules"][0]["id"],
        "quotas/id": owner.project_id,
        "agents/id": admin.get(f"{NETWORK}/agents")["agents"][0]["id"],
        "servers/server_id": server["id"],
        "server_id": server["id"],
        "flavors/flavor_id": admin.make(
            f"{COMPUTE}/flavors", {"flavor": {"name": f"f{number}", "ram": 64, "vcpus": 1, "disk": 1}}
        )["id"],
        "os-keypairs/name": owner.make(f"{COMPUTE}/os-keypairs", {"keypair": key})["name"],
        "os-quota-sets/target_id": owner.project_id,
        "os-services/service_id": admin.get(f"{COMPUTE}/os-services")["services"][0]["id"],
        "os-hypervisors/hypervisor_id": admin.get(f"{COMPUTE}/os-hypervisors")["hypervisors"][0]["id"],
        "images/image_id": image,
        "project_id": owner.project_id,
        "key": "k",
        "user": name,
        "password": f"{name}-password",
        "token": owner.token,
        "users/record_id": user,
        "users/user_id": user,
        "projects/record_id": admin.make(f"{IDENTITY}/projects", {"project": {"name": f"p{number}"}})["id"],
        "domains/record_id": "default",
        "roles/record_id": admin.make(f"{IDENTITY}/roles", {"role": {"name": f"r{number}"}})["id"],
        "regions/record_id": admin.make(f"{IDENTITY}/regions", {"region": {"id": f"known-{number}"}})["id"],
        "services/record_id": admin.make(f"{IDENTITY}/services", {"service": {"type": f"t{number}"}})["id"],
    }
    endpoint = {"service_id": known["services/record_id"], "interface": "public", "url": "http://x.test"}
    known["endpoints/record_id"] = admin.make(f"{IDENTITY}/endpoints", {"endpoint": endpoint})["id"]
    known["roles/role_id"] = known["roles/record_id"]
    return known


def _image(admin: Login) -> str:
    """A new image that everybody may use."""
    wanted = {"name": "i", "disk_format": "raw", "container_format": "bare", "visibility": "public"}
    image: str = admin.ask("POST", f"{IMAGE}/images", wanted).json()["id"]
    octets = {"Content-Type": "application/octet-stream"}
    assert admin.ask("PUT", f"{IMAGE}/images/{image}/file", bytes(1 << 20), headers=octets).status == 204
    return image


def _wrong(answer: Answer, asked: Garbage) -> str | None:
    """What is wrong with an answer to garbage; None when all is well."""
    if answer.status >= 500 and answer.status != 501:
        return f"answered {answer.status}"
    if "x-injected" in answer.headers:
        return "wrote a header that the request made up"
    if answer.status < 400 or asked.method == "HEAD":
        return None
    try:
        message = message_of(answer.json(), answer.status)
    except (ValueError, AssertionError, AttributeError, KeyError, TypeError) as error:
        return f"is in no dialect: {error!r}"
    if len(message) > 5000:
        return f"tells {len(message)} characters"
    return None


@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
def test_garbage_is_refused_in_the_dialect_of_the_service(
    cloud: SimulatedCloud, routes: list[tuple[str, str]], seed: int
) -> None:
    chance = random.Random(seed)
    owner = cloud.new_project(f"owner-{seed}", "member")
    stranger, reader = cloud.new_project(f"stranger-{seed}", "member"), cloud.new_project(f"reader-{seed}", "reader")
    admin = cloud.log_in("admin")
    known = _things(owner, f"owner-{seed}", admin, seed)
    table = Table(chance, bodies(known), known)
    problems: list[Any] = []
    people: list[tuple[str, str | None]] = [("owner", owner.token), ("stranger", stranger.token)]
    people += [("reader", reader.token), ("admin", admin.token), ("nobody", None), ("liar", "x" * 300)]
    # what has a project in its path is the same operation once more
    ways = [(method, path) for method, path in routes if "{project_id:uuid}/" not in path]
    plan = [(person, method, path) for person in people for method, path in ways]
    # what exists is to be looked at before it is removed
    chance.shuffle(plan)
    plan.sort(key=lambda item: item[1] == "DELETE")
    for (who, token), method, template in plan:
        for asked in table.requests(method, template, COUNT if token else 2):
            answer = cloud.ask(
                asked.method, asked.path, asked.body, token=token, version=asked.version, headers=asked.headers
            )
            if (wrong := _wrong(answer, asked)) is not None:
                request = (who, asked.method, template, asked.path[:300], (asked.body or b"")[:600], asked.version)
                problems.append((wrong, *request, answer.status, answer.body[:600]))
    assert not problems, f"{len(problems)} problems, the first are:\n" + "\n\n".join(map(str, problems[:30]))
    assert cloud.ask("GET", "/readyz").status == 200
    assert "traceback" not in cloud.log()
