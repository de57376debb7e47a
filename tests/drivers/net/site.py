"""A small cloud's networks as the control plane would describe them to its hosts."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network

from kilostack.wire.network import (
    Entry,
    FloatingIp,
    Group,
    Network,
    Port,
    Router,
    RouterGateway,
    RouterLeg,
    Rule,
    Subnet,
)


def identifier(kind: int, number: int) -> str:
    return f"{kind:04x}{number:04x}-{number:04x}-4000-8000-{number:012x}"


NET = identifier(1, 1)
PUBLIC = identifier(1, 2)
SUBNET = identifier(2, 1)
SUBNET_SIX = identifier(2, 6)
ROUTER = identifier(3, 1)
GROUP = identifier(4, 1)
DHCP_PORT = identifier(5, 2)
LEG_PORT = identifier(5, 1)
GATEWAY_PORT = identifier(5, 3)


def mac(number: int) -> str:
    return f"fa:16:3e:00:{number >> 8:02x}:{number & 255:02x}"


def egress() -> tuple[Rule, ...]:
    """What every default group lets out."""
    return (
        Rule(id="e4", direction="egress", ethertype="IPv4"),
        Rule(id="e6", direction="egress", ethertype="IPv6"),
    )


def allow(protocol: str | None, low: int | None = None, high: int | None = None, **more: str) -> Rule:
    return Rule(
        id=f"in-{protocol}-{low}-{sorted(more.items())}",
        direction="ingress",
        ethertype="IPv4",
        protocol=protocol,
        port_range_min=low,
        port_range_max=low if high is None else high,
        **more,
    )


PING = allow("icmp")


@dataclass
class Site:
    """One tenant network with a router to `public`; guests are numbered from 10."""

    public_cidr: str = "172.24.9.0/24"
    cidr: str = "10.10.0.0/24"
    homes: dict[int, str] = field(default_factory=dict)
    rules: tuple[Rule, ...] = (PING,)
    floating: dict[int, str] = field(default_factory=dict)
    nameservers: tuple[str, ...] = ()
    with_router: bool = True
    with_six: bool = False
    enable_snat: bool = True
    #: guests whose address is another's number
    addresses: dict[int, int] = field(default_factory=dict)

    def address(self, number: int) -> str:
        return str(IPv4Network(self.cidr).network_address + self.addresses.get(number, number))

    def public_address(self, number: int) -> str:
        return str(IPv4Network(self.public_cidr).network_address + number)

    def address_six(self, number: int) -> str:
        return f"fd00:10::{number}"

    def fixed_ips(self, number: int) -> tuple[tuple[str, str], ...]:
        four = ((SUBNET, self.address(number)),)
        return (*four, (SUBNET_SIX, self.address_six(number))) if self.with_six else four

    def port(self, number: int, **more: object) -> Port:
        values: dict[str, object] = {
            "id": identifier(5, number),
            "revision": 1,
            "network_id": NET,
            "mac": mac(number),
            "fixed_ips": self.fixed_ips(number),
            "device_id": identifier(6, number),
            "security_groups": (GROUP,),
        }
        return Port(**{**values, **more})

    def _entry(self, number: int, host: str) -> Entry:
        return Entry(
            port_id=identifier(5, number),
            mac=mac(number),
            fixed_ips=self.fixed_ips(number),
            host=host,
            device_id=identifier(6, number),
            device_owner="compute:nova",
            hostname=f"vm-{number}",
        )

    def network(self, router_host: str = "") -> Network:
        dhcp = Entry(
            port_id=DHCP_PORT,
            mac=mac(2),
            fixed_ips=((SUBNET, self.address(2)),),
            host="",
            device_id="dhcp",
            device_owner="network:dhcp",
        )
        leg = Entry(
            port_id=LEG_PORT,
            mac=mac(1),
            fixed_ips=((SUBNET, self.address(1)),),
            host=router_host,
            device_id=ROUTER,
            device_owner="network:router_interface",
        )
        return Network(
            id=NET,
            revision=1,
            project_id="p",
            vni=5001,
            external=False,
            mtu=1450,
            dns_domain="example.org.",
            subnets=(
                Subnet(
                    id=SUBNET,
                    cidr=self.cidr,
                    ip_version=4,
                    gateway_ip=self.address(1) if self.with_router else None,
                    enable_dhcp=True,
                    dns_nameservers=self.nameservers,
                    host_routes=(("192.168.77.0/24", self.address(99)),),
                ),
                *self._subnet_six(),
            ),
            dhcp=dhcp,
            entries=(dhcp, leg, *(self._entry(number, host) for number, host in sorted(self.homes.items()))),
        )

    def _subnet_six(self) -> tuple[Subnet, ...]:
        made = Subnet(id=SUBNET_SIX, cidr="fd00:10::/64", ip_version=6, gateway_ip=None, enable_dhcp=False)
        return (made,) if self.with_six else ()

    def public(self) -> Network:
        return Network(
            id=PUBLIC,
            revision=1,
            project_id="admin",
            vni=None,
            external=True,
            mtu=1500,
            subnets=(
                Subnet(
                    id=identifier(2, 2),
                    cidr=self.public_cidr,
                    ip_version=4,
                    gateway_ip=self.public_address(1),
                    enable_dhcp=False,
                ),
            ),
            dhcp=None,
            entries=(),
        )

    def group(self) -> Group:
        members = tuple(address for number in sorted(self.homes) for _, address in self.fixed_ips(number))
        return Group(id=GROUP, revision=1, rules=(*egress(), *self.rules), members=members)

    def router(self) -> Router:
        return Router(
            id=ROUTER,
            revision=1,
            admin_state_up=True,
            legs=(RouterLeg(port_id=LEG_PORT, network_id=NET, mac=mac(1), addresses=(f"{self.address(1)}/24",)),),
            gateway=RouterGateway(
                port_id=GATEWAY_PORT,
                network_id=PUBLIC,
                mac=mac(3),
                addresses=(f"{self.public_address(50)}/24",),
                via=self.public_address(1),
                enable_snat=self.enable_snat,
            ),
            floating_ips=tuple(
                FloatingIp(id=identifier(7, number), floating_ip=floating, fixed_ip=self.address(number))
                for number, floating in sorted(self.floating.items())
            ),
        )
