"""A network service in one process, with what tests ask of it most."""

from __future__ import annotations

from typing import Any

import msgspec

from kilostack.bus.hints import LocalHints
from kilostack.core.context import internal
from kilostack.core.world import World
from kilostack.network.app.parts import Settings
from kilostack.network.service import NetworkService, ServiceParts
from kilostack.store.database import Database
from kilostack.wire import network as wire
from kilostack.wire.calls import Actor, Answers, LocalCalls, Op
from kilostack.wire.compute import HostFacts
from kilostack.wire.compute_calls import EXISTING, Servers
from kilostack.wire.hosts import NETWORK, Connect, HostState, HostStateAsked
from kilostack.wire.network_calls import BIND_PORTS, BindPorts, BoundPorts, WantedNic
from tests.http.cloud import ADMIN_PROJECT, PERSONAS, PROJECT

ADMIN, MEMBER, OTHER = PERSONAS["admin"], PERSONAS["member"], PERSONAS["other-member"]
PUBLIC_CIDR, PUBLIC_GATEWAY = "172.24.4.0/24", "172.24.4.1"
#: the form of each object of a host's stream, by the kind in its key
FORMS: dict[str, Any] = {
    "network": wire.Network,
    "port": wire.Port,
    "group": wire.Group,
    "router": wire.Router,
    "fabric": wire.Fabric,
}


class Cloud:
    """The service on a database; compute is played by a set of server ids."""

    def __init__(self, db: Database, world: World) -> None:
        self.world, self.db = world, db
        self.hints = LocalHints(world)
        self.calls = LocalCalls(world)
        self.known_servers: set[str] = set()
        answers = Answers()
        answers.add(EXISTING, self._existing)
        self.calls.serve(answers)
        given = ServiceParts(db=db, world=world, hints=self.hints, calls=self.calls, settings=Settings())
        self.service = NetworkService(given)
        self.calls.serve(self.service.answers)
        self.epochs: dict[str, int] = {}

    async def _existing(self, asked: Servers, actor: Actor) -> Servers:
        return Servers(tuple(server for server in asked.ids if server in self.known_servers))

    async def bootstrap(self) -> None:
        await self.service.bootstrap(PUBLIC_CIDR, PUBLIC_GATEWAY, ADMIN_PROJECT, PROJECT)

    async def call(self, op: Op[Any, Any], params: Any, saga: tuple[str, str, int] = ("", "", 0)) -> Any:
        saga_id, step, epoch = saga
        actor = Actor(ctx=internal("req-test"), saga_id=saga_id, step=step, epoch=epoch)
        return await self.calls.call(op, params, actor)

    async def connect(self, host: str, address: str = "192.0.2.1") -> int:
        facts = HostFacts(
            hostname=host, vcpus=4, memory_mib=4096, disk_gib=40, accelerator="simulated", address=address
        )
        connected = await self.call(NETWORK.connect, Connect(host=host, gateway="g1", facts=facts))
        self.epochs[host] = connected.epoch
        return int(connected.epoch)

    async def state(self, host: str, known: dict[str, int] | None = None) -> HostState:
        found: HostState = await self.call(NETWORK.state, HostStateAsked(host=host, known=known or {}))
        return found

    async def bind(self, server: str, host: str, network_id: str, **more: Any) -> BoundPorts:
        """Bind one new port of `server` on a network."""
        asked = BindPorts(
            server_id=server,
            hostname=server[:8],
            project_id=more.pop("project_id", PROJECT),
            host=host,
            availability_zone="nova",
            nics=more.pop("nics", (WantedNic(network_id=network_id),)),
            security_groups=more.pop("security_groups", ()),
        )
        bound: BoundPorts = await self.call(BIND_PORTS, asked, **more)
        self.known_servers.add(server)
        return bound

    async def network(self, cidr: str = "10.1.0.0/24", **more: Any) -> tuple[str, str]:
        """The ids of a new network of PROJECT and its subnet."""
        (network,) = await self.service.networks.create(MEMBER, [{"name": "n", "project_id": PROJECT} | more])
        item = {"network_id": network.id, "project_id": PROJECT, "cidr": cidr, "ip_version": 6 if ":" in cidr else 4}
        (subnet,) = await self.service.subnets.create(MEMBER, [item])
        return network.id, subnet.id


def decoded(state: HostState) -> dict[str, Any]:
    """The changed objects of a host's state by key."""
    return {key: msgspec.json.decode(raw, type=FORMS[key.partition("/")[0]]) for key, raw in state.changed.items()}
