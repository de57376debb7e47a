"""Compute's public face without hosts: neighbours that answer from tables, sagas that are recorded and not run."""

from __future__ import annotations

from typing import Any

import msgspec

from kilostack.compute.app.parts import Parts
from kilostack.compute.model.records import Flavor, Host, Keypair
from kilostack.compute.model.server import Server, ServerState
from kilostack.compute.policy import RULES
from kilostack.compute.service import KINDS
from kilostack.compute.store import servers
from kilostack.compute.store.tables import FLAVORS, HOSTS, KEYPAIRS, SAGAS, SERVERS
from kilostack.compute.workflows.resources import ServerRows
from kilostack.core import errors
from kilostack.core.policy import Policy
from kilostack.core.world import World
from kilostack.store.database import Database, Tx
from kilostack.wire.calls import Actor, Answers, LocalCalls, Nothing
from kilostack.wire.compute import HostFacts
from kilostack.wire.hosts import NETWORK as NETWORK_HOSTS
from kilostack.wire.hosts import ChangesAsked, ChangesSeen
from kilostack.wire.image_calls import GET_IMAGE, ImageAsked, ImageFacts
from kilostack.wire.network_calls import (
    CHANGE_GROUP,
    CHECK_NICS,
    DESCRIBE_SERVER,
    PROJECT_GROUPS,
    Address,
    CheckedNics,
    CheckNics,
    GroupChange,
    GroupsAsked,
    ProjectGroups,
    ServerGroup,
    ServerGroupRule,
    ServerNetworkDetail,
    ServerNetworking,
    ServerPort,
    ServerPorts,
    WantedNic,
)
from kilostack.wire.placement_calls import PROVIDERS, Inventory, Provider, Providers
from kilostack.workflow.runner import Sagas

IMAGE = "11111111-1111-4111-8111-111111111111"
BIG_IMAGE = "11111111-1111-4111-8111-222222222222"
QUEUED_IMAGE = "11111111-1111-4111-8111-333333333333"
NETWORK = "22222222-2222-4222-8222-222222222222"
PORT = "22222222-2222-4222-8222-333333333333"
NOW = 1_790_000_000_000_000
_GIB = 1 << 30
FLAVOR_RECORDS = (
    Flavor(id="1", name="m1.tiny", vcpus=1, memory_mib=128, disk_gib=1, created_at=NOW),
    Flavor(id="2", name="m1.small", vcpus=1, memory_mib=256, disk_gib=2, created_at=NOW, extra_specs={"a:b": "c"}),
    Flavor(id="9", name="hidden", vcpus=1, memory_mib=256, disk_gib=2, created_at=NOW, public=False),
)
KEY_RECORD = Keypair(
    user_id="member-id",
    name="k",
    number=1,
    type="ssh",
    public_key="ssh-ed25519 AAAA k",
    fingerprint="aa",
    created_at=NOW,
)

_IMAGES = {
    IMAGE: {"name": "tiny", "status": "active", "virtual_size_bytes": 100 << 20},
    BIG_IMAGE: {"name": "big", "status": "active", "virtual_size_bytes": 50 * _GIB},
    QUEUED_IMAGE: {"name": "queued", "status": "queued", "virtual_size_bytes": 0},
}


