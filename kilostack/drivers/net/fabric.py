"""The network under the hosts of one machine: a namespace per host, an underlay between them, and one way out.

    machine          ks<id>  the uplink: gateway address of `public`, NAT, name service for the hosts
                       |
    ks-<id>-fabric   uplink - [ext] - x1, x2, ...     [under] - u1, u2, ...
                                      |                          |
    ks-<id>-h1       [brext] - ext0   |  address on the underlay: under0

The supervisor imports this module alone and calls it as root in the machine's own namespace. Names follow from the
cloud's name, so that a fabric is found again by looking.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from kilostack.drivers.net import command, dnsmasq, links, uplink
from kilostack.drivers.net.links import Link

EXTERNAL_BRIDGE = "brext"

#: Namespaces see these ranges, the machine does not; the second serves where `public` overlaps the first.
_UNDERLAYS = (IPv4Network("100.127.0.0/16"), IPv4Network("100.126.0.0/16"))
#: Ranges of `public` are taken from here, and the addresses of the hosts towards the name service from there.
_PUBLIC_POOL = IPv4Network("172.24.0.0/13")
_LINK_POOL = IPv4Network("169.254.0.0/17")
_MTU = 1500


class FabricRefused(Exception):
    """The fabric cannot be made as asked; the text says why and what would do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route of the machine."""

    target: IPv4Network
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPlan:
    """One host of the fabric, with all that its agent is told about its network."""

    name: str
    namespace: str
    #: begins the names of the namespaces that the host's agent makes
    prefix: str
    #: on the underlay; tunnels end here
    address: str
    #: of the bridge to the uplink, for the name service only
    link_address: str
    external_bridge: str = EXTERNAL_BRIDGE
    #: the name server that the host may ask
    resolver: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FabricPlan:
    """What should be: it follows from the cloud's name, its hosts, its public range and the machine's routes."""

    identifier: str
    namespace: str
    #: the one link in the machine's own namespace
    uplink: str
    public: IPv4Network
    gateway: IPv4Address
    link_range: IPv4Network
    underlay: IPv4Network
    hosts: tuple[HostPlan, ...]

    @property
    def directory(self) -> Path:
        """Files of the name service process."""
        return dnsmasq.RUN_DIR / f"ks-{self.identifier}"


def identifier(cloud: str) -> str:
    """The part of all names that tells this cloud from others."""
    return hashlib.sha256(cloud.encode()).hexdigest()[:8]


def machine_routes() -> tuple[Route, ...]:
    """The IPv4 routes of this network namespace, without default routes."""
    return tuple(
        Route(target=IPv4Network(item["dst"]), device=item.get("dev", ""))
        for item in command.ask(("ip", "-4", "-j", "route", "show", "table", "main"))
        if item["dst"] != "default"
    )


def plan(cloud: str, hosts: int, public_cidr: str | None, routes: tuple[Route, ...]) -> FabricPlan:
    """The fabric of a cloud. Raises `FabricRefused` for a range that the machine already routes."""
    short = identifier(cloud)
    device = f"ks{short}"
    others = tuple(route for route in routes if route.device != device)
    own = tuple(route.target for route in routes if route.device == device)
    public = _asked(public_cidr, others) if public_cidr else _free(_PUBLIC_POOL, short, others, own)
    link_range = _free(_LINK_POOL, short, others, own)
    underlay = next(net for net in _UNDERLAYS if not net.overlaps(public))
    gateway = public.network_address + 1
    planned = tuple(
        HostPlan(
            name=f"{cloud}-host-{number}",
            namespace=f"ks-{short}-h{number}",
            prefix=f"ks-{short}-h{number}",
            address=str(underlay.network_address + number),
            link_address=str(link_range.network_address + number),
            resolver=str(gateway),
        )
        for number in range(1, hosts + 1)
    )
    if hosts > link_range.num_addresses - 2:
        raise FabricRefused(f"one machine carries at most {link_range.num_addresses - 2} real hosts")
    return FabricPlan(
        identifier=short,
        namespace=f"ks-{short}-fabric",
        uplink=device,
        public=public,
        gateway=gateway,
        link_range=link_range,
        underlay=underlay,
        hosts=planned,
    )


def host_from_inside(cloud: str, number: int) -> HostPlan:
    """What the agent of host `number` is told about its network; called in that host's namespace, where the machine's
    routes are not to be seen. Raises `CommandFailed` where the fabric is not there."""
    seen = links.observe()
    try:
        (address,) = seen["under0"].addresses
        link_address, _, gateway = next(iter(seen[EXTERNAL_BRIDGE].addresses)).split()
    except (KeyError, ValueError, StopIteration):
        raise command.CommandFailed("this is not the network namespace of a host of ours") from None
    prefix = f"ks-{identifier(cloud)}-h{number}"
    return HostPlan(
        name=f"{cloud}-host-{number}",
        namespace=prefix,
        prefix=prefix,
        address=address.partition("/")[0],
        link_address=link_address,
        resolver=gateway.partition("/")[0],
    )


def _asked(cidr: str, routes: tuple[Route, ...]) -> IPv4Network:
    try:
        public = IPv4Network(cidr)
    except ValueError as error:
        raise FabricRefused(f"--public-cidr {cidr}: {error}") from None
    if public.prefixlen > 29:
        raise FabricRefused(f"--public-cidr {cidr}: too small; use /29 or more")
    for route in routes:
        if route.target.overlaps(public):
            raise FabricRefused(
                f"--public-cidr {cidr} overlaps {route.target}, which this machine routes to {route.device}; "
                "choose a range that is not in `ip route`"
            )
    return public


def _free(pool: IPv4Network, short: str, routes: tuple[Route, ...], own: tuple[IPv4Network, ...]) -> IPv4Network:
    """The /24 of `pool` that is in use by this cloud, else the one that its name picks, else the next one that the
    machine does not route."""
    for network in own:
        if network.prefixlen == 24 and network.subnet_of(pool):
            return network
    count = pool.num_addresses // 256
    start = int(short, 16) % count
    for step in range(count):
        base = pool.network_address + 256 * ((start + step) % count)
        candidate = IPv4Network((base, 24))
        if not any(route.target.overlaps(candidate) for route in routes if route.target.prefixlen > pool.prefixlen):
            return candidate
    raise FabricRefused(f"this machine routes all of {pool}; name another range with --public-cidr")


def ensure(fabric: FabricPlan) -> None:
    """Make what is missing; what is there and right is not touched. Raises `CommandFailed`."""
    spaces = command.namespaces()
    wanted = (fabric.namespace, *(host.namespace for host in fabric.hosts))
    command.batch("ip", [f"netns add {name}" for name in wanted if name not in spaces])
    _ensure_switch(fabric)
    for host in fabric.hosts:
        _ensure_host(fabric, host)
    _ensure_uplink(fabric)
    uplink.ensure(fabric.identifier, fabric.uplink, str(fabric.public))
    dnsmasq.make_directory(fabric.directory)
    dnsmasq.ensure(fabric.directory, (f"--listen-address={fabric.gateway}", "--resolv-file=/etc/resolv.conf"))


def _ensure_switch(fabric: FabricPlan) -> None:
    space = fabric.namespace
    seen = links.observe(space)
    wanted = [
        Link(name="lo", mtu=65536),
        Link(name="under", make="bridge mcast_snooping 0", mac=_mac(fabric, "under"), mtu=_MTU, silent=True),
        Link(name="ext", make="bridge mcast_snooping 0", mac=_mac(fabric, "ext"), mtu=_MTU, silent=True),
    ]
    for number, host in enumerate(fabric.hosts, 1):
        wanted += [
            Link(
                name=f"u{number}",
                make=f"veth peer name under0 mtu {_MTU} netns {host.namespace}",
                master="under",
                silent=True,
            ),
            Link(
                name=f"x{number}",
                make=f"veth peer name ext0 mtu {_MTU} netns {host.namespace}",
                master="ext",
                silent=True,
            ),
        ]
    command.batch("ip", links.changes(seen, wanted), namespace=space)


def _mac(fabric: FabricPlan, what: str) -> str:
    digest = hashlib.sha256(f"{fabric.identifier} {what}".encode()).digest()
    return ":".join(["02", *(f"{octet:02x}" for octet in digest[:5])])


def _ensure_host(fabric: FabricPlan, host: HostPlan) -> None:
    space = host.namespace
    seen = links.observe(space)
    if not seen["lo"].up:
        # A host forwards nothing between its networks: routers have namespaces of their own.
        command.set_sysctls({"net/ipv4/ip_forward": "0", "net/ipv6/conf/all/forwarding": "0"}, namespace=space)
    wanted = (
        Link(name="lo", mtu=65536),
        Link(
            name=host.external_bridge,
            make="bridge mcast_snooping 0",
            mac=_mac(fabric, host.name),
            mtu=_MTU,
            addresses=(f"{host.link_address} peer {fabric.gateway}/32",),
            silent=True,
        ),
        Link(name="ext0", master=host.external_bridge, silent=True),
        Link(name="under0", addresses=(f"{host.address}/{fabric.underlay.prefixlen}",), silent=True),
    )
    command.batch("ip", links.changes(seen, wanted), namespace=space)


def _ensure_uplink(fabric: FabricPlan) -> None:
    seen = links.observe()
    outer = Link(
        name=fabric.uplink,
        make=f"veth peer name uplink mtu {_MTU} netns {fabric.namespace}",
        addresses=(f"{fabric.gateway}/{fabric.public.prefixlen}",),
        silent=True,
    )
    command.batch("ip", links.changes(seen, (outer,)))
    inner = Link(name="uplink", master="ext", silent=True)
    command.batch("ip", links.changes(links.observe(fabric.namespace), (inner,)), namespace=fabric.namespace)
    if not any(route.device == fabric.uplink and route.target == fabric.link_range for route in machine_routes()):
        command.batch("ip", [f"route replace {fabric.link_range} dev {fabric.uplink} scope link"])


def is_present(cloud: str) -> bool:
    """Whether anything of the cloud's fabric is there, whatever its number of hosts and its range."""
    short = identifier(cloud)
    return (
        any(name.startswith(f"ks-{short}-") for name in command.namespaces())
        or (dnsmasq.RUN_DIR / f"ks-{short}").exists()
        or f"ks{short}" in links.observe()
        or uplink.is_present(short)
    )


def remove(cloud: str) -> None:
    """Leave nothing of the cloud's fabric, nor of what agents left in namespaces of its hosts."""
    short = identifier(cloud)
    for directory in sorted(dnsmasq.RUN_DIR.glob(f"ks-{short}*")):
        for inner in sorted(path for path in directory.iterdir() if path.is_dir()):
            dnsmasq.stop(inner)
        dnsmasq.stop(directory)
    uplink.remove(short, f"ks{short}")
    lines = [f"link del ks{short}"] if f"ks{short}" in links.observe() else []
    spaces = [name for name in sorted(command.namespaces()) if name.startswith(f"ks-{short}-")]
    command.batch("ip", [*lines, *(f"netns del {name}" for name in spaces)])
    if dnsmasq.RUN_DIR.is_dir() and not any(dnsmasq.RUN_DIR.iterdir()):
        dnsmasq.RUN_DIR.rmdir()
