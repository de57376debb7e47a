"""One of everything that a project can have, and the routes of the product."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from kilostack.assembly.cloud import SCHEMAS, Cloud, Ground
from kilostack.bus.hints import LocalHints
from kilostack.core.world import RealWorld
from kilostack.drivers.blobs.memory import MemoryBlobs
from tests.databases import sqlite_database
from tests.http.whole.bodies import PUBLIC_KEY
from tests.http.whole.simulated import COMPUTE, IMAGE, NETWORK, Login

OCTETS = {"Content-Type": "application/octet-stream"}
_NUMBERS = itertools.count(1)


@asynccontextmanager
async def public_routes(folder: Path) -> AsyncIterator[list[tuple[str, str]]]:
    """Method and template of every public operation, as the product's own tables have them."""
    world = RealWorld()
    hints = LocalHints(world)
    databases = {
        name: await sqlite_database(folder / name, world, hints.send, *schema) for name, schema in SCHEMAS.items()
    }
    ground = Ground(world=world, hints=hints, databases=databases, blobs=MemoryBlobs(), master_key=b"k" * 32)
    apis = Cloud(ground).apis()
    yield sorted({(route.method, api.prefix + route.path or "/") for api in apis for route in api.routes})
    await world.close()


def new_image(owner: Login, content: bytes = bytes(1 << 20), **more: object) -> str:
    """The id of a new active raw image."""
    wanted = {"name": "an image", "disk_format": "raw", "container_format": "bare", **more}
    made = owner.ask("POST", f"{IMAGE}/images", wanted)
    assert made.status == 201, made
    image = str(made.json()["id"])
    sent = owner.ask("PUT", f"{IMAGE}/images/{image}/file", content, headers=OCTETS)
    assert sent.status == 204, sent
    return image


def new_network(owner: Login, cidr: str = "10.77.0.0/24", name: str = "a-network") -> tuple[str, str]:
    """Network and subnet."""
    network = owner.make(f"{NETWORK}/networks", {"network": {"name": name}})["id"]
    subnet = {"network_id": network, "ip_version": 6 if ":" in cidr else 4, "cidr": cidr}
    return network, owner.make(f"{NETWORK}/subnets", {"subnet": subnet})["id"]


def public_network(owner: Login) -> str:
    return str(owner.get(f"{NETWORK}/networks?name=public")["networks"][0]["id"])


def belongings(owner: Login, image: str) -> dict[str, str]:
    """Ids of one thing of every kind in the project, by collection and field of the path; the server runs `image`."""
    number = next(_NUMBERS)
    network, subnet = new_network(owner)
    public = public_network(owner)
    group = owner.make(f"{NETWORK}/security-groups", {"security_group": {"name": f"g{number}"}})
    server = owner.server(f"s{number}", networks=[{"uuid": network}], imageRef=image, metadata={"k": "v"})["id"]
    ports = owner.get(f"{NETWORK}/ports?device_id={server}")["ports"]
    actions = owner.get(f"{COMPUTE}/servers/{server}/os-instance-actions")["instanceActions"]
    key = {"name": f"a-key-{number}", "public_key": PUBLIC_KEY}
    return {
        "networks/id": network,
        "subnets/id": subnet,
        "public": public,
        "ports/id": owner.make(f"{NETWORK}/ports", {"port": {"network_id": network}})["id"],
        "routers/id": owner.make(f"{NETWORK}/routers", {"router": {"name": "r"}})["id"],
        "floatingips/id": owner.make(f"{NETWORK}/floatingips", {"floatingip": {"floating_network_id": public}})["id"],
        "security-groups/id": group["id"],
        "os-security-groups/group_id": group["id"],
        "security-group-rules/id": group["security_group_rules"][0]["id"],
        "quotas/id": owner.project_id,
        "network-ip-availabilities/id": network,
        "servers/server_id": server,
        "ips/network": "a-network",
        "os-interface/port_id": ports[0]["id"],
        "os-instance-actions/request_id": actions[0]["request_id"],
        "metadata/key": "k",
        "tags/tag": "t",
        "os-keypairs/name": owner.make(f"{COMPUTE}/os-keypairs", {"keypair": key})["name"],
        "os-quota-sets/target_id": owner.project_id,
        "flavors/flavor_id": owner.flavor("m1.tiny"),
        "images/image_id": image,
        "project_id": owner.project_id,
    }