class Neighbours:
    """What image, network and placement would say."""

    def __init__(self) -> None:
        self.group_changes: list[GroupChange] = []
        #: the newest number of network's feed
        self.newest = 0
        self.answers = Answers()
        self.answers.add(GET_IMAGE, self.image)
        self.answers.add(CHECK_NICS, self.nics)
        self.answers.add(CHANGE_GROUP, self.group)
        self.answers.add(NETWORK_HOSTS.changes, self.changes)
        self.answers.add(PROVIDERS, self.providers)
        self.answers.add(DESCRIBE_SERVER, self.describe)
        self.answers.add(PROJECT_GROUPS, self.groups)

    async def image(self, asked: ImageAsked, actor: Actor) -> ImageFacts:
        if (facts := _IMAGES.get(asked.image_id)) is None:
            raise errors.NotFound(f"No image found with ID {asked.image_id}")
        fixed: dict[str, Any] = {
            "id": asked.image_id,
            "disk_format": "qcow2",
            "container_format": "bare",
            "size_bytes": 20 << 20,
            "sha512": "0" * 128,
            "min_disk_gib": 0,
            "min_ram_mib": 0,
        }
        return msgspec.convert(fixed | facts, ImageFacts)

    async def nics(self, asked: CheckNics, actor: Actor) -> CheckedNics:
        groups = asked.security_groups or ("default",)
        if "missing" in groups:
            raise errors.NotFound("Security group missing not found.")
        nics = asked.nics if asked.nics is not None else (WantedNic(network_id=NETWORK),)
        return CheckedNics(nics=nics, security_groups=groups)

    async def group(self, asked: GroupChange, actor: Actor) -> Nothing:
        if asked.group == "missing":
            raise errors.NotFound("Security group missing not found.")
        self.group_changes.append(asked)
        return Nothing()

    async def changes(self, asked: ChangesAsked, actor: Actor) -> ChangesSeen:
        return ChangesSeen(max(asked.after, self.newest), ())

    async def describe(self, asked: ServerPorts, actor: Actor) -> ServerNetworkDetail:
        port = ServerPort(
            port_id=PORT, network_id=NETWORK, mac="fa:16:3e:00:00:01", status="ACTIVE", fixed_ips=(("s", "10.0.0.5"),)
        )
        rules = (
            ServerGroupRule(id="r1", protocol="tcp", port_range_min=22, port_range_max=22),
            ServerGroupRule(id="r2", remote_group=("default", "p")),
        )
        group = ServerGroup(id="g1", name="default", description="all", project_id="p", rules=rules)
        return ServerNetworkDetail(ports=(port,), groups=(group,))

    async def groups(self, asked: GroupsAsked, actor: Actor) -> ProjectGroups:
        group = ServerGroup(id="g2", name="web", description="", project_id=asked.project_id)
        return ProjectGroups((group,))

    async def providers(self, asked: ChangesAsked, actor: Actor) -> Providers:
        inventories = {
            "VCPU": Inventory(total=4, allocation_ratio=16.0, used=2),
            "MEMORY_MB": Inventory(total=8192, used=256),
            "DISK_GB": Inventory(total=100, used=2),
        }
        return Providers(last=1, providers=(Provider(id=host_uuid(1), name="h1", inventories=inventories),), whole=True)


class Logs:
    """A console whose host answers at once."""

    async def read(self, server_id: str, host: str, length: int | None) -> str:
        lines = [f"line {number}" for number in range(1, 11)]
        return "\n".join(lines if length is None else lines[len(lines) - length :]) + "\n"


def make_parts(db: Database, world: World, neighbours: Neighbours) -> Parts:
    """The parts of compute's use cases over a database and stand-ins."""
    calls = LocalCalls(world)
    calls.serve(neighbours.answers)
    return Parts(
        db=db,
        world=world,
        sagas=Sagas(SAGAS, ServerRows()),
        calls=calls,
        policy=Policy(RULES),
        kinds={kind.name: kind for kind in KINDS},
        consoles=Logs(),
    )


def host_uuid(number: int) -> str:
    return f"33333333-3333-4333-8333-{number:012d}"


async def seed(db: Database) -> None:
    """A host, three flavors of which one is not public, and a key pair of the member."""
    facts = HostFacts(
        hostname="h1", vcpus=4, memory_mib=8192, disk_gib=100, accelerator="kvm", cpu_model="any", address="10.1.0.1"
    )
    host = Host(
        name="h1",
        id=host_uuid(1),
        service_id="44444444-4444-4444-8444-000000000001",
        number=1,
        facts=facts,
        connected=True,
        gateway="g1",
        created_at=NOW,
        updated_at=NOW,
    )

    async def unit(tx: Tx) -> None:
        await HOSTS.insert(tx, host)
        for flavor in FLAVOR_RECORDS:
            await FLAVORS.insert(tx, flavor)
        await KEYPAIRS.insert(tx, KEY_RECORD)

    await db.write(unit)


async def finish_build(db: Database, server_id: str, state: ServerState = ServerState.ACTIVE, **fields: Any) -> Server:
    """What the saga and the host's report would do: the server is idle, on a host and in `state`."""
    networking = ServerNetworking(
        addresses=(
            Address(network="private", address="10.0.0.5", version=4, mac="fa:16:3e:00:00:01", type="fixed"),
            Address(network="private", address="203.0.113.9", version=4, mac="fa:16:3e:00:00:01", type="floating"),
        ),
        security_groups=("default",),
    )
    given = {
        "state": state,
        "task_state": None,
        "saga_id": None,
        "host": "h1",
        "launched_at": NOW,
        "networking": networking,
        **fields,
    }

    async def unit(tx: Tx) -> Server:
        server = await SERVERS.get(tx, id=server_id)
        return await servers.change(tx, server, NOW, **given)

    return await db.write(unit)
