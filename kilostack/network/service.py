"""The network service: what it answers, and what runs beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kilostack.bus.hints import Hints
from kilostack.core.policy import Policy
from kilostack.core.world import World
from kilostack.http.dialects import NEUTRON
from kilostack.http.discovery import network_root, network_version
from kilostack.http.routes import Api, Route
from kilostack.network import policy
from kilostack.network.api import extensions, operation, resources
from kilostack.network.api.collections import Engine
from kilostack.network.app.access import Access
from kilostack.network.app.agents import Agents
from kilostack.network.app.availability import Availability
from kilostack.network.app.bootstrap import Bootstrap, bootstrap
from kilostack.network.app.floating_ips import FloatingIps
from kilostack.network.app.groups import GroupRules, Groups
from kilostack.network.app.host_calls import HostCalls
from kilostack.network.app.liveness import Liveness
from kilostack.network.app.networks import Networks
from kilostack.network.app.parts import Parts, Settings
from kilostack.network.app.ports import Ports
from kilostack.network.app.quotas import Quotas
from kilostack.network.app.routers import Routers
from kilostack.network.app.server_describe import ServerDescribe
from kilostack.network.app.server_nics import ServerNics
from kilostack.network.app.server_ports import ServerPortsOf
from kilostack.network.app.subnets import Subnets
from kilostack.network.reconcilers.orphans import Orphans
from kilostack.network.store.tables import FENCE
from kilostack.store.database import Database
from kilostack.wire import network_calls
from kilostack.wire.calls import Answers, Calls
from kilostack.wire.hosts import NETWORK
from kilostack.workflow import reconciler
from kilostack.workflow.pruning import FencePruning

_SWEEP_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceParts:
    """What network is made from."""

    db: Database
    world: World
    hints: Hints
    calls: Calls
    policy: Mapping[str, str] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)


class NetworkService:
    """Owns networks and what belongs to them."""

    def __init__(self, given: ServiceParts) -> None:
        rules = list(policy.rules())
        compiled = Policy(rules, given.policy)
        rights = Access(compiled, {rule.name for rule in rules} | set(given.policy))
        parts = Parts(
            db=given.db,
            world=given.world,
            policy=compiled,
            liveness=Liveness(given.world),
            settings=given.settings,
        )
        self._given, self._parts, self._rights = given, parts, rights
        self.networks, self.subnets, self.ports = Networks(parts, rights), Subnets(parts, rights), Ports(parts, rights)
        self.routers, self.floating_ips = Routers(parts, rights), FloatingIps(parts, rights)
        self.groups, self.rules = Groups(parts, rights), GroupRules(parts, rights)
        self.agents = Agents(parts, rights)
        self.orphans = Orphans(parts, given.calls)
        self.api = Api(name="network", prefix="/network/v2.0", routes=self._routes(), dialect=NEUTRON)
        #: version documents at "/network"
        self.root = network_root()
        self.answers = self._answers()

    def _routes(self) -> tuple[Route, ...]:
        engine = Engine(self._parts, self._rights)
        declared = (
            resources.network(self.networks),
            resources.subnet(self.subnets),
            resources.port(self.ports),
            resources.router(self.routers),
            resources.floating_ip(self.floating_ips),
            resources.security_group(self.groups),
            resources.security_group_rule(self.rules),
        )
        zone = self._parts.settings.availability_zone
        return (
            *network_version([*(resource.name for resource in declared), ("quota", "quotas"), ("agent", "agents")]),
            *(route for resource in declared for route in engine.routes(resource)),
            *operation.router_interfaces(self.routers),
            *operation.quotas(Quotas(self._parts, self._rights)),
            *operation.agents(self.agents, zone),
            *operation.availability_zones(self.agents, zone),
            *operation.ip_availability(Availability(self._parts, self._rights)),
            *extensions.ROUTES,
        )

    def _answers(self) -> Answers:
        answers = Answers()
        nics = ServerNics(self._parts, self._rights, self.groups)
        servers, hosts = ServerPortsOf(self._parts), HostCalls(self._parts)
        answers.add(network_calls.CHECK_NICS, nics.check)
        answers.add(network_calls.BIND_PORTS, servers.bind)
        answers.add(network_calls.UNBIND_PORTS, servers.unbind)
        answers.add(network_calls.ADDRESSES, servers.addresses)
        answers.add(network_calls.CHANGE_GROUP, servers.change_group)
        describe = ServerDescribe(self._parts)
        answers.add(network_calls.DESCRIBE_SERVER, describe.describe)
        answers.add(network_calls.PROJECT_GROUPS, describe.groups)
        answers.add(NETWORK.connect, hosts.connect)
        answers.add(NETWORK.disconnect, hosts.disconnect)
        answers.add(NETWORK.state, hosts.state)
        answers.add(NETWORK.changes, hosts.changes)
        answers.add(NETWORK.report, hosts.report)
        answers.add(NETWORK.beat, hosts.beat)
        return answers

    async def bootstrap(
        self, public_cidr: str, public_gateway: str, admin_project_id: str, demo_project_id: str
    ) -> None:
        """Make the networks `public` and `private` with a router between them, as far as they are missing.

        `public_gateway` is the address of the cloud's uplink. A new cloud gets them once: what was removed stays so.
        """
        wanted = Bootstrap(
            public_cidr=public_cidr,
            public_gateway=public_gateway,
            admin_project_id=admin_project_id,
            demo_project_id=demo_project_id,
        )
        await bootstrap(self._parts, self._rights, wanted)

    async def start(self) -> None:
        """Start the loops."""
        given, parts = self._given, self._parts
        given.world.spawn(parts.liveness.watch(parts.db), "network-gateways")
        FencePruning("network", FENCE, given.db, given.world).start(given.hints)
        sweep = reconciler.run(self.orphans, given.world, given.hints, "network.orphans", _SWEEP_S)
        given.world.spawn(sweep, "network-orphans")
